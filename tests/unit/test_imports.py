"""Floors: a module imports only from floors below it, and heavy libraries only where they are used."""

import ast
import json
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "dtse_core"
HEAVY = {"decord", "h5py", "scipy", "pandas", "matplotlib", "ipywidgets"}


def part(path: Path, package: Path = PACKAGE) -> str:
    """A module of the root, or the folder that it lies in."""
    return path.relative_to(package).with_suffix("").parts[0]


def imported(path: Path, package: Path = PACKAGE) -> set[str]:
    """Parts of dtse_core that a module imports anywhere in its text, itself excepted."""
    found: set[str] = set()
    here = ["dtse_core", *path.relative_to(package).with_suffix("").parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{stem}.{alias.name}" if stem == "dtse_core" else stem for alias in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("dtse_core.")}
    return found - {part(path, package)}


def modules(package: Path = PACKAGE) -> list[Path]:
    return [p for p in sorted(package.rglob("*.py")) if p != package / "__init__.py"]


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


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Names from which the arrows lead back to themselves."""

    def reached(name: str) -> set[str]:
        found, waiting = set(), [name]
        while waiting:
            new = graph.get(waiting.pop(), set()) - found
            found, waiting = found | new, [*waiting, *new]
        return found

    return [name for name in graph if name in reached(name)]


def test_neighbours_never_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for path in modules():
        graph.setdefault(part(path), set()).update(imported(path))
    assert circles(graph) == []
    broken = {"train": {"evaluate"}, "evaluate": {"metrics"}, "metrics": {"train"}, "viz": {"train"}}
    assert circles(broken) == list(broken)[:3]


def test_decord_is_at_no_module_top():
    assert [p.name for p in modules() if "decord" in at_import(p)] == []


def test_the_nets_catch_a_climbing_import_and_decord_at_the_top(tmp_path):
    (tmp_path / "lmdf.py").write_text("import torch\nif True:\n    import decord\nfrom .model import DTSE\n")
    assert imported(tmp_path / "lmdf.py", tmp_path) == {"model"}
    assert "decord" in at_import(tmp_path / "lmdf.py")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/video.py").write_text("def read():\n    import decord\nfrom ..train import train\n")
    assert imported(tmp_path / "data/video.py", tmp_path) == {"train"}
    assert at_import(tmp_path / "data/video.py") == set()
    (tmp_path / "vlmg.py").write_text("from dtse_core import model\nimport dtse_core.encoder\n")
    assert imported(tmp_path / "vlmg.py", tmp_path) == {"model", "encoder"}


def loaded_after(statements: str) -> set[str]:
    code = f"{statements}; import json, sys; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_import_of_the_package_loads_no_heavy_library():
    assert HEAVY & loaded_after("import dtse_core; dtse_core.preset, dtse_core.RunConfig") == set()


def test_the_model_loads_no_heavy_library_beyond_those_of_transformers():
    theirs = "import sys; from transformers import BertModel, ResNetModel; theirs = set(sys.modules)"
    ours = f"import dtse_core; dtse_core.DTSE; assert not {HEAVY} & (set(sys.modules) - theirs)"
    assert "dtse_core" in loaded_after(f"{theirs}; {ours}")


def test_import_of_the_notebook_helpers_loads_no_heavy_library():
    assert (HEAVY | {"papermill", "IPython"}) & loaded_after("import dtse_core.notebook") == set()


def test_that_check_sees_a_heavy_library():
    assert "scipy" in loaded_after("import dtse_core, scipy")
