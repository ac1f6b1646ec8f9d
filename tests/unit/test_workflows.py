"""The GitHub workflows: free of errors that actionlint knows, and each notebook's copy kept whatever happens."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dtse_core.experiments import STARTER
from dtse_core.experiments.__main__ import parse_command

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def actionlint(*paths: Path) -> str:
    command = [Path(sys.executable).with_name("actionlint"), "-no-color", "-oneline", *paths]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


EXAMPLE = STARTER / "experiments.yml"  # what `start` writes, for repositories of others


def test_actionlint_finds_nothing():
    assert actionlint(*WORKFLOWS, EXAMPLE) == ""


def test_the_example_gives_each_command_what_it_takes():
    steps = [s for job in yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["jobs"].values() for s in job["steps"]]
    lines = [step["run"].partition(" >> ")[0] for step in steps if "dtse_core" in step.get("run", "")]
    shard = {"${{ matrix.shard }}": "2", "${{ strategy.job-total }}": "2"}
    asked = []
    for line in lines:
        for name, value in shard.items():
            line = line.replace(name, value)
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "dtse_core.experiments"]
        asked.append(parse_command(words[3:]))
    assert [one.command for one in asked] == ["run", "collect", "report", "check"]
    assert asked[0].shard == (2, 2) and asked[1].shards == [Path("shards/*")]
    assert {one.tables for one in asked[1:]} == {Path("results")}


def test_actionlint_finds_a_slip_in_an_expression_and_an_action_that_no_longer_runs(tmp_path):
    broken = (ROOT / ".github/workflows/notebooks.yml").read_text(encoding="utf-8")
    broken = broken.replace("matrix.notebook", "matrix.notebook_name").replace("checkout@v5", "checkout@v3")
    (tmp_path / "x.yml").write_text(broken, encoding="utf-8")
    found = actionlint(tmp_path / "x.yml")
    assert 'property "notebook_name" is not defined' in found and "checkout@v3" in found


def jobs(name: str) -> dict:
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))["jobs"]


def test_one_notebook_that_fails_stops_no_other():
    job = jobs("notebooks")["notebook"]
    assert job["strategy"]["fail-fast"] is False
    assert "[0-9][0-9]_*.ipynb experiment.ipynb" in jobs("notebooks")["list"]["steps"][-1]["run"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_executed_copies_are_kept_also_of_a_failed_run(path):
    for name, job in jobs(path.stem).items():
        commands = " ".join(step.get("run", "") for step in job["steps"])
        if any(c in commands for c in ("experiments.runner", "make tutorial", "make experiments", "make test-colab")):
            kept = [s for s in job["steps"] if s.get("uses", "").startswith("actions/upload-artifact@")]
            assert kept and all(s["if"] == "always()" for s in kept), name


def test_the_smoke_grid_runs_on_every_push_and_the_other_workflows_when_they_should():
    assert "make experiments" in [s.get("run") for s in jobs("ci")["experiments"]["steps"]]
    when = {p.stem: yaml.safe_load(p.read_text(encoding="utf-8"))[True] for p in WORKFLOWS}  # YAML reads `on` as true
    assert "push" in when["ci"] and "push" in when["notebooks"] and "schedule" in when["nightly"]
    assert list(when["gpu"]) == ["workflow_dispatch"]


def test_the_tutorial_runs_on_the_stock_pythons_of_three_systems():
    job = jobs("ci")["tutorial"]
    assert job["strategy"]["matrix"]["system"] == ["debian:12", "ubuntu:24.04", "debian:13"]  # 3.11.2, 3.12, 3.13
    assert job["container"] == "${{ matrix.system }}" and not any("setup-python" in str(s) for s in job["steps"])
    assert "make tutorial" in [s.get("run") for s in job["steps"]]


def test_the_nightly_sees_what_readers_get_on_colab():
    steps = jobs("nightly")["colab"]["steps"]
    commands = " ".join(step.get("run", "") for step in steps)
    assert [s["with"]["python-version"] for s in steps if "setup-python" in s.get("uses", "")] == ["3.13"]
    assert "make test-colab LIST=runs/colab/pip-freeze.gpu.txt TORCH=listed" in commands  # its torch, too
    assert "--published" in commands and "pip install" not in commands  # cells install what is missing, nobody else
    assert "make test-colab" in [s.get("run") for s in jobs("ci")["colab"]["steps"]]


def test_ci_executes_each_notebook_twice():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.index("make tutorial") < script.index("make test EXECUTED=runs/tutorial")
    assert "make test-colab" in script and "make test-pythons" in script
