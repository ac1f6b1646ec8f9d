"""The repository's frame: one address, one list of dependencies, a lock that serves every machine."""

import os
import re
import shutil
import subprocess
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import lock as lock_tool

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = PROJECT["urls"]["Repository"]
LOCKS = {path.stem: path.read_text(encoding="utf-8") for path in ROOT.glob("requirements*.lock")}
RUNTIME, WHOLE, RELEASE = (LOCKS[f"requirements{name}"] for name in ("", "-dev", "-release"))


def requirements(*extras: str) -> dict[str, str]:
    """The requirements of the package and of some extras, by default of all that fit one environment, by name."""
    apart = () if extras else ("demo", "mutation")
    groups = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in apart}
    base = [] if extras == ("release",) else PROJECT["dependencies"]
    lines = [*base, *(line for e in extras or groups for line in groups[e])]
    return {Requirement(line).name: str(Requirement(line)) for line in lines if not line.startswith("dtse[")}


def pins(lock: str) -> dict[str, Requirement]:
    lines = [line.rstrip(" \\") for line in lock.splitlines() if line and line[0] not in "# "]
    found = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    assert len(found) == len(lines), "one version of each package"
    return found


def tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_conda_environment_has_the_names_and_bounds_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert f"python{PROJECT['requires-python']}" in conda
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert {Requirement(line).name: str(Requirement(line)) for line in pip} == requirements()


def test_conda_environment_says_what_each_package_is_for():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("      - ") and " # " not in line] == []


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        (RUNTIME, ("data", "experiments")),
        (WHOLE, ("data", "experiments", "notebooks", "docs", "dev")),
        (RELEASE, ("release",)),
    ],
    ids=["runtime", "whole", "release"],
)
def test_a_lock_satisfies_every_requirement(lock, extras):
    locked = pins(lock)
    for name, line in requirements(*extras).items():
        pin = str(locked[canonicalize_name(name)].specifier)
        assert re.fullmatch(r"==[\w.]+", pin), f"{name} is not pinned; run make lock"
        assert Requirement(line).specifier.contains(pin[2:], prereleases=True), f"{name}{pin} breaks {line}"


def test_the_tutorial_installs_nothing_of_what_only_develops_it_in_the_same_versions():
    runtime, whole = pins(RUNTIME), pins(WHOLE)
    only = {canonicalize_name(name) for name in requirements("notebooks", "docs", "dev").keys() - requirements("data")}
    assert {"jupyterlab", "sphinx", "pytest", "vos-benchmark", "playwright"} <= only and not only & set(runtime)
    assert {name: str(pin.specifier) for name, pin in runtime.items()}.items() <= {
        name: str(pin.specifier) for name, pin in whole.items()
    }.items()


def test_who_has_no_make_installs_the_locked_torch_before_the_lock_that_leaves_out_what_its_build_needs():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (locked,) = re.findall(r"^torch==(\S+)", WHOLE, re.MULTILINE)
    first, second = (
        text.index(f"-m pip install {what}") for what in (f"torch=={locked} ", "--no-deps -r requirements-dev")
    )
    assert first < second


def test_readers_get_jupyterlab_and_what_runs_every_notebook():
    assert "dtse[experiments]" in PROJECT["optional-dependencies"]["notebooks"]
    assert {"jupyterlab", "pyarrow", "pandas", "distributed", "papermill"} <= {
        *requirements("notebooks", "experiments")
    }
    assert 'pip install -e ".[data,notebooks]"' in (ROOT / "README.md").read_text(encoding="utf-8")


def test_locked_versions_run_on_the_python_of_debian_12():
    asked = {}
    for name, pin in pins(WHOLE).items():
        with suppress(PackageNotFoundError):  # of another system
            if pin.specifier.contains(version(name)):
                asked[name] = metadata(name).get("Requires-Python")
    assert len(asked) > 90
    assert {
        name: python for name, python in asked.items() if python and not SpecifierSet(python).contains("3.11.2")
    } == {}


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_a_lock_names_exact_versions_and_their_hashes_and_no_index_no_path_and_no_build(name):
    lines = [line for line in LOCKS[name].splitlines() if not line.startswith("#")]
    assert len(LOCKS) == 7 and lines
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(" "):
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        else:
            assert not re.search(r"://|/|^-|\+", line.partition(";")[0]), line
            assert "==" in line and line.endswith(" \\") and after.startswith(" "), f"{line} has no hash"
        assert line.endswith("\\") == after.startswith(" "), line


def test_the_locks_take_the_cpu_build_of_torch_too():
    """Whose files are in no registry, so that no lock is written with their sums: tools/torch_cpu.txt adds them."""
    version = str(pins(RUNTIME)["torch"].specifier).removeprefix("==")
    sums = dict(reversed(line.split()) for line in (ROOT / "tools/torch_cpu.txt").read_text("utf-8").splitlines())
    pythons = {name.split("-")[2] for name in sums}
    assert {"cp311", "cp312", "cp313"} <= pythons and all(name.startswith(f"torch-{version}+cpu-") for name in sums)
    for lock in (RUNTIME, WHOLE):
        assert {*sums.values()} <= {*re.findall("sha256:([0-9a-f]{64})", lock_tool.entries(lock)["torch"])}


def test_sums_of_another_torch_are_refused():
    with pytest.raises(SystemExit, match="the lock has torch 9.9: take its sums"):
        lock_tool.with_cpu_builds("torch==9.9 \\\n    --hash=sha256:00\n")


@pytest.mark.parametrize(("extra", "replaced"), [("demo", {"pillow"}), ("mutation", set())])
def test_what_lies_in_front_of_development_is_locked_apart_and_replaces_pillow_alone(extra, replaced):
    front, whole = pins(LOCKS[f"requirements-{extra}"]), pins(WHOLE)
    (asked,) = map(Requirement, PROJECT["optional-dependencies"][extra])
    assert asked.specifier.contains(str(front[asked.name].specifier)[2:])
    assert {name for name in front.keys() & whole.keys() if front[name].specifier != whole[name].specifier} == replaced


def test_the_oldest_packages_are_tested_with_tools_that_none_of_them_brings():
    """pip refuses two versions of one package, and `make test-compat` would end before its first test."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (names,) = re.findall(r"pip freeze \| grep -E '\^\(([\w|-]+)\)=='", makefile)
    tools = {canonicalize_name(name) for name in names.split("|")}
    assert "pytest" in tools and not tools & pins(RUNTIME).keys()


def test_what_cuda_needs_is_locked_apart():
    cuda = pins(LOCKS["requirements-cuda"])
    assert {"triton", "nvidia-cublas"} <= set(cuda) and not set(cuda) & set(pins(WHOLE))
    assert all("linux" in str(pin.marker) for pin in cuda.values())


def test_citation_names_this_repository_and_the_paper_first():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == ADDRESS
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert "2203.15969" in citation["preferred-citation"]["url"]


def test_every_copy_of_the_address_is_the_one_of_pyproject():
    owner, repo = ADDRESS.removeprefix("https://github.com/").split("/")
    pattern = re.compile(rf"github(?:\.com|/)[/:]?([\w.-]+)/{re.escape(repo)}(?![\w-])")
    for path in tracked():
        if path.suffix in (".md", ".ipynb", ".cff", ".toml", ".yml", ".yaml", ".py", ".html"):
            owners = set(pattern.findall(path.read_text(encoding="utf-8"))) - {r"([\w.-]+)"}
            assert owners <= {owner}, f"{path.relative_to(ROOT)} names {owners}, pyproject.toml {owner}"


def test_package_data_is_declared():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "package-data"
    ]["dtse_core"]
    inside = [p for p in tracked() if p.is_relative_to(ROOT / "dtse_core") and p.suffix != ".py"]
    assert [p for p in inside if not any(p.match(pattern) for pattern in patterns)] == []


def test_version_is_in_the_changelog():
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_types_are_checked_of_the_paper_its_loop_and_what_they_stand_on():
    """`make lint` runs mypy on what pyproject.toml names; no file there is left out of it by a comment."""
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    named = [file for pattern in checked["files"] for file in ROOT.glob(pattern)]
    assert {"lmdf.py", "train.py", "predict.py", "training", "clip.py", "video"} <= {file.name for file in named}
    assert checked["disallow_untyped_defs"] and "disable_error_code" not in checked
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].partition("\n\n")[0]
    assert "$(VENV)/bin/mypy" in lint
    for file in (file for path in named for file in (path.rglob("*.py") if path.is_dir() else [path])):
        found = re.findall(r"# type: ignore(?!\[)|# mypy:", file.read_text(encoding="utf-8"))
        assert not found, f"{file.name} is left out of the check"


def test_nbval_compares_what_the_tutorial_has_executed_unless_something_has_changed_since(tmp_path):
    def executes_anew() -> bool:
        command = ["make", "-n", "test", "PY=python", "READY=", "DEV=", "JOBS=1"]
        bare = {name: text for name, text in os.environ.items() if name not in ("EXECUTED", "MAKEFLAGS", "MAKELEVEL")}
        done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, encoding="utf-8", check=True)
        (strict,) = [line for line in done.stdout.splitlines() if "--nbval " in line]
        return "-p tests.executed" not in strict

    shutil.copy(ROOT / "Makefile", tmp_path)
    sources = [tmp_path / name for name in ("notebooks/00_a.ipynb", "dtse_core/a/b.py", "requirements.lock")]
    page = tmp_path / "runs/tutorial/index.html"
    for path in (*sources, tmp_path / "dtse_core/a/b.pyc", page):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("torch==2.13.0", encoding="utf-8")
        os.utime(path, (1000, 1000))
    assert not executes_anew()
    os.utime(tmp_path / "dtse_core/a/b.pyc", (2000, 2000))
    assert not executes_anew()
    for path in sources:
        os.utime(path, (2000, 2000))
        assert executes_anew(), path
        os.utime(path, (1000, 1000))
    page.unlink()
    assert executes_anew()


def test_what_make_starts_keeps_what_it_compiled_also_where_a_container_says_otherwise(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("ruff", "codespell", "mypy"):
        program = tmp_path / "bin" / name
        program.write_text('#!/bin/sh\necho "$0 ${PYTHONDONTWRITEBYTECODE-unset}"\n', encoding="utf-8")
        program.chmod(0o755)
    command = ["make", "-s", "lint", "DEV=", f"VENV={tmp_path}"]
    said = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, encoding="utf-8"
    )
    assert said.stdout.count("unset\n") == 4, said
