"""Versions that a result depends on, and the commit of the source."""

import importlib.metadata
import platform
import subprocess
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
RESULT_KEYS = r'"versions": \{\s*"python": "[^"]*",\s*"dtse": "'  # the keys by which a JSON of ours is known


def versions() -> dict[str, str]:
    """Versions that a result depends on; `commit` is the source's git hash, empty outside a checkout of it."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in ("dtse", "torch", "transformers", "accelerate", "numpy")}
    here = Path(__file__)
    tracked = _git(here.parent, "ls-files", "--error-unmatch", here.name)  # not a package inside some other checkout
    found["commit"] = commit(here.parent) if tracked else ""
    return found


def version(package: str) -> str:
    """The version of a package, without importing it; in a checkout dtse's is what its pyproject.toml says."""
    if PROJECT.is_file():
        project = tomllib.loads(PROJECT.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == package:  # not some other file that an installation left beside the packages
            return project["version"]
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def commit(folder: Path) -> str:
    """The git hash of the checkout that holds `folder`, with "-dirty" if it was changed; empty if there is none."""
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8")
    except OSError:  # no git on this machine
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
