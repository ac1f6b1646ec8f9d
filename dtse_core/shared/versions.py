"""Versions that a result depends on, and the commit of the source."""

import importlib.metadata
import platform
import subprocess
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def versions() -> dict[str, str]:
    """Versions that a result depends on; `commit` is the source's git hash, empty outside a checkout of it."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in ("dtse", "torch", "transformers", "accelerate", "numpy")}
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)  # not a package inside some other checkout
    found["commit"] = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") if tracked else ""
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


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:  # no git on this machine
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
