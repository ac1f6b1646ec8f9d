"""The runner: refuses typos, keeps copies, names the failing cell, and normalizes what enters git."""

import base64
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from dtse_core.experiments.pages import page_of, title, write_index
from dtse_core.experiments.runner import Course, main, normalize, notebooks_in, run_all, run_notebook

PARAMETERS = 'SEED = 0  # of all\nRATE = 0.5  # a float\nFAST = True  # a bool\nNAME = "a#b"  # a text'
PIXEL = (  # a figure without matplotlib, which would take a second to import
    "import base64, io\nfrom PIL import Image\nfrom IPython.display import Image as Shown\n"
    "file = io.BytesIO()\nImage.new('RGB', (300, 200), '#0072B2').save(file, 'PNG')\nShown(file.getvalue())"
)


def write(path: Path, *cells: tuple[str, str], heading: str = "# 04 · A title") -> Path:
    """A notebook of code cells (tag, source) under a heading."""
    notebook = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}})
    notebook.cells = [new_markdown_cell(f"{heading}\n\n[next](05_next.ipynb)", metadata={"tags": ["head"]})]
    notebook.cells += [new_code_cell(source, metadata={"tags": [tag] if tag else []}) for tag, source in cells]
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def good(tmp_path) -> Path:
    return write(
        tmp_path / "04_good.ipynb",
        ("parameters", PARAMETERS),
        ("", "import os\nprint(SEED, RATE, FAST, NAME, os.environ['DTSE_HEADLESS'], os.path.basename(os.getcwd()))"),
        ("", PIXEL),
        ("assertions", 'print("This notebook checked 12 claims.")'),
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SEDE", "3", r"04_good.ipynb has no parameter SEDE \(did you mean 'SEED'\?\); it has SEED, RATE, FAST, NAME"),
        ("SEED", "x", "SEED is 'x'; it must be a whole number"),
        ("SEED", 1.5, "SEED is 1.5; it must be a whole number"),
        ("SEED", True, "SEED is True; it must be a whole number"),
        ("FAST", 1, "FAST is 1; it must be True or False"),
        ("NAME", 3, "NAME is 3; it must be a text"),
        ("FAST", "False", "FAST is 'False'; it must be True or False"),
        ("RATE", float("nan"), "RATE is nan; a parameter is a text, a finite number"),
        ("NAME", Path("x"), "a parameter is a text"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(good, tmp_path, name, value, words):
    with pytest.raises(ValueError, match=words):
        run_notebook(good, tmp_path / "out", {name: value})
    assert not (tmp_path / "out").exists()


def test_a_good_run_keeps_copy_page_and_result(good, tmp_path):
    before = dict(os.environ)
    result = run_notebook(good, tmp_path / "out")
    assert (result.ok, result.error, result.claims, result.title) == (True, "", 12, "04 · A title")
    assert dict(os.environ) == before  # the kernel's variables do not stay behind
    copy = nbformat.read(tmp_path / "out/04_good.ipynb", as_version=4)
    assert copy.cells[2].outputs[0].text == f"0 0.5 True a#b 1 {tmp_path.name}\n"
    page = (tmp_path / "out/04_good.html").read_text(encoding="utf-8")
    assert "This notebook checked 12 claims." in page and 'href="05_next.html"' in page
    stored = json.loads((tmp_path / "out/04_good.json").read_text(encoding="utf-8"))
    assert stored["claims"] == 12 and stored["versions"]["python"] == sys.version.split()[0]


def test_a_notebook_that_names_neither_language_nor_kernel_runs(tmp_path):
    call = "from dtse_core.notebook.lesson import setup\nsetup(seed=SEED)"
    cells = [new_code_cell("SEED = 0", metadata={"tags": ["parameters"]}), new_code_cell(call)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "own.ipynb")  # as a program writes it
    result = run_notebook(tmp_path / "own.ipynb", tmp_path / "out", {"SEED": 3})
    assert (result.ok, result.error) == (True, "") and result.used["SEED"] == 3


def test_setup_reports_what_was_used_and_a_parameter_that_it_misses_fails_the_run(tmp_path):
    call = "from dtse_core.notebook.lesson import setup\nrun = setup(seed=SEED{})"
    path = write(
        tmp_path / "04_a.ipynb", ("parameters", "SEED = 0  # x\nSTEPS = 1  # y"), ("", call.format(", steps=1"))
    )
    result = run_notebook(path, tmp_path / "out", {"SEED": 4})
    assert result.ok and result.used["SEED"] == 4 and result.config["train.seed"] == 4
    result = run_notebook(path, tmp_path / "out", {"STEPS": 9})  # the file passes 1, whatever STEPS is
    assert not result.ok and "asked for {'STEPS': 9}, but setup() got {'STEPS': 1}" in result.error


def test_plain_papermill_fails_on_a_misspelt_parameter_thanks_to_setup(tmp_path):
    call = "from dtse_core.notebook.lesson import setup\nsetup(seed=SEED)"
    path = write(tmp_path / "04_a.ipynb", ("parameters", "SEED = 0  # x"), ("", call))
    command = [sys.executable, "-m", "papermill", str(path), str(tmp_path / "out.ipynb"), "-p", "SEDE", "3"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode != 0 and "no parameter SEDE (did you mean 'SEED'?)" in done.stderr


def test_a_failing_cell_is_named_and_the_copies_are_kept(tmp_path):
    path = write(
        tmp_path / "05_bad.ipynb", ("parameters", "SEED = 0  # x"), ("", "x = 1\n1 / 0"), ("", "print('later')")
    )
    result = run_notebook(path, tmp_path / "out", {"SEED": 1})
    assert not result.ok
    assert result.error == "05_bad.ipynb: cell 2 (x = 1): ZeroDivisionError: division by zero"
    assert "ZeroDivisionError" in (tmp_path / "out/05_bad.html").read_text(encoding="utf-8")
    assert "later" not in [str(c.get("outputs")) for c in nbformat.read(tmp_path / "out/05_bad.ipynb", 4).cells][-1]


def test_an_endless_cell_ends_at_the_time_limit(tmp_path):
    path = write(tmp_path / "05_slow.ipynb", ("", "a = 1"), ("", "import time\ntime.sleep(60)"))
    result = run_notebook(path, tmp_path / "out", timeout=3)
    assert result.error == "05_slow.ipynb: cell 2 (import time): not finished after 3 s"


def test_a_dead_kernel_is_a_failure_too(tmp_path):
    path = write(tmp_path / "05_dead.ipynb", ("", "import os\nos._exit(3)"))
    result = run_notebook(path, tmp_path / "out")
    assert not result.ok and result.error.startswith("05_dead.ipynb: cell 1 (import os): DeadKernelError")


def test_the_command_runs_all_prints_a_table_writes_the_index_and_exits_1(good, tmp_path, capsys):
    write(tmp_path / "05_bad.ipynb", ("", "raise KeyError('gone')"), heading="# 05 · Bad <b>")
    write(tmp_path / "notes.ipynb", ("", "raise RuntimeError"))  # not of the series
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    seen = capsys.readouterr()
    assert re.search(r"^04_good +\d+\.\d +12  ok$", seen.out, re.MULTILINE)
    assert re.search(r"^05_bad +\d+\.\d +0  FAILED$", seen.out, re.MULTILINE)
    assert "FAILED 05_bad.ipynb: cell 1 (raise KeyError('gone')): KeyError" in seen.err
    index = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert 'href="04_good.html"' in index and "05 · Bad &lt;b&gt;" in index and "1 of 2 notebooks" in index
    assert index.count("data:image/png;base64,") == 1


def test_two_notebooks_run_side_by_side_and_are_told_of_in_their_order(tmp_path, capsys, monkeypatch):
    meet = (
        "import time\nfrom pathlib import Path\nPath('{0}').touch()\n"
        "while not Path('{1}').exists(): time.sleep(0.05)"  # alone, it would wait until its time is up
    )
    for name, own, other, rest in (("04_a", "a", "b", "time.sleep(1)"), ("05_b", "b", "a", "pass")):
        write(tmp_path / f"{name}.ipynb", ("", meet.format(own, other)), ("", f"import time\n{rest}"))
    monkeypatch.chdir(tmp_path.parent)  # names seen from here hold while notebooks run in a folder of their own
    assert main([tmp_path.name, "--out", f"{tmp_path.name}/out", "--jobs", "2", "--timeout", "60"]) == 0
    seen = capsys.readouterr().out
    assert seen.index("05_b.ipynb: ok") < seen.index("04_a.ipynb: ok")  # as they ended
    table = seen[seen.index("notebook ") :]
    assert table.index("04_a") < table.index("05_b") < table.index("total")
    index = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert index.index("04_a") < index.index("05_b") and "2 of 2 notebooks" in index


def test_progress_is_told_while_a_notebook_runs_with_the_time_left(tmp_path, monkeypatch):
    told, seen = [], tmp_path / "told"
    until_told = f"while not Path({str(seen)!r}).exists(): time.sleep(0.05)"
    path = write(tmp_path / "04_a.ipynb", ("", "import time\nfrom pathlib import Path"), ("", until_told), ("", "pass"))

    def listen(text, **_):
        told.append(text)
        if re.fullmatch(r"04_a.ipynb: 1 of 3 cells, about \d+ s left", text):
            seen.touch()

    monkeypatch.setattr("dtse_core.experiments.runner.print", listen, raising=False)
    run = partial(run_notebook, path, tmp_path / "out", timeout=60)
    (result,) = run_all([path], lambda _, course: run(course=course), every=0.2)
    assert result.ok, told
    monkeypatch.setattr("dtse_core.experiments.runner.time", SimpleNamespace(monotonic=lambda: 50.0))
    course = Course("04_a.ipynb", cells=4, done=1, began=40)
    assert str(course) == "04_a.ipynb: 1 of 4 cells, about 30 s left"
    course.cells = 5
    assert str(course) == "04_a.ipynb: 1 of 5 cells"
    assert str(Course("04_a.ipynb", cells=0, began=40)) == "04_a.ipynb: 0 of 0 cells"


def test_the_command_refuses_without_running(good, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    (tmp_path / "empty").mkdir()
    damaged = [tmp_path / f"{k}.ipynb" for k in range(3)]
    for path, content in zip(damaged, (b"[]", b"\xff", b'{"nbformat": 4, "cells": [{}]}'), strict=True):
        path.write_bytes(content)
    for arguments, words in (
        ([str(good), "-p", "SEDE", "3"], "did you mean 'SEED'"),
        ([str(good), "--jobs", "0"], "jobs is 0; it must be 1 or more"),
        ([str(good), "--timeout", "nan"], "timeout is nan; it must be a finite number"),
        ([str(good), "-p", "FAST", "1"], "04_good.ipynb: FAST is '1'; it must be True or False"),
        ([str(tmp_path / "nowhere")], "there is no notebook or folder"),
        ([str(tmp_path / "empty")], "holds no lesson"),
        *(([str(path)], f"{path} is not a notebook that can be read (") for path in damaged),
        ([str(good), "--write", "-p", "SEED", "3"], "leave -p out"),
    ):
        assert main([*arguments, *out]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_place_named_on_the_command_line_is_made_absolute(tmp_path, monkeypatch):
    """The notebook runs in its own folder, not in that of the command."""
    for name in ("data", "nb", "tiny", "runs/colab", "clip.mp4"):
        (tmp_path / name).mkdir(parents=True)
    given = {"DATA_ROOT": "data", "OUT": "new", "VIDEO": "clip.mp4", "CHECKPOINT": "runs/colab", "MODEL": "tiny"}
    given |= {"OTHER_VIDEO": "example", "SAID": "a/b" * 200}
    cell = "\n".join(f'{name} = ""  # x' for name in given)
    write(tmp_path / "nb/04_a.ipynb", ("parameters", cell), ("", f"print({', '.join(given)})"))
    monkeypatch.chdir(tmp_path)
    main(["nb", "--out", "out", *(text for name, value in given.items() for text in ("-p", name, value))])
    copy = nbformat.read(tmp_path / "out/04_a.ipynb", as_version=4)
    places = [str(tmp_path / value) for value in list(given.values())[:4]]
    assert copy.cells[-1].outputs[0].text.split() == [*places, "tiny", "example", "a/b" * 200]


def test_writing_in_place_is_stable_and_leaves_no_trace_of_the_run(good):
    assert main([str(good), "--write"]) == 0
    first = good.read_text(encoding="utf-8")
    assert main([str(good), "--write"]) == 0
    assert good.read_text(encoding="utf-8") == first
    notebook = nbformat.read(good, as_version=4)
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, 2, 3, 4]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not re.search(r'"papermill"|start_time|iopub', first) and list(good.parent.glob("*.part")) == []


def test_a_failing_notebook_is_not_overwritten(tmp_path):
    path = write(tmp_path / "05_bad.ipynb", ("", "1 / 0"))
    before = path.read_text(encoding="utf-8")
    assert main([str(path), "--write"]) == 1
    assert path.read_text(encoding="utf-8") == before


def test_normalize_drops_every_trace():
    cell = new_code_cell("x", metadata={"tags": [], "papermill": {}, "execution": {}, "collapsed": True})
    injected = new_code_cell("# Parameters", metadata={"tags": ["injected-parameters"]})
    notebook = new_notebook(
        cells=[injected, cell], metadata={"papermill": {}, "widgets": {}, "language_info": {"name": "x"}}
    )
    normalize(notebook)
    assert [dict(c.metadata) for c in notebook.cells] == [{"collapsed": True}]
    assert notebook.metadata.kernelspec.name == "python3" and notebook.metadata.language_info == {"name": "python"}


def test_normalize_joins_what_a_cell_prints():
    said = [
        ("stdout", "a"),
        ("stdout", "b"),
        ("", "x"),
        ("stdout", "a"),
        ("stderr", "c"),
        ("stderr", "d"),
        ("", "y"),
        ("", "z"),
    ]
    outputs = [
        new_output("stream", name=n, text=t) if n else new_output("display_data", {"text/plain": t}) for n, t in said
    ]
    (cell,) = normalize(new_notebook(cells=[new_code_cell("1", outputs=outputs)])).cells
    shown = [(o.get("name", ""), o.get("text") or o.data["text/plain"]) for o in cell.outputs]
    assert shown == [("stdout", "ab"), ("", "x"), ("stdout", "a"), ("stderr", "cd"), ("", "y"), ("", "z")]


def test_normalize_halves_a_grainy_figure_and_nobody_sees_it():
    rng = np.random.default_rng(0)
    picture = np.full((100, 300, 3), (90, 160, 200)) + rng.integers(-6, 7, (100, 300, 3))
    picture[30:60, 50:90] = (220, 40, 40)
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "PNG")
    png = base64.b64encode(file.getvalue()).decode()
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[new_output("display_data", {"image/png": png})])])
    stored = normalize(notebook).cells[0].outputs[0].data["image/png"]
    assert len(stored) < 0.55 * len(png)
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(stored))).convert("RGB")).astype(int)
    assert seen.shape == picture.shape and np.abs(seen - picture).mean() < 4
    assert normalize(notebook).cells[0].outputs[0].data["image/png"] == stored  # again: nothing changes


def test_a_page_keeps_solutions_folded_and_holds_attached_pictures():
    fold = new_markdown_cell("<details><summary>Solution</summary>\n\n```python\nanswer = 42\n```\n\n</details>")
    shown = new_markdown_cell("![a map](attachment:map.png)", attachments={"map.png": {"image/png": "iVBORw0KGgo="}})
    page = page_of(new_notebook(cells=[fold, shown]), "07_x")
    assert "42" in re.search(r"<details>(.*?)</details>", page, re.DOTALL)[1]
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in page


def test_a_page_folds_an_appendix_below_its_heading():
    tagged = {"tags": ["appendix"]}
    appendix = [new_markdown_cell("## Appendix: A", metadata=tagged), new_markdown_cell("explained", metadata=tagged)]
    appendix.append(new_code_cell("computed", metadata=tagged))
    page = page_of(new_notebook(cells=[new_markdown_cell("lesson"), *appendix, new_markdown_cell("end")]), "x")
    folded = re.search(r"<details><summary>Unfold the appendix</summary>(.*?)</details>", page, re.DOTALL)[1]
    assert "explained" in folded and "computed" in folded
    assert not re.search("lesson|Appendix: A|>end<", folded)


def test_a_page_draws_its_badges_and_formulas_without_a_network():
    badge = "[![Source: data/a_b.py](https://img.shields.io/badge/source-data%2Fa__b.py-009E73)](https://x.org/a_b.py)"
    sums = "$$\\begin{aligned} a &= b\\\\ c &= d \\end{aligned}$$"
    notebook = new_notebook(cells=[new_markdown_cell(f"{badge}\n\n{sums}\n\nand $x$, but `$y$` is code")])
    page = page_of(notebook, "07_x")
    assert "shields.io" not in page and 'href="https://x.org/a_b.py"><span' in page and ">source: data/a_b.py<" in page
    assert "<code>$y$</code>" in page
    if importlib.util.find_spec("latex2mathml"):
        assert page.count("<math") == 2 and page.count("<mtr>") == 2 and "{align" not in page
    else:  # MathJax draws them, from its server
        assert "<math" not in page and "$$\\begin{aligned}" in page and "$x$" in page


def test_notebooks_come_in_order(tmp_path):
    for name in ("10_b.ipynb", "02_a.ipynb", "x.ipynb", "03_c.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in notebooks_in(tmp_path)] == ["02_a.ipynb", "10_b.ipynb"]


def test_index_shows_a_number_where_there_is_no_figure(tmp_path):
    row = {"notebook": "07_x", "title": "A", "ok": True, "error": "", "seconds": 61.26, "claims": 3}
    (tmp_path / "07_x.json").write_text(json.dumps(row), encoding="utf-8")
    text = write_index(tmp_path).read_text(encoding="utf-8")
    assert "<span>07</span>" in text and ">61.3<" in text and "href" not in text
    assert "://" not in text  # self-contained


def test_names_titles_and_errors_are_text_on_every_page(tmp_path):
    name = '07_<b>&"x'
    row = {"notebook": name, "title": "<i>&", "ok": False, "error": "<script>1</script>", "seconds": 1.0, "claims": 0}
    (tmp_path / f"{name}.json").write_text(json.dumps(row), encoding="utf-8")
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    figure = new_output("display_data", data={"image/png": base64.b64encode(picture.getvalue()).decode()})
    notebook = new_notebook(cells=[new_code_cell("1", outputs=[figure])])
    nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    (tmp_path / f"{name}.html").write_text(page_of(notebook, name), encoding="utf-8")
    for page in (write_index(tmp_path), tmp_path / f"{name}.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>1" not in text and "<i>&" not in text and "<b>" not in text
    tags = Tags()
    tags.feed(write_index(tmp_path).read_text(encoding="utf-8"))
    assert tags.links == [f"{name}.html", f"{name}.ipynb"] and tags.about == [f"first figure of {name}"]


class Tags(HTMLParser):
    """Where a page's links lead, as names of files, and what its pictures say."""

    def __init__(self):
        super().__init__()
        self.links, self.about = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [unquote(value) for key, value in attrs if key == "href"]
        self.about += [value for key, value in attrs if key == "alt"]


def test_title_is_the_first_heading():
    notebook = new_notebook(cells=[new_code_cell("# no"), new_markdown_cell("text\n\n# Yes \n\n# No")])
    assert title(notebook) == "Yes"
    assert title(new_notebook()) == ""
