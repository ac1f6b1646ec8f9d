"""nbval on copies that were executed already: it compares them as it compares what it executes itself."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[2]


def notebook(path: Path, *cells: tuple[str, str]) -> None:
    """A notebook of code cells, each with the text that it printed."""
    path.parent.mkdir(exist_ok=True)
    made = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for count, (source, text) in enumerate(cells, 1):
        outputs = [new_output("stream", name="stdout", text=text)]
        made.cells.append(new_code_cell(source, execution_count=count, outputs=outputs))
    nbformat.write(made, path)


@pytest.mark.parametrize(
    ("copy", "mode", "found"),
    [
        ([("a", "1.5 s\n"), ("b", "2\n")], "--nbval", "2 passed"),  # a time is no difference
        ([("a", "3 s\n"), ("b", "7\n")], "--nbval", "1 failed, 1 passed"),
        ([("a", "3 s\n"), ("b", "7\n")], "--nbval-lax", "2 passed"),
        ([("a", "3 s\n"), ("c", "2\n")], "--nbval", "1 failed, 1 passed"),  # the notebook has changed since
    ],
)
def test_a_copy_is_compared_as_a_run_is(tmp_path, copy, mode, found):
    notebook(tmp_path / "notebooks/04_x.ipynb", ("a", "3 s\n"), ("b", "2\n"))
    notebook(tmp_path / "executed/04_x.ipynb", *copy)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.executed", mode]
    command += ["--nbval-current-env", "--nbval-sanitize-with", "tests/sanitize.cfg"]
    environment = os.environ | {"EXECUTED": str(tmp_path / "executed")}
    done = subprocess.run(
        [*command, tmp_path / "notebooks"], cwd=ROOT, env=environment, capture_output=True, encoding="utf-8"
    )
    assert found in done.stdout.splitlines()[-1], done.stdout
