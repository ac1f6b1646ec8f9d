"""What a text names is there: the files, folders, modules and names that prose, comments and notebooks mention."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("dtse_core", "data_scripts", "demo", "benchmarks", "figures", "notebooks", "docs", "tools", "tests")
INSIDE = {p.relative_to(ROOT) for folder in FOLDERS for p in (ROOT / folder).rglob("*")}
FILES = {p.as_posix() for p in INSIDE if not any(part.startswith((".", "__pycache__")) for part in p.parts)}
DOTTED = re.compile(r"\bdtse_core(?:\.\w+)+")
FILE = re.compile(r"(?<![\w./:%{}*<>~$\"'-])(?:[\w.-]+/)*\w[\w-]*\.(?:py|ipynb)\b(?![\w*{(\"'])")
FOLDER = re.compile(rf"(?<![\w./:%-])(?:{'|'.join(FOLDERS)})/(?:[\w-]+/)*")


def module_of(dotted: str) -> tuple[Path | None, list[str]]:
    """The file of the longest part that is a module, and the names that are left."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[:n])
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.is_file():
                return file, parts[n:]
    return None, parts


def names_of(file: Path) -> set[str]:
    """What a module holds at its top, and `__getattr__`'s table of the package's own."""
    text = file.read_text(encoding="utf-8")
    found = set(re.findall(r'^    "(\w+)": "', text, re.MULTILINE)) if file.name == "__init__.py" else set()
    for node in ast.parse(text).body:
        found |= {getattr(node, "name", "")}
        found |= {alias.asname or alias.name for alias in getattr(node, "names", [])}
        found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return found


def gone(text: str) -> Iterator[str]:
    """What a text names and the repository does not have."""
    for dotted in DOTTED.findall(text):
        file, left = module_of(dotted)
        if file is None or (left and left[0] not in names_of(file)):
            yield dotted
    for file in FILE.findall(text):
        if not any(f"/{known}".endswith(f"/{file.replace('../', '')}") for known in FILES):
            yield file
    for folder in FOLDER.findall(text):
        if folder.rstrip("/") not in FILES | {*FOLDERS, "docs/api"}:  # which the site's build writes
            yield folder


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`dtse_core.data.collate.collate_clips` stacks", ["dtse_core.data.collate.collate_clips"]),
        ("from dtse_core.data.batch import Batch, `dtse_core.data.batch.Bach`", ["dtse_core.data.batch.Bach"]),
        ("dtse_core.preset and dtse_core.train.train", []),
        ("`viz.py` draws, `overlay.py` and video/overlay.py too", ["viz.py"]),
        ("see scoring/overlay.py", ["scoring/overlay.py"]),
        ("in `dtse_core/exercises/` and dtse_core/notebook/exercises/", ["dtse_core/exercises/"]),
        ("https://x.org/viz.py, clip.*.py, NN_name.py{a}, {name}.ipynb", []),
    ],
)
def test_a_name_of_nothing_is_found(text, missing):
    assert list(gone(text)) == missing


def texts() -> Iterator[tuple[str, str]]:
    """Each text with its place: whole files, notebooks cell by cell."""
    for path in [*ROOT.glob("*.*"), ROOT / "Makefile", *(ROOT / ".github").rglob("*.yml"), *map(ROOT.joinpath, FILES)]:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix == ".ipynb":
            for k, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
                yield f"{name}, cell {k}", "".join(cell["source"])
        elif (path.suffix in (".md", ".py", ".toml", ".yml") or path.name == "Makefile") and not name.startswith(
            "tests/"
        ):
            yield name, path.read_text(encoding="utf-8")


def test_what_a_text_names_is_there():
    assert [f"{place}: {name}" for place, text in texts() for name in gone(text)] == []
