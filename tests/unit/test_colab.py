"""Colab's list and what notebooks do with it; `make test-colab` executes them, which takes minutes."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tools import colab, heads

LISTED = colab.read_list(colab.LIST)


def test_the_list_says_its_date_and_its_source():
    head = [line for line in colab.LIST.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", " ".join(head)) and "googlecolab/backend-info" in " ".join(head)
    assert LISTED["torch"] == "2.11.0" and LISTED["ipywidgets"] == "7.7.1"  # without the mark of a local build


def test_the_first_cell_installs_by_name_what_colab_lacks_and_nothing_else():
    assert colab.lacking(LISTED) == set(heads.ABSENT)
    words = heads.installation("https://x.org/a", "0" * 40).splitlines()[-1].split()
    assert words[words.index("$SOURCE") + 1 :] == list(heads.ABSENT)


def test_the_list_holds_what_dtse_needs_alone():
    assert colab.direct() - set(heads.ABSENT) <= set(LISTED)
    assert not {"tensorflow", "opencv-python", "jupyterlab", "pytest", "torchvision"} & set(LISTED)


def test_needs_are_followed_from_package_to_package():
    found = colab.installed(colab.site(Path(sys.prefix)))
    needed = colab.needed({"nbconvert"}, found)
    assert {"nbconvert", "nbclient", "jupyter-client", "pyzmq", "jinja2", "markupsafe"} <= needed
    assert not {"torch", "pytest", "playwright"} & needed  # neither what others need, nor extras


def test_git_finds_the_files_that_are_here_at_the_commit_of_a_cell(tmp_path):
    commit = "0123456789abcdef" * 2 + "01234567"
    colab.copy_of_the_package(tmp_path / "repository", {commit})
    environment = os.environ | colab.redirected(tmp_path / "repository")
    clone = ["git", "clone", "--quiet", heads.repository(), tmp_path / "clone"]
    subprocess.run(clone, env=environment, check=True)
    subprocess.run(["git", "checkout", "--quiet", f"tags/{commit}"], cwd=tmp_path / "clone", check=True)
    for name in (
        "pyproject.toml",
        "dtse_core/experiments/study/runs.parquet",
        "dtse_core/experiments/grids/smoke.toml",
    ):
        assert (tmp_path / "clone" / name).read_bytes() == (colab.ROOT / name).read_bytes()
