"""Which room of the package may use which: four rules, no circle, and heavy libraries only where they are used."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dtse_core"
HEAVY = {"av", "h5py", "scipy", "pandas", "matplotlib", "ipywidgets"}
PAPER = ("layers", "streams", "vlmg", "encoder", "lmdf", "decoder", "model")
LOOP = ("losses", "metrics", "train", "evaluate", "predict")
RULES = [  # who, never imports, but for
    ([*PAPER, *LOOP, "training.*"], ["notebook*", "experiments*"], []),
    (["data.*"], ["scoring*", "training*", "metrics"], []),
    (["predict", "video.*"], ["scoring*"], []),
    (["*"], ["data.toy*"], ["data", "data.*", "notebook.*"]),  # notebook/: what draws figures
    (["*"], ["data.prepare*"], ["data.prepare.*"]),  # reached by its command alone
]


def name_of(path: Path, package: Path = PACKAGE) -> str:
    """`dtse_core/video/files.py` is `video.files`, a folder's `__init__.py` the folder."""
    return ".".join(p for p in path.relative_to(package).with_suffix("").parts if p != "__init__")


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    return {name_of(p, package): p for p in sorted(package.rglob("*.py")) if p != package / "__init__.py"}


@cache
def imports_in(path: Path) -> list[ast.Import | ast.ImportFrom]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(name: str, found: dict[str, Path]) -> set[str]:
    """Modules of the package that a module imports anywhere in its text, in functions too."""
    path, names = found[name], set()
    here = ["dtse_core", *name.split(".")]
    here = here if path.name == "__init__.py" else here[:-1]
    for node in imports_in(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            base = here[: len(here) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {stem} | {f"{stem}.{alias.name}" for alias in node.names}
    return ({n.removeprefix("dtse_core.") for n in names if n.startswith("dtse_core.")} & set(found)) - {name}


def broken_rules(found: dict[str, Path]) -> Iterator[str]:
    for name in found:
        for who, never, but in RULES:
            if any(fnmatch(name, w) for w in who) and not any(fnmatch(name, b) for b in but):
                for other in imported(name, found):
                    if any(fnmatch(other, n) for n in never):
                        yield f"{name} imports {other}"


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Names from which the arrows lead back to themselves."""

    def reached(name: str) -> set[str]:
        found, waiting = set(), [name]
        while waiting:
            new = graph.get(waiting.pop(), set()) - found
            found, waiting = found | new, [*waiting, *new]
        return found

    return [name for name in graph if name in reached(name)]


def test_rooms_keep_to_the_rules():
    assert sorted(broken_rules(modules())) == []


def test_modules_never_import_each_other_in_a_circle():
    found = modules()
    assert circles({name: imported(name, found) for name in found}) == []
    broken = {"train": {"evaluate"}, "evaluate": {"metrics"}, "metrics": {"train"}, "predict": {"train"}}
    assert circles(broken) == list(broken)[:3]


def test_listing_the_package_shows_the_paper_and_its_loop():
    root = {p.stem for p in PACKAGE.glob("*.py")}
    assert root == {"__init__", "__main__", "config", *PAPER, *LOOP}


@pytest.mark.parametrize(
    ("where", "text", "fault"),
    [
        ("lmdf.py", "def f():\n    from .notebook.lesson import setup\n", "lmdf imports notebook.lesson"),
        ("training/batches.py", "from ..experiments import grid\n", "training.batches imports experiments.grid"),
        ("data/a2d.py", "import dtse_core.metrics\n", "data.a2d imports metrics"),
        ("predict.py", "from .scoring.clips import score\n", "predict imports scoring.clips"),
        ("scoring/summary.py", "from ..data.toy.world import EVIDENCE\n", "scoring.summary imports data.toy.world"),
        ("data/build.py", "from .prepare import check\n", "data.build imports data.prepare.check"),
    ],
)
def test_a_planted_import_is_found(tmp_path, where, text, fault):
    planted = tmp_path / Path(where).name
    planted.write_text((PACKAGE / where).read_text(encoding="utf-8") + text, encoding="utf-8")
    found = set(broken_rules(modules() | {name_of(PACKAGE / where): planted}))
    assert fault in found - set(broken_rules(modules()))


LOOKS = """
import json, os, sys

def look(statements):
    if not os.fork():  # in a process of its own, which begins with what is loaded here
        exec(statements)
        print(json.dumps([statements, sorted(sys.modules)]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, statements

look("import dtse_core.__main__")
look("import dtse_core; dtse_core.preset, dtse_core.RunConfig")
look("import scipy")
look("import dtse_core.data.toy.__main__, dtse_core.data.prepare.__main__")
import torch
look("import dtse_core.notebook.lesson")
from transformers import BertModel, ResNetModel
look("")
for name in ("model", "predict", "train"):
    look(f"import dtse_core.{name}")
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """All modules, by full name, that are loaded after some statements."""
    done = subprocess.run([sys.executable, "-c", LOOKS], capture_output=True, encoding="utf-8", cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return {statements: set(found) for statements, found in map(json.loads, done.stdout.splitlines())}


def test_the_command_loads_nothing_before_it_knows_what_is_asked_for(loaded):
    assert {name for name in loaded["import dtse_core.__main__"] if name.startswith("dtse_core.")} == {
        "dtse_core.__main__"
    }
    assert not {"tyro", "numpy", "torch"} & loaded["import dtse_core.__main__"]


def test_the_package_and_the_lessons_load_no_heavy_library(loaded):
    assert HEAVY & loaded["import dtse_core; dtse_core.preset, dtse_core.RunConfig"] == set()
    assert (HEAVY | {"papermill", "IPython"}) & loaded["import dtse_core.notebook.lesson"] == set()
    assert "scipy" in loaded["import scipy"], "the check sees a heavy library"


def test_the_model_loads_no_heavy_library_beyond_those_of_transformers(loaded):
    assert HEAVY & (loaded["import dtse_core.model"] - loaded[""]) == set()


def test_drawing_and_checking_files_need_no_torch(loaded):
    own = loaded["import dtse_core.data.toy.__main__, dtse_core.data.prepare.__main__"]
    assert "dtse_core.data.toy.level2.world" in own and "torch" not in own


@pytest.mark.parametrize(("module", "most"), [("model", 9), ("predict", 22), ("train", 36)])
def test_a_door_opens_into_few_rooms(loaded, module, most):
    own = {name for name in loaded[f"import dtse_core.{module}"] if name.partition(".")[0] == "dtse_core"}
    assert f"dtse_core.{module}" in own and len(own) <= most, sorted(own)
    if module == "train":
        assert not own & {f"dtse_core.{name}" for name in ("evaluate", "predict", "video.export", "scoring.answers")}
