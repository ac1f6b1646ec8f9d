"""The repository's frame: one address, one list of dependencies, a lock that serves every machine."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESS = PROJECT["urls"]["Repository"]
LOCK = (ROOT / "requirements.lock").read_text()


def requirements() -> dict[str, str]:
    """All requirements of all groups: name -> the whole requirement, normalized."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {Requirement(line).name: str(Requirement(line)) for group in groups for line in group}


def pins() -> dict[str, str]:
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): str(r.specifier) for r in found}


def tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_conda_environment_has_the_names_and_bounds_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert f"python{PROJECT['requires-python']}" in conda
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert {Requirement(line).name: str(Requirement(line)) for line in pip} == requirements()


def test_conda_environment_says_what_each_package_is_for():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    assert [line for line in lines if line.startswith("      - ") and " # " not in line] == []


def test_lock_satisfies_every_requirement():
    locked = pins()
    for name, line in requirements().items():
        pin = locked.get(canonicalize_name(name), "")
        assert re.fullmatch(r"==[\w.]+", pin), f"{name} is not pinned; run make lock"
        assert Requirement(line).specifier.contains(pin[2:], prereleases=True), f"{name}{pin} breaks {line}"


def test_lock_names_no_index_no_path_and_no_build():
    for file in ("requirements.lock", "requirements-testdata.lock"):
        lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
        for line in lines:
            assert not re.search(r"://|/|\\|^-|\+", line.partition(";")[0]), f"{file}: {line}"
            assert "==" in line, f"{file}: {line} is not exact"


def test_lock_leaves_decord_out_where_it_has_no_wheel():
    (line,) = (line for line in LOCK.splitlines() if line.startswith("decord"))
    (wanted,) = (r for r in requirements().values() if r.startswith("decord"))
    assert Requirement(line).marker == Requirement(wanted).marker


def test_citation_names_this_repository_and_the_paper_first():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
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
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["dtse_core"]
    inside = [p for p in tracked() if p.is_relative_to(ROOT / "dtse_core") and p.suffix != ".py"]
    assert [p for p in inside if not any(p.match(pattern) for pattern in patterns)] == []


def test_version_is_in_the_changelog():
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
