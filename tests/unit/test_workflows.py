"""The GitHub workflows: free of errors that actionlint knows, and each notebook's copy kept whatever happens."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from dtse_core.experiments import STARTER
from dtse_core.experiments.__main__ import parse_command
from tools import hook

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
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
    broken = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    broken = broken.replace("matrix.system", "matrix.systems").replace("checkout@v5", "checkout@v3")
    (tmp_path / "x.yml").write_text(broken, encoding="utf-8")
    found = actionlint(tmp_path / "x.yml")
    assert 'property "systems" is not defined' in found and "checkout@v3" in found


def jobs(name: str) -> dict:
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))["jobs"]


def commands(name: str) -> list[str]:
    """What a workflow runs, line by line."""
    steps = [step for job in jobs(name).values() for step in job["steps"]]
    return [line.strip() for step in steps for line in step.get("run", "").splitlines()]


def test_a_push_executes_each_notebook_once():
    asked = commands("ci")
    executing = [line for line in asked if "tutorial" in line or "notebooks" in line or "test-colab" in line]
    assert executing == [
        "make tutorial",
        "make test EXECUTED=runs/tutorial",
    ]
    assert not [line for line in asked if line.startswith("make test ") and "EXECUTED" not in line]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_what_a_workflow_makes_or_runs_is_there(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in commands(path.stem):
        for words in re.findall(r"(?:^|&& )make ([^#&]+)", line):
            for target in (word for word in words.split() if re.fullmatch(r"[a-z-]+", word)):
                assert re.search(rf"(?m)^{target}:", makefile), f"{line}: there is no target {target}"
        for name in re.findall(r"\b(?:tools|tests|benchmarks|docs)/[\w./]+", re.sub(r"\{[^}]*\}", "", line)):
            assert (ROOT / name).exists() or name.endswith("/test_.py"), f"{line}: there is no {name}"
        for names in re.findall(r"tests/unit/test_\{([\w,]+)\}\.py", line):
            assert all((ROOT / f"tests/unit/test_{name}.py").is_file() for name in names.split(",")), line


def test_systems_without_make_and_the_ends_of_all_versions_are_tried_on_a_push():
    matrix = jobs("ci")["systems"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["system"]} == {"macos", "windows"}
    assert not any("make " in step.get("run", "") for step in jobs("ci")["systems"]["steps"])
    assert matrix["python"][0] == PROJECT["requires-python"].removeprefix(">=")
    assert {f"Programming Language :: Python :: {python}" for python in matrix["python"]} <= {*PROJECT["classifiers"]}
    (oldest,) = [line for line in commands("ci") if "make test-compat" in line]
    assert 'COMPAT_TORCH="$(sed' in oldest  # pyproject's lower bound, as the next line finds it
    found = re.search(r"(?m)^ *\"torch>=([0-9.]+)\",", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert found and f"torch>={found[1]}" in PROJECT["dependencies"]


def test_a_release_is_what_its_tag_says_and_needs_no_password():
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    assert release[True] == {"push": {"tags": ["v*"]}} and release["permissions"] == {"contents": "read"}
    publish = release["jobs"]["publish"]
    assert publish["needs"] == "build" and publish["permissions"]["id-token"] == "write"
    assert "secrets." not in str(release) and "password" not in str(publish)


def test_hooks_start_on_every_system():
    """Programs of .venv lie in bin or in Scripts: tools/hook.py knows; no hook needs a shell."""
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for one in local["hooks"]:
        assert one["language"] == "python" and one["entry"].startswith("python tools/hook.py "), one["id"]
        tool = one["entry"].split()[2]
        assert not tool.endswith(".py") or (ROOT / tool).is_file()


def test_the_hook_of_sizes_names_what_is_too_large(tmp_path, capsys):
    for name, size in (("small", hook.MOST), ("large", hook.MOST + 1)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert hook.main("size", str(tmp_path / "small")) == 0
    assert hook.main("size", str(tmp_path / "small"), str(tmp_path / "large")) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'large'} is above 10 MB\n"


def test_a_hook_without_an_environment_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(hook, "ROOT", tmp_path)
    assert hook.main("ruff", "check") == 1 and "make lint" in capsys.readouterr().err


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_executed_copies_are_kept_also_of_a_failed_run(path):
    for name, job in jobs(path.stem).items():
        lines = " ".join(step.get("run", "") for step in job["steps"])
        if any(c in lines for c in ("experiments.runner", "make tutorial", "make experiments", "make test-colab")):
            kept = [s for s in job["steps"] if s.get("uses", "").startswith("actions/upload-artifact@")]
            assert kept and all(s["if"] == "always()" for s in kept), name


def test_the_smoke_grid_runs_on_every_push_and_the_other_workflows_when_they_should():
    assert "make experiments" in [s.get("run") for s in jobs("ci")["experiments"]["steps"]]
    when = {p.stem: yaml.safe_load(p.read_text(encoding="utf-8"))[True] for p in WORKFLOWS}  # YAML reads `on` as true
    assert "push" in when["ci"] and "schedule" in when["nightly"]
    assert list(when["gpu"]) == ["workflow_dispatch"]


def test_the_tutorial_runs_on_the_stock_pythons_of_three_systems():
    job = jobs("nightly")["tutorial"]
    assert job["strategy"]["matrix"]["system"] == ["debian:12", "ubuntu:24.04", "debian:13"]  # 3.11.2, 3.12, 3.13
    assert job["container"] == "${{ matrix.system }}" and not any("setup-python" in str(s) for s in job["steps"])
    assert "make tutorial" in [s.get("run") for s in job["steps"]]


def test_the_nightly_sees_what_readers_get_on_colab():
    job = jobs("nightly")["colab"]
    published = next(row for row in job["strategy"]["matrix"]["include"] if row["versions"] == "published")
    assert published["python"] == "3.13" and published["options"] == "LIST=runs/colab/pip-freeze.gpu.txt TORCH=listed"
    lines = " ".join(step.get("run", "") for step in job["steps"])
    assert "make test-colab ${{ matrix.options }}" in lines  # its torch, too
    assert "--published" in lines and "pip install" not in lines  # cells install what is missing, nobody else


def test_ci_executes_each_notebook_twice():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.index("make tutorial") < script.index("make test EXECUTED=runs/tutorial")
    assert "make test-colab" in script and " test-pythons PYTHONS=" in script
