"""Every committed notebook keeps the rules of tools/hygiene.py, and every rule catches what it is for."""

import ast
import base64
import copy
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tools import heads
from tools.hygiene import RULES, Page, faults, tree

ROOT = Path(__file__).resolve().parents[2]


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks_and_all_lessons_are_in_the_table():
    assert NOTEBOOKS, "no notebooks found"
    assert {p.stem for p in NOTEBOOKS} - {"experiment"} <= {row["name"] for row in heads.lessons()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_keeps_the_rules(path):
    found = faults(Page.read(path))
    assert not found, "\n".join(["", *found])


def test_heads_and_index_are_as_generated():
    assert heads.refresh(ROOT / "notebooks", write=False) == [], "out of date; run make heads"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_first_cell_changes_nothing_that_is_installed(path):
    installs = [c.source for c in nbformat.read(path, 4).cells if "pip install" in c.source and c.cell_type == "code"]
    (line,) = (line for line in installs[0].splitlines() if "%pip" in line)
    words = line.split()
    assert len(installs) == 1 and words[:4] == ["%pip", "install", "-q", "--no-deps"]
    assert all(re.fullmatch(r"\$SOURCE|[a-z0-9]+", word) for word in words[4:])  # no option, and no version asked for


def git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_commit_that_a_notebook_installs_has_what_it_imports(path):
    """If not: commit the package, run `make heads`, and commit the notebooks."""
    (named,) = (m[1] for c in nbformat.read(path, 4).cells if (m := heads.COMMIT.search(c.source)))
    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("not a git checkout with its history")
    assert git("merge-base", "--is-ancestor", named, "HEAD").returncode == 0, f"{named} is not part of this history"
    files = set(git("ls-tree", "-r", "--name-only", named, "dtse_core").stdout.splitlines())
    for module, names in imported(path):
        home = module.replace(".", "/")
        source = next((f for f in (f"{home}.py", f"{home}/__init__.py") if f in files), "")
        assert source, f"commit {named[:10]} has no {module}; after a commit, make heads"
        text = git("show", f"{named}:{source}").stdout
        absent = [n for n in names if not re.search(rf"\b{n}\b", text) and f"{home}/{n}.py" not in files]
        assert not absent, f"{source} of commit {named[:10]} has no {', '.join(absent)}; after a commit, make heads"


def imported(path: Path) -> list[tuple[str, list[str]]]:
    """What the cells of a notebook import from the package: module and names."""
    trees = [tree(c) for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    nodes = [node for t in trees if t for node in ast.walk(t) if isinstance(node, ast.ImportFrom) and node.module]
    return [(n.module, [a.name for a in n.names]) for n in nodes if n.module.partition(".")[0] == "dtse_core"]


def test_training_notebooks_ask_colab_for_a_gpu_and_no_others():
    asking = {p.stem: nbformat.read(p, 4).metadata for p in NOTEBOOKS}
    asking = {name: metadata["colab"] for name, metadata in asking.items() if metadata.get("accelerator") == "GPU"}
    assert asking == {name: {"gpuType": "T4"} for name in ("08_train_a_subset", "11_ablations", "13_real_footage")}


# ---- the rules themselves, on a small notebook that keeps them all

PARAMETERS = """\
PROFILE = "smoke"  # smoke, colab or paper
SEED = 0  # of every generator
DEVICE = ""  # "" chooses
DATA_ROOT = ""  # "" is the toy world
STEPS = 20  # how long"""
BOOTSTRAP = """\
from dtse_core.notebook.lesson import check, claims_checked, setup

run = setup(profile=PROFILE, seed=SEED, device=DEVICE, data_root=DATA_ROOT, steps=STEPS)"""

QUOTE = """\
> Extensive experiments on four datasets verify the effectiveness […] of the proposed model.
>
> *The paper, [arXiv 2203.15969](https://arxiv.org/abs/2203.15969)*"""
LINE = "[register]: https://x.org/y/blob/main/docs/register.md"
MARKED = f"By hand [*choice 3*][register].\n\n{LINE}"
TICK = "✓ yes\n"
COUNT = "This notebook checked 1 claim.\n"


def said(text: str) -> list[nbformat.NotebookNode]:
    return [new_output("stream", name="stdout", text=text)]


def png(width: int = 300, noise: bool = False) -> str:
    file = io.BytesIO()
    picture = Image.effect_noise((width, 300), 100) if noise else Image.new("RGB", (width, 60))
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def sample() -> nbformat.NotebookNode:
    """A notebook 04 that keeps every rule; the cells' order is fixed, tests below name them by tag."""
    text, code = new_markdown_cell, new_code_cell
    figure = [new_output("display_data", {"image/png": png(), "text/plain": "<Figure size 300x60>"})]
    rows = [
        *[("head", text("# 04")), ("goals", text("You will")), ("roadmap", text("![the model](attachment:map.svg)"))],
        *[("parameters", code(PARAMETERS)), ("bootstrap", code(BOOTSTRAP.replace("data_root", "\n    data_root")))],
        *[
            ("idea", text(QUOTE)),
            ("toy", text("By hand [*choice 3*][register].\n\n" + LINE)),
            ("toy", code("1 + STEPS")),
            ("", text("Now the class.")),
        ],
        *[
            ("define:VLMG", code("class VLMG:\n    pass")),
            ("check", code('check(True, "yes")', outputs=said("✓ yes\n"))),
        ],
        *[("", text("On the clip.")), ("real", code("plot()", outputs=figure)), ("", text("See."))],
        *[("exercise", text("One.")), ("exercise", code("def f():\n    return None"))],
        *[("exercise", text("Two.")), ("exercise", code("def g():\n    return None"))],
        *[
            ("summary", text("What we saw.")),
            ("", text("Next.")),
            ("assertions", code("claims_checked()", outputs=said(COUNT))),
        ],
    ]
    notebook = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    count = 0
    for tag, cell in rows:
        cell.metadata["tags"] = [tag] if tag else []
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
        notebook.cells.append(cell)
    return notebook


def cell(notebook: nbformat.NotebookNode, tag: str, kind: str = "code") -> nbformat.NotebookNode:
    return next(c for c in notebook.cells if tag in c.metadata.tags and c.cell_type == kind)


def test_the_sample_keeps_every_rule():
    assert faults(Page("04_x", sample(), 20_000)) == []


def replace(tag: str, old: str, new: str):
    def change(n):
        found = cell(n, tag)
        assert old in found.source
        found.source = found.source.replace(old, new)

    return change


def swap(n, a: str, b: str) -> None:
    i, j = (next(k for k, c in enumerate(n.cells) if t in c.metadata.tags) for t in (a, b))
    n.cells[i], n.cells[j] = n.cells[j], n.cells[i]


def drop(n, tag: str) -> None:
    n.cells = [c for c in n.cells if tag not in c.metadata.tags]
    for k, c in enumerate((c for c in n.cells if c.cell_type == "code"), 1):
        c.execution_count = k


def output(tag: str, *outputs):
    return lambda n: cell(n, tag).update(outputs=list(outputs))


def text(tag: str, old: str, new: str):
    """As `replace`, in the first prose cell of that tag."""

    def change(n):
        found = cell(n, tag, "markdown")
        assert old in found.source
        found.source = found.source.replace(old, new)

    return change


def longer(n) -> None:
    for c in n.cells:
        if c.cell_type == "code" and "bootstrap" not in c.metadata.tags:
            c.source += "\n1" * (21 - len(c.source.splitlines()))


SLIPS = [
    ("tags_in_order", "no cell is tagged goals", lambda n: drop(n, "goals")),
    ("tags_in_order", "unknown tag parameter (did you mean parameters?)", lambda n: n.cells[5].metadata.update(tags=["idea", "parameter"])),  # noqa: E501
    ("tags_in_order", "tags stand in the order", lambda n: swap(n, "goals", "roadmap")),
    ("tags_in_order", "an appendix stands between", lambda n: n.cells[11].metadata.update(tags=["appendix"])),
    ("tags_in_order", "check stands outside the body", lambda n: n.cells[18].metadata.update(tags=["summary", "check"])),  # noqa: E501
    ("tags_in_order", "no cell is tagged toy", lambda n: drop(n, "toy")),
    ("tags_in_order", "nothing checks define:VLMG", lambda n: swap(n, "define:VLMG", "check")),
    ("tags_in_order", "the last cell is not tagged assertions", lambda n: n.cells.append(new_markdown_cell("x"))),
    ("two_or_three_exercises", "0 code cells are tagged exercise", lambda n: drop(n, "exercise")),
    ("parameters_plain_and_read", "2 cells are tagged parameters", lambda n: n.cells[7].metadata.update(tags=["parameters"])),  # noqa: E501
    ("parameters_plain_and_read", "found `SEED = 0`", replace("parameters", "SEED = 0  # of every generator", "SEED = 0")),  # noqa: E501
    ("parameters_plain_and_read", "found `STEPS = 2 * 10", replace("parameters", "20", "2 * 10")),
    ("parameters_plain_and_read", "found `STEPS = None", replace("parameters", "20", "None")),
    ("parameters_plain_and_read", "found `STEPS = [20]", replace("parameters", "20", "[20]")),
    ("parameters_plain_and_read", "found `STEPS: int = 20", replace("parameters", "STEPS =", "STEPS: int =")),
    ("parameters_plain_and_read", "begin with PROFILE, SEED, STEPS", replace("parameters", 'DEVICE = ""  # "" chooses\nDATA_ROOT = ""  # "" is the toy world\n', "")),  # noqa: E501
    ("parameters_plain_and_read", "9 parameters; at most 8", replace("parameters", "STEPS = 20  # how long", "\n".join(f"A{k} = {k}  # x" for k in range(5)))),  # noqa: E501
    ("parameters_plain_and_read", "setup() does not get STEPS; pass steps=STEPS", replace("bootstrap", ", steps=STEPS", "")),  # noqa: E501
    ("parameters_plain_and_read", "setup() does not get SEED", replace("bootstrap", "seed=SEED", "seed=STEPS")),
    ("parameters_plain_and_read", "gets stps, which is not a parameter", replace("bootstrap", "steps=STEPS", "stps=STEPS")),  # noqa: E501
    ("parameters_plain_and_read", "calls setup() 0 times", replace("bootstrap", "run = setup(", "run = set_up(")),
    ("parameters_plain_and_read", "no cell after set-up reads the parameter STEPS", replace("toy", "STEPS", "20")),
    ("within_budget", "1 markdown cells for", lambda n: n.update(cells=[c for c in n.cells if c.cell_type == "code" or "head" in c.metadata.tags])),  # noqa: E501
    ("within_budget", "at most 2.2 for one", lambda n: n.cells.extend([new_markdown_cell("x", metadata={"tags": []})] * 20)),  # noqa: E501
    ("within_budget", "more than 21 lines; at most 20", longer),
    ("within_budget", "41 lines; at most 40", replace("real", "plot()", "\n".join(["plot()"] * 41))),
    ("within_budget", "7 lines; at most 6", replace("bootstrap", "run =", "1\n2\n3\nrun =")),
    ("within_budget", "81 columns; at most 80", replace("real", "plot()", "x" * 81)),
    ("within_budget", "1000 pixels; at most 60 KB, 800", output("real", new_output("display_data", {"image/png": png(1000)}))),  # noqa: E501
    ("within_budget", "KB, 700 pixels; at most 60 KB", output("real", new_output("display_data", {"image/png": png(700, noise=True)}))),  # noqa: E501
    ("within_budget", "an SVG figure", output("real", new_output("display_data", {"image/svg+xml": "<svg/>"}))),
    ("a_sentence_before_code", "without a sentence", lambda n: n.cells.pop(11)),
    ("executed_once_in_order", "expected 1 to", lambda n: cell(n, "real").update(execution_count=None)),
    ("executed_once_in_order", "expected 1 to", lambda n: cell(n, "real").update(execution_count=99)),
    ("executed_once_in_order", "compares nothing", lambda n: cell(n, "toy").metadata.tags.append("nbval-check-output")),  # noqa: E501
    ("executed_once_in_order", "empty", replace("real", "plot()", " ")),
    ("executed_once_in_order", "checks a claim, but its output has no ✓", output("check", *said("yes\n"))),
    ("executed_once_in_order", "hold 1 checked claims, the last cell counts [2]", output("assertions", *said(COUNT.replace("1", "2")))),  # noqa: E501
    ("executed_once_in_order", "hold 1 checked claims, the last cell counts []", output("assertions")),
    ("executed_once_in_order", "hold 2 checked claims, the last cell counts [1]", output("toy", *said("✓ no\n"))),
    ("marked_and_quoted", "*choice 3* leads nowhere", text("toy", "[*choice 3*][register]", "*choice 3*")),
    ("marked_and_quoted", "*abstract* leads nowhere", text("toy", "[*choice 3*][register]", "(*abstract*)")),
    ("marked_and_quoted", "[A, D-3] leads nowhere", text("toy", "[*choice 3*][register]", "[A, D-3]")),
    ("marked_and_quoted", "the line `[register]: ADDRESS/blob", text("toy", LINE, "")),
    ("marked_and_quoted", "the line `[register]: ADDRESS/blob", text("toy", "register.md", "recipe.md")),
    ("marked_and_quoted", "what the abstract does not say: Extensive studies", text("idea", "experiments", "studies")),
    ("marked_and_quoted", "no sentence of the abstract is quoted", text("idea", "> E", "E")),
    ("links_hold_anywhere", "cell 1: ../docs/a.md leads nowhere", text("goals", "You will", "[all](../docs/a.md)")),
    ("links_hold_anywhere", "cell 1: ../docs/a.md leads", text("goals", "You will", "[all](<../docs/a.md>)")),
    ("links_hold_anywhere", "cell 1: ../a.png leads", text("goals", "You will", '<img src="../a.png">')),
    ("links_hold_anywhere", "cell 1: lessons.toml leads", text("goals", "You will", "[all](lessons.toml)")),
    ("links_hold_anywhere", "cell 1: ./a.md leads nowhere", text("goals", "You will", "[all][a]\n\n[a]: ./a.md")),
    ("nothing_skipped", "is skipped by nbval", lambda n: cell(n, "real").metadata.tags.append("nbval-skip")),
    ("nothing_skipped", "is skipped by nbval", replace("real", "plot()", "# NBVAL_SKIP\nplot()")),
    ("nothing_skipped", "use a tag", replace("real", "plot()", "# NBVAL_IGNORE_OUTPUT\nplot()")),
    ("nothing_skipped", "for versions, devices and times only", lambda n: cell(n, "check").metadata.tags.append("nbval-ignore-output")),  # noqa: E501
    ("no_closing_semicolon", "ends in a semicolon", replace("real", "plot()", "plot(); ")),
    ("no_clock_in_a_check", "cell 10: a clock's value in a check", replace("check", "True", "time.perf_counter() < end")),  # noqa: E501
    ("no_clock_in_a_check", "print it instead: check(took.best < 1,", lambda n: (replace("toy", "1 + STEPS", "took = %timeit -o f(STEPS)")(n), replace("check", "True", "took.best < 1")(n))),  # noqa: E501
    ("clean_outputs", "kernelspec is not python3", lambda n: n.metadata.kernelspec.update(name="mine")),
    ("clean_outputs", "metadata.widgets is present", lambda n: n.metadata.update(widgets={})),
    ("clean_outputs", "metadata.papermill is present", lambda n: n.metadata.update(papermill={})),
    ("clean_outputs", "papermill's parameters", lambda n: n.cells[7].metadata.tags.append("injected-parameters")),
    ("clean_outputs", "metadata.execution is present", lambda n: n.cells[7].metadata.update(execution={})),
    ("clean_outputs", "is an error: ValueError", output("real", new_output("error", ename="ValueError", evalue="", traceback=[]))),  # noqa: E501
    ("clean_outputs", "is a widget", output("real", new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}}))),  # noqa: E501
    ("clean_outputs", "a value of 21 lines", output("real", new_output("display_data", {"text/plain": "1\n" * 20}))),
    ("clean_outputs", "writes to stderr: 'bad'", output("real", new_output("stream", name="stderr", text="bad"))),
    ("no_private_paths", ".../home/a...", output("real", new_output("stream", name="stdout", text="in /home/ann/x"))),
    ("no_private_paths", "an absolute path", replace("real", "plot()", 'open("C:\\\\data")')),
    ("no_private_paths", "an absolute path", output("real", new_output("display_data", {"text/plain": "('/tmp/x',)"}))),
    ("no_private_paths", "without alt text", lambda n: n.cells[2].update(source="![](map.svg)")),
    ("no_private_paths", "without alt text", lambda n: n.cells[2].update(source='<img src="map.svg">')),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "words", "slip"), SLIPS, ids=[f"{rule}-{k}" for k, (rule, _, _) in enumerate(SLIPS)])
def test_each_slip_is_caught_by_its_rule(rule, words, slip):
    notebook = copy.deepcopy(sample())
    slip(notebook)
    found = [f for f in faults(Page("04_x", notebook, 20_000)) if f.endswith(f"[{rule}]")]
    assert any(words in f for f in found), found


def test_every_rule_has_a_slip():
    assert {rule.__name__ for rule in RULES} == {rule for rule, _, _ in SLIPS}


def test_a_heavy_file_is_caught():
    assert ["the file has 301 KB; at most 300" in f for f in faults(Page("04_x", sample(), 301_000))] == [True]


def test_addresses_and_links_are_no_private_paths():
    notebook = sample()
    notebook.cells[1].source = "<https://x.org/home/a> ![alt](https://x.org/tmp/x.png) runs/tmp/x and 3 /opt"
    assert faults(Page("04_x", notebook, 1)) == []


def test_a_notebook_that_is_no_lesson_is_free_in_its_parts_but_not_in_its_outputs():
    notebook = sample()
    drop(notebook, "goals")
    drop(notebook, "exercise")
    assert faults(Page("experiment", notebook, 1)) == []
    assert faults(Page("04_x", notebook, 1)) != []
    output("toy", new_output("stream", name="stderr", text="warning"))(notebook)
    assert [f.rpartition("[")[2] for f in faults(Page("experiment", notebook, 1))] == ["clean_outputs]"]


def test_notebooks_about_results_need_no_toy():
    notebook = sample()
    cell(notebook, "toy", "markdown").metadata.tags = []
    cell(notebook, "toy").metadata.tags = []
    assert faults(Page("08_x", notebook, 1)) == []
    assert any("no cell is tagged toy" in f for f in faults(Page("04_x", notebook, 1)))


# ---- generated heads


def test_head_links_only_to_notebooks_that_exist():
    text = heads.head("04_vlmg", ["03_two_streams", "04_vlmg"], "https://github.com/a/b")
    assert "(03_two_streams.ipynb)" in text and "05_" not in text and "01_the_map" not in text
    assert "https://colab.research.google.com/github/a/b/blob/main/notebooks/04_vlmg.ipynb" in text
    assert "https://github.com/a/b/blob/main/dtse_core/vlmg.py" in text
    assert "(05_interleaved_encoder.ipynb)" in heads.head("04_vlmg", ["05_interleaved_encoder"], "x")


def test_a_changed_head_is_found_and_mended(tmp_path):
    nbformat.write(sample(), tmp_path / "04_vlmg.ipynb")
    assert heads.refresh(tmp_path, write=False) == ["04_vlmg.ipynb", "README.md"]
    assert not (tmp_path / "README.md").exists()
    heads.refresh(tmp_path, write=True)
    assert heads.refresh(tmp_path, write=False) == []
    assert nbformat.read(tmp_path / "04_vlmg.ipynb", 4).cells[0].source.startswith("# 04 · Vision-language mutual")
    with pytest.raises(ValueError, match="99_x.ipynb is not in notebooks/lessons.toml"):
        heads.head("99_x", [], "x")


def test_the_front_page_counts_the_claims_of_the_executed_notebooks(tmp_path):
    folder, front = tmp_path / "notebooks", tmp_path / "README.md"
    folder.mkdir()
    front.write_text(f"before\n{heads.PATH[0]}\nold\n{heads.PATH[1]}\nafter\n", encoding="utf-8")
    for name, count in (("03_two_streams", 4), ("04_vlmg", 9)):
        last = nbformat.v4.new_code_cell("claims_checked()")
        last.outputs = [nbformat.v4.new_output("stream", text=f"This notebook checked {count} claims.\n")]
        nbformat.write(nbformat.v4.new_notebook(cells=[last]), folder / f"{name}.ipynb")
    assert "../README.md" in heads.refresh(folder, write=False)
    heads.refresh(folder, write=True)
    text = front.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "(notebooks/04_vlmg.ipynb)" in text and "| 9 | [open](" in text and "**13**" in text
    assert heads.refresh(folder, write=False) == []


def test_modules_of_the_table_exist_for_the_notebooks_that_exist():
    for row in heads.lessons():
        if row["name"] in {p.stem for p in NOTEBOOKS}:
            assert (ROOT / "dtse_core" / row["module"]).is_file(), row["name"]


# ---- nbval as `make test` calls it

RANDOM = "import random\nprint(random.random())"
CELLS = [  # source, execution count, committed output, does nbval accept it strictly
    ('import os\nprint(os.environ["DTSE_HEADLESS"], os.environ["OMP_NUM_THREADS"])', 1, "1 1\n", True),
    ('print("3.21 s on torch 2.13.0+cpu")', 2, "18 s on torch 2.4.1\n", True),  # times and versions differ
    ("print(0.25)", 3, "0.75\n", False),
    (RANDOM, 4, "0.1\n", False),
    (RANDOM, None, "", True),  # stripped: nbval compares nothing
]


def nbval(folder: Path, mode: str, cells: list[tuple]) -> list[bool]:
    """Which cells nbval accepts, under notebooks/conftest.py and nothing else of our environment."""
    notebook = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for source, count, text, _ in cells:
        outputs = [new_output("stream", name="stdout", text=text)] if text else []
        notebook.cells.append(new_code_cell(source, execution_count=count, outputs=outputs))
    nbformat.write(notebook, folder / "04_x.ipynb")
    (folder / "conftest.py").write_text((ROOT / "notebooks/conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    options = [mode, "--nbval-current-env", "--nbval-sanitize-with", str(ROOT / "tests/sanitize.cfg")]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *options, "04_x.ipynb"]
    environment = {k: v for k, v in os.environ.items() if k not in ("DTSE_HEADLESS", "OMP_NUM_THREADS")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    found = re.findall(r"::Cell (\d+) (PASSED|FAILED)", done.stdout, re.MULTILINE)
    assert [int(k) for k, _ in found] == list(range(len(cells))), done.stdout
    assert done.returncode == int("FAILED" in dict(found).values())
    return [state == "PASSED" for _, state in found]


def test_strict_nbval_compares_all_but_times_versions_and_stripped_cells(tmp_path):
    assert nbval(tmp_path, "--nbval", CELLS) == [accepted for *_, accepted in CELLS]
    counts = [f for f in faults(Page.read(tmp_path / "04_x.ipynb")) if "execution counts" in f]
    assert counts, "the rule on counts must catch what nbval lets through"


def test_lax_nbval_compares_nothing_but_still_fails_on_an_error(tmp_path):
    assert nbval(tmp_path, "--nbval-lax", [CELLS[2], ("assert False", 2, "", False)]) == [True, False]
