"""Versions that a result depends on, the commit of the source, and packages that only some uses need."""

import importlib
import importlib.metadata
import platform
import subprocess
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
EXTRAS = {  # what is imported, by the extra of pyproject.toml that has it
    "": "torch transformers accelerate huggingface_hub safetensors numpy PIL tqdm tyro",
    "[data]": "av h5py scipy pycocotools pooch",
    "[experiments]": "ipykernel ipywidgets papermill nbconvert nbformat latex2mathml matplotlib seaborn dask "
    "distributed pandas pyarrow",
}
ADDRESS = "https://github.com/dtse-project/dtse"
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


def install(package: str) -> str:
    """The command that installs this package, which is in no registry, with the extra for `package`; "" for others."""
    found = [extra for extra, packages in EXTRAS.items() if package in packages.split()]
    return f"pip install 'dtse{found[0]} @ git+{ADDRESS}'" if found else ""


def library(name: str, needs: object) -> Any:
    """Imports a package of an extra.

    Raises `ModuleNotFoundError` with what `needs` it and the command that installs it, also where it does not load.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        why = "" if isinstance(error, ModuleNotFoundError) else f", which does not load ({error})"
        raise ModuleNotFoundError(f"{needs} needs the package {package}{why}: {install(package)}") from error


def commit(folder: Path) -> str:
    """The git hash of the checkout that holds `folder`, with "-dirty" if it was changed; empty if there is none."""
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8")
    except OSError:  # no git on this machine
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
