"""Which room of the package may use which: four rules, no circle, and heavy libraries only where they are used."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dtse_core"
HEAVY = {"decord", "h5py", "scipy", "pandas", "matplotlib", "ipywidgets"}
PAPER = ("layers", "streams", "vlmg", "encoder", "lmdf", "decoder", "model")
LOOP = ("losses", "metrics", "train", "evaluate", "predict")
RULES = [  # who, never imports, but for
    ([*PAPER, *LOOP, "training.*"], ["notebook*", "experiments*"], []),
    (["data.*"], ["scoring*", "training*", "metrics"], []),
    (["predict", "video.*"], ["scoring*"], []),
    (["*"], ["data.toy*"], ["data.*", "notebook.*"]),  # notebook/: what draws figures
    (["*"], ["data.prepare*"], ["data.prepare.*"]),  # reached by its command alone
]


def name_of(path: Path, package: Path = PACKAGE) -> str:
    """`dtse_core/video/files.py` is `video.files`, a folder's `__init__.py` the folder."""
    return ".".join(p for p in path.relative_to(package).with_suffix("").parts if p != "__init__")


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    return {name_of(p, package): p for p in sorted(package.rglob("*.py")) if p != package / "__init__.py"}


def imported(name: str, found: dict[str, Path]) -> set[str]:
    """Modules of the package that a module imports anywhere in its text, in functions too."""
    path, names = found[name], set()
    here = ["dtse_core", *name.split(".")]
    here = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
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
    assert root == {"__init__", "config", *PAPER, *LOOP}


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
    for path in modules().values():
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    before = set(broken_rules(modules(tmp_path)))
    with (tmp_path / where).open("a") as file:
        file.write(text)
    assert fault in set(broken_rules(modules(tmp_path))) - before


def at_import(path: Path) -> set[str]:
    """Top packages imported when the module is: everything outside functions."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found


def test_decord_is_at_no_module_top(tmp_path):
    assert [name for name, path in modules().items() if "decord" in at_import(path)] == []
    planted = tmp_path / "files.py"
    planted.write_text("import torch\nif True:\n    import decord\n")
    assert "decord" in at_import(planted)
    planted.write_text("def read():\n    import decord\n")
    assert at_import(planted) == set()


def loaded_after(statements: str) -> set[str]:
    """All modules, by full name, after a fresh interpreter has run the statements."""
    code = f"{statements}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_import_of_the_package_loads_no_heavy_library():
    assert HEAVY & loaded_after("import dtse_core; dtse_core.preset, dtse_core.RunConfig") == set()


@pytest.mark.parametrize(("module", "most"), [("model", 9), ("predict", 22), ("train", 36)])
def test_a_door_opens_into_few_rooms(module, most):
    own = {name for name in loaded_after(f"import dtse_core.{module}") if name.partition(".")[0] == "dtse_core"}
    assert len(own) <= most, sorted(own)
    if module == "train":
        assert not own & {f"dtse_core.{name}" for name in ("evaluate", "predict", "video.export", "scoring.answers")}


def test_the_model_loads_no_heavy_library_beyond_those_of_transformers():
    theirs = "import sys; from transformers import BertModel, ResNetModel; theirs = set(sys.modules)"
    ours = f"import dtse_core; dtse_core.DTSE; assert not {HEAVY} & (set(sys.modules) - theirs)"
    assert "dtse_core" in loaded_after(f"{theirs}; {ours}")


def test_import_of_the_notebook_helpers_loads_no_heavy_library():
    assert (HEAVY | {"papermill", "IPython"}) & loaded_after("import dtse_core.notebook.lesson") == set()


def test_that_check_sees_a_heavy_library():
    assert "scipy" in loaded_after("import dtse_core, scipy")
