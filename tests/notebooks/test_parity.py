"""A `define:` cell holds the package's code, statement for statement, and a changed operator is caught."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools import heads, parity

ROOT = Path(__file__).resolve().parents[2]


NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PACKAGE = '''"""A module."""

import functools

@functools.cache
def area(h: int, w: int) -> int:
    """Long text about areas.

    Raises nothing.
    """
    return h * w  # the product


class Box:
    """A box."""

    def side(self, k):
        """Its side."""
        return [self.h, self.w][k] if k >= 0 else area(1, 1)
'''
BOX = "class Box:\n    def side(self, k):\n        return [self.h, self.w][k] if k >= 0 else area(1, 1)"
AREA = '@functools.cache\ndef area(h: int, w: int) -> int:\n    """Short."""\n    # why\n    return (h * w)'


def test_every_definition_equals_the_package():
    assert parity.compare(ROOT / "notebooks", ROOT / "dtse_core") == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_defines_what_the_table_says(path):
    wanted = {row["name"]: row.get("defines", []) for row in heads.lessons()}[path.stem]
    found = [name for c in nbformat.read(path, as_version=4).cells for name in parity.defined_names(c)]
    assert [name for name in wanted if name not in found] == []


@pytest.fixture
def place(tmp_path):
    """Makes a package and a notebook of `define:` cells, and gives both folders."""
    (tmp_path / "package").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "package/shapes.py").write_text(PACKAGE, encoding="utf-8")

    def make(*cells: tuple[str, str], name: str = "04_x"):
        made = [new_code_cell(source, metadata={"tags": [f"define:{tag}"]}) for tag, source in cells]
        nbformat.write(new_notebook(cells=made), tmp_path / f"notebooks/{name}.ipynb")
        return tmp_path / "notebooks", tmp_path / "package"

    return make


def test_docstrings_comments_and_spacing_may_differ(place):
    assert parity.compare(*place(("Box", BOX), ("area", AREA))) == []


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("Box", BOX.replace(">=", ">"), "differs from shapes.py:14"),
        ("Box", BOX.replace("side(self, k)", "side(self, k=0)"), "differs from"),
        ("area", AREA.replace("@functools.cache\n", ""), "differs from"),
        ("area", AREA.replace(": int", ""), "differs from"),
        ("area", AREA.replace("*", "+"), "differs from"),
        ("Box", BOX + "\nbox = Box()", "must hold exactly the definition of Box"),
        ("Box", AREA, "must hold exactly the definition of Box"),
        ("Box", "%%time\n" + BOX, "magics are not allowed"),
        ("Ball", "class Ball:\n    pass", "found: nowhere"),
    ],
)
def test_one_changed_operator_fails_and_the_fixer_mends_it(place, name, source, words):
    folders = place((name, source))
    (line,) = parity.compare(*folders)
    assert words in line and line.startswith("04_x.ipynb, cell 0: define:")
    (line,) = parity.compare(*folders, write=True)
    if name == "Ball":  # nothing to copy
        assert "found: nowhere" in line
    else:
        assert "rewritten" in line
        assert parity.compare(*folders) == []


LONG = "class Box:\n    def __init__(self, h, w):\n        self.h, self.w = h, w\n\n" + BOX.partition("\n")[2]
FIRST = "class Box:\n    def __init__(self, h, w):\n        self.h, self.w = h, w"
SECOND = 'class Box(Box):\n    """More of it."""\n\n' + BOX.partition("\n")[2]


def test_a_long_class_goes_on_in_a_second_cell_and_the_fixer_mends_the_cell_that_differs(place):
    folders = place(("Box", FIRST), ("Box", SECOND))
    (folders[1] / "shapes.py").write_text(
        PACKAGE.partition("class Box")[0] + LONG + "\n\n    def new(self):\n        pass\n", encoding="utf-8"
    )
    assert "differs from" in parity.compare(*folders)[0]
    assert "rewritten" in parity.compare(*folders, write=True)[0]
    assert parity.compare(*folders) == []
    one, two = (c.source for c in nbformat.read(folders[0] / "04_x.ipynb", as_version=4).cells)
    assert one == FIRST and two.startswith("class Box(Box):\n    def side") and two.endswith("pass")
    space = {"area": None}
    exec(one + "\n" + two, space)
    assert space["Box"](3, 4).side(1) == 4


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (SECOND.replace(">=", ">"), "differs from"),
        (SECOND.replace("(Box)", ""), "must begin with `class Box(Box):`"),
        (SECOND.replace("(Box)", "(object)"), "must begin with `class Box(Box):`"),
        (SECOND.replace("class Box(Box)", "class Other(Box)"), "must hold exactly the definition of Box"),
    ],
)
def test_a_class_in_two_cells_must_go_on_with_itself(place, second, words):
    folders = place(("Box", FIRST), ("Box", second))
    (folders[1] / "shapes.py").write_text(LONG + "\n", encoding="utf-8")
    assert words in parity.compare(*folders)[0]


def test_the_fixer_leaves_equal_cells_alone_and_copies_decorators_and_comments(place):
    folders = place(("Box", BOX), ("area", "def area(): pass"))
    parity.compare(*folders, write=True)
    cells = nbformat.read(folders[0] / "04_x.ipynb", as_version=4).cells
    assert cells[0].source == BOX
    assert cells[1].source.startswith("@functools.cache\n") and cells[1].source.endswith("# the product")


def test_the_fixer_keeps_to_80_columns(place):
    folders = place(("long", "def long(): pass"))
    arguments = ", ".join(f"argument_{k}" for k in range(8))
    (folders[1] / "long.py").write_text(f"def long({arguments}):\n    return {arguments}\n", encoding="utf-8")
    parity.compare(*folders, write=True)
    source = nbformat.read(folders[0] / "04_x.ipynb", as_version=4).cells[0].source
    assert max(map(len, source.splitlines())) <= 80
    assert parity.compare(*folders) == []


def test_the_fixer_puts_a_comment_that_does_not_fit_above_its_line(place):
    folders = place(("long", "def long(): pass"))
    line = "    value = first_argument * second_argument + third_argument"
    head, tail = "def long(first_argument, second_argument, third_argument):", "    return value"
    (folders[1] / "long.py").write_text(f"{head}\n{line}  # (B, C, H, W), what it is\n{tail}\n", encoding="utf-8")
    parity.compare(*folders, write=True)
    source = nbformat.read(folders[0] / "04_x.ipynb", as_version=4).cells[0].source
    assert source.splitlines()[1:3] == ["    # (B, C, H, W), what it is", line]
    assert parity.compare(*folders) == []


def test_a_name_is_defined_once_over_all_notebooks_and_once_in_the_package(place):
    place(("Box", BOX), name="03_y")
    folders = place(("Box", BOX))
    assert parity.compare(*folders) == ["04_x.ipynb, cell 0: define:Box: defined in 03_y.ipynb already"]
    (folders[1] / "twin.py").write_text(PACKAGE, encoding="utf-8")
    assert "found: shapes.py, twin.py" in parity.compare(*folders)[0]


def test_the_command_says_that_all_is_well():
    done = subprocess.run([sys.executable, ROOT / "tools/parity.py"], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (0, "every definition equals the package's\n")
