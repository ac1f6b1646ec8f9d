"""Colab as it is, on this machine: an environment with its versions, and each notebook opened alone in it.

    python tools/colab.py list FREEZE        # Colab's published list to tests/colab/versions.txt: what dtse needs of it
    python tools/colab.py build ENV          # the environment; --list another list, --torch another torch
    python tools/colab.py run ENV [NAME ...] # all notebooks, or some; copies, pages and results in runs/colab

A notebook lies alone in a new folder and runs from its own first cell. That cell's words are not touched: git is told
to find the repository's address, at the commit that the cell names, in a copy of the files that are here, and pip to
find what Colab lacks beside the environment. What is installed goes on top, so that what was there can be compared.
"""

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if __name__ == "__main__":  # from the repository's root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.heads import ABSENT, COMMIT, ROOT, repository

LIST = ROOT / "tests/colab/versions.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("data", "experiments")  # what runs the notebooks, as in requirements.lock
ALWAYS = ("pip", "setuptools", "ipykernel", "ipython")  # a notebook runs on these


def direct() -> set[str]:
    """The packages that running the notebooks needs, as pyproject.toml names them."""
    lines = [*PROJECT["dependencies"], *(line for e in EXTRAS for line in PROJECT["optional-dependencies"][e])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def read_list(path: Path) -> dict[str, str]:
    """Exact versions by name; local builds (+cu128) lose their mark."""
    lines = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s+]+)", path.read_text(encoding="utf-8"))
    return {canonicalize_name(name): version for name, version in lines}


def lacking(listed: dict[str, str]) -> set[str]:
    """What the notebooks need and Colab does not have: the names that each first cell installs."""
    return direct() - set(listed)


def installed(*path: Path) -> dict[str, importlib.metadata.Distribution]:
    """The packages in folders and wheels, by name."""
    return {canonicalize_name(d.name): d for d in importlib.metadata.distributions(path=[str(p) for p in path])}


def needed(names: set[str], found: dict[str, importlib.metadata.Distribution]) -> set[str]:
    """`names` and all that they require, as far as the packages `found` say so."""
    known, waiting = set(names), [*names]
    while waiting:
        package = found.get(waiting.pop())
        requirements = [Requirement(line) for line in (package.requires or [] if package else [])]
        asked = {canonicalize_name(r.name) for r in requirements if not r.marker or r.marker.evaluate({"extra": ""})}
        waiting += asked - known
        known |= asked
    return known


def site(env: Path) -> Path:
    """Where an environment keeps its packages."""
    return next((env / "lib").glob("python3.*")) / "site-packages"


def build(env: Path, listed: dict[str, str], torch: str) -> None:
    """Makes the environment: of `listed` what dtse needs, directly or through others, and nothing else."""
    venv.create(env, clear=True, with_pip=True)
    pip = [str(env / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = env / "wheels"
    subprocess.run([*pip, "download", "--no-deps", "-d", wheels, *ABSENT, "setuptools", "wheel"], check=True)
    (env / "constraints.txt").write_text(
        "".join(f"{n}=={v}\n" for n, v in listed.items() if n != "torch"), encoding="utf-8"
    )
    versions = dict(listed)
    if torch and torch != versions.get("torch"):
        print(f"replaced: torch {versions['torch']} by {torch}, the build that there is here", file=sys.stderr)
        versions["torch"] = torch
    # with what it needs: on another machine that may be CUDA's libraries
    subprocess.run([*pip, "install", f"torch=={versions['torch']}"], check=True)
    install = [*pip, "install", "--no-deps", "--only-binary", ":all:"]
    while True:
        have = installed(site(env))
        names = needed(direct() | {*ALWAYS, *ABSENT}, installed(site(env), *wheels.glob("*.whl"))) & set(versions)
        wanted = {n: versions[n] for n in names - {"torch"} if n not in have or have[n].version != versions[n]}
        if not wanted:
            break
        done = subprocess.run(
            [*install, *(f"{n}=={v}" for n, v in wanted.items())], stderr=subprocess.PIPE, encoding="utf-8"
        )
        if done.returncode:
            unfit = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+)==", done.stderr)
            if not unfit:
                sys.exit(done.stderr)
            name = canonicalize_name(unfit[1])
            subprocess.run([*install, "--upgrade", f"{name}<{versions[name]}"], check=True)
            fits = installed(site(env))[name].version
            print(
                f"replaced: {name} {versions[name]} by {fits}, which has a wheel for Python 3.{sys.version_info.minor}"
            )
            versions[name] = fits


def write_list(published: Path) -> str:
    """The lines of tests/colab/versions.txt: what `build` would take of the whole list."""
    listed = read_list(published)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), listed, lock_torch())
        return "".join(f"{name}=={listed[name]}\n" for name in sorted({*installed(site(Path(folder)))} & {*listed}))


def lock_torch() -> str:
    """The torch of requirements.lock, of which there is a CPU build."""
    return read_list(ROOT / "requirements.lock")["torch"]


def files(folder: str) -> list[str]:
    """The repository's files in a folder, committed or not, seen from its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout.split("\0")
    return [name for name in names if (ROOT / name).is_file()]


def copy_of_the_package(folder: Path, commits: set[str]) -> None:
    """A git repository of the files that are here, found at each of `commits`: what these names stand for on Colab."""

    def git(*arguments: str, cwd: Path = folder) -> str:
        who = ["-c", "user.name=dtse", "-c", "user.email=dtse@localhost"]
        done = subprocess.run(["git", *who, *arguments], cwd=cwd, capture_output=True, encoding="utf-8", check=True)
        return done.stdout

    git("init", "--quiet", str(folder), cwd=ROOT)
    for name in files("."):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    git("add", "--all")
    git("commit", "--quiet", "--message", "as it is here")
    for commit in commits:
        git("update-ref", f"refs/tags/{commit}", "HEAD")


def redirected(folder: Path) -> dict[str, str]:
    """Variables by which git takes `folder` for the repository's address."""
    rule = {"KEY": f"url.{folder.as_uri()}.insteadOf", "VALUE": repository()}
    return {"GIT_CONFIG_COUNT": "1", **{f"GIT_CONFIG_{name}_0": value for name, value in rule.items()}}


def run(env: Path, names: list[str], out: Path, jobs: int, published: bool) -> list[dict[str, Any]]:
    """Executes the notebooks, each alone in an empty folder, and returns their results; some in parallel.

    `published`: git and pip find what they find on Colab, the commit as it is published and the newest packages.
    """
    paths = [p for p in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")) if not names or p.stem in names]
    sources = [c.source for p in paths for c in nbformat.read(p, as_version=4).cells]
    commits = {found[1] for source in sources if (found := COMMIT.search(source))}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        copy_of_the_package(home / "repository", commits)
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(lambda path: run_alone(path, env, home, out, published), paths))


def run_alone(path: Path, env: Path, home: Path, out: Path, published: bool) -> dict[str, Any]:
    """One notebook in an environment of its own on top of `env`; its result also says what it installed."""
    top = home / path.stem
    venv.create(top / "env", with_pip=False)
    (site(top / "env") / "colab.pth").write_text(f"{site(env)}\n", encoding="utf-8")
    here = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(env / "wheels"), **redirected(home / "repository")}
    kernel = {
        "argv": [str(top / "env/bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab",
        "language": "python",
        "env": {
            "PATH": f"{top / 'env/bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": "",
            "DTSE_HEADLESS": "",  # bars and controls are made, as on Colab
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            **({} if published else here),
        },
    }
    (top / "jupyter/kernels/python3").mkdir(parents=True)
    (top / "jupyter/kernels/python3/kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    (top / "content").mkdir()
    shutil.copy(path, top / "content")
    out, told = out / path.stem, out / path.stem / f"{path.stem}.json"  # apart, since others run beside it
    told.unlink(missing_ok=True)
    command = [sys.executable, "-m", "dtse_core.experiments.runner", top / "content" / path.name, "--out", out]
    environment = os.environ | {"JUPYTER_PATH": str(top / "jupyter"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    if not told.is_file():
        return {"ok": False, "error": f"{path.name}: {done.stderr.strip()}"}
    result = json.loads(told.read_text(encoding="utf-8"))
    new = {*installed(site(top / "env"))}
    if result["ok"] and new != {"dtse", *ABSENT}:
        result["ok"], result["error"] = False, f"{path.name} installed {', '.join(sorted(new))}"
    missing = {f for f in files("dtse_core") if not (site(top / "env") / f).is_file()}
    if result["ok"] and missing and not published:
        result["ok"], result["error"] = False, f"{path.name} got a package without {', '.join(sorted(missing))}"
    print(f"{path.stem}: {'ok' if result['ok'] else 'FAILED'}, {result['seconds']} s", flush=True)
    return result


def main() -> int:
    """The command; its exit status is 1 where a notebook failed or what Colab lacks is not what cells install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list").add_argument("freeze", type=Path)
    make = commands.add_parser("build")
    make.add_argument("env", type=Path)
    make.add_argument("--torch", default=lock_torch(), help="taken in place of Colab's; or listed")
    execute = commands.add_parser("run")
    execute.add_argument("env", type=Path)
    execute.add_argument("names", nargs="*")
    execute.add_argument("--out", type=Path, default=Path("runs/colab"))
    execute.add_argument("--jobs", type=int, default=2)
    execute.add_argument("--published", action="store_true", help="from the network, as on Colab")
    for command in (make, execute):
        command.add_argument("--list", type=Path, default=LIST)
    options = parser.parse_args()
    if options.command == "list":
        print(write_list(options.freeze), end="")
        return 0
    listed = read_list(options.list)
    if lacking(listed) != set(ABSENT):
        print(f"Colab lacks {sorted(lacking(listed))}; ABSENT in tools/heads.py has {sorted(ABSENT)}", file=sys.stderr)
        return 1
    if options.command == "build":
        build(options.env.resolve(), listed, "" if options.torch == "listed" else options.torch)
        return 0
    results = run(options.env.resolve(), options.names, options.out.resolve(), options.jobs, options.published)
    failed = [result["error"] for result in results if not result["ok"]]
    print("".join(f"FAILED {error}\n" for error in failed), end="", file=sys.stderr)
    print(f"{len(results) - len(failed)} of {len(results)} notebooks ran with Colab's versions")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
