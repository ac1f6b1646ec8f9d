"""docs/reliability.md: each attack names a test, and the test is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")


def missing(page: str) -> list[str]:
    """What the rows name as tests and is not there, and rows that name none."""
    table = page.partition("| entrance |")[2].partition("\n\n")[0].splitlines()[2:]
    found = [row for row in table if not re.search(r"`(?:tests/)?[\w/]*test_\w+\.py", row.rpartition(" | ")[2])]
    for place, name in re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py)(?:::(\w+))?`", page):
        file = ROOT / (place if place.startswith("tests/") else f"tests/unit/{place}")
        if not file.is_file() or (name and f"def {name}(" not in file.read_text(encoding="utf-8")):
            found.append(f"{place}::{name}")
    return found


def test_each_row_names_a_test_that_is_there():
    assert missing(PAGE) == [] and PAGE.count("test_") > 35


def test_a_row_without_a_test_and_a_test_that_is_gone_are_found():
    first = next(line for line in PAGE.splitlines() if line.startswith("| every command |"))
    nameless = first.rpartition("|")[0].rpartition("|")[0] + "| by hand |"
    gone = first.replace("test_hostile.py", "test_hostile.py::test_of_nothing")
    assert missing(PAGE.replace(first, nameless)) == [nameless]
    assert missing(PAGE.replace(first, gone)) == ["test_hostile.py::test_of_nothing"]
