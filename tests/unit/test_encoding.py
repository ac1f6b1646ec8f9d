"""Text is UTF-8 on every machine: no call leaves the encoding to the system's locale.

Ruff's rule PLW1514 says it while one writes, where it knows that something is a path. This test goes by names alone,
and reads the cells of notebooks too.
"""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("dtse_core", "tools", "tests", "benchmarks", "data_scripts", "docs", "figures")
SOURCES = [*(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")), *ROOT.glob("notebooks/*.ipynb")]
MODE = re.compile("[rwax][bt+]{0,2}")
PLACES = {"read_text": 0, "write_text": 1, "TextIOWrapper": 1}  # of the encoding among the arguments
TEMPORARY = ("NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile")


def without_encoding(text: str) -> list[int]:
    """Lines with a call that reads or writes text in the locale's encoding."""
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return sorted(call.lineno for call in calls if uses_the_locale(call))


def uses_the_locale(call: ast.Call) -> bool:
    words = {word.arg: word.value for word in call.keywords}
    if "encoding" in words:
        return False
    if any(getattr(words.get(word), "value", None) is True for word in ("text", "universal_newlines")):  # of a process
        return True
    of = getattr(call.func, "value", None)  # None for a function's bare name
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in PLACES:
        return (of is not None or name == "TextIOWrapper") and len(call.args) <= PLACES[name]
    first, *others = [modes_in(part) for part in (*call.args, words.get("mode")) if part] or [""]
    mode = "".join([first, *others])
    if name in TEMPORARY:
        return mode != "" and "b" not in mode
    if (
        name == "open"
        and of
        and getattr(of, "id", "") != "io"
        and (words.keys() - {"mode"} or (call.args and not first))
    ):
        return "t" in mode  # gzip's; what opens images and archives has no such mode
    return name in ("open", "fdopen") and "b" not in mode


def modes_in(argument: ast.expr) -> str:
    """The modes that an argument may be, one after the other: `abwb` of `"ab" if done else "wb"`."""
    texts = [str(node.value) for node in ast.walk(argument) if isinstance(node, ast.Constant)]
    return "".join(filter(MODE.fullmatch, texts))


def code_of(path: Path) -> str:
    """A module, or a notebook's cells without the lines that are IPython's."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return re.sub(r"^(\s*)[%!].*", r"\1pass", "\n".join(cells), flags=re.MULTILINE)


def test_every_text_is_read_and_written_as_utf_8():
    found = {path.relative_to(ROOT).as_posix(): without_encoding(code_of(path)) for path in SOURCES}
    assert len(found) > 150 and {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "call",
    [
        "path.read_text()",
        "(folder / 'a').write_text(text)",
        "path.open()",
        "path.open('w')",
        "open(path)",
        "with open(path, 'a') as file: pass",
        "open(path, mode='r+')",
        "io.open(path, 'w')",
        "gzip.open(path, 'rt')",
        "os.fdopen(number, 'w')",
        "io.TextIOWrapper(stream)",
        "tempfile.NamedTemporaryFile('w', delete=False)",
        "tempfile.TemporaryFile(mode='w+')",
        "subprocess.run(command, text=True)",
        "subprocess.check_output(command, universal_newlines=True)",
    ],
)
def test_a_call_that_leaves_the_encoding_to_the_locale_is_found(call):
    assert without_encoding(f"first()\n{call}") == [2]


@pytest.mark.parametrize(
    "call",
    [
        "path.read_text('utf-8')",
        "path.write_text(text, encoding='latin-1')",
        "read_text(path)",
        "path.open('rb')",
        "open(path, 'ab' if done else 'wb')",
        "Image.open(path)",
        "archive.open(name)",
        "archive.open(name, 'r')",
        "tarfile.open(fileobj=out, mode='w')",
        "tempfile.NamedTemporaryFile()",
        "subprocess.run(command, encoding='utf-8')",
        "ax.text(x, y, text)",
    ],
)
def test_bytes_and_utf_8_are_free(call):
    assert without_encoding(call) == []
