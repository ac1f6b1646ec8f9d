"""Builds the source archive and the wheel, and tries them as a user would.

    python tools/dist.py build           # dist/, from two builds in two folders that have the same bytes
    python tools/dist.py try             # the wheel in an empty environment, outside the checkout

What is built are the files that git knows or does not ignore, dated as the last commit. setuptools stamps a source
archive with the time and the user, so that it is packed anew here; the wheel is made from it, as pip would.
"""

import argparse
import gzip
import hashlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
TRIED = {  # what an installed dtse must do, and words of its answer
    "--version": "dtse ",
    "world --layout a2d --out toy --train 4 --test 2": "written",
    "prepare a2d --root toy --check": "ready",
    "train --data.name a2d --data.root toy --train.steps 2 --train.batch 2 --out run": "final weights: run",
    "evaluate --checkpoint run": "chance 50.0",
    "predict example 'the dog walking towards the left' --out out.gif": "written: out.gif",
    "experiments start mine": "written: mine",
}


def run(*command: object, **more) -> str:
    """A command's output; it ends everything where it fails."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, encoding="utf-8", **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}exit status {done.returncode}")
    return done.stdout


def build(out: Path, epoch: str) -> list[Path]:
    """Both files, from a copy of the repository's files."""
    with tempfile.TemporaryDirectory() as folder:
        names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, Path(folder) / name)
                (Path(folder) / name).chmod(0o644)
        dated = os.environ | {"SOURCE_DATE_EPOCH": epoch}
        options = ("--no-isolation", "--outdir", out)
        run(sys.executable, "-m", "build", "--sdist", *options, folder, env=dated)
        archive = next(out.glob("*.tar.gz"))
        pack_anew(archive, int(epoch))
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        run(sys.executable, "-m", "build", "--wheel", *options, Path(folder, archive.name[:-7]), env=dated)
    return sorted(out.glob("dtse-*"))


def pack_anew(archive: Path, epoch: int) -> None:
    """The same files in order, of one date, of nobody."""
    packed = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda m: m.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() else 0o644, {}
            new.addfile(member, old.extractfile(member))
    archive.write_bytes(gzip.compress(packed.getvalue(), mtime=epoch))


def build_twice() -> None:
    epoch = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
    for old in DIST.glob("dtse-*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as again:
        files = build(DIST, epoch)
        for first, second in zip(files, build(Path(again), epoch), strict=True):
            if first.read_bytes() != second.read_bytes():
                sys.exit(f"{first.name} has other bytes when it is built again")
            print(f"{hashlib.sha256(first.read_bytes()).hexdigest()}  {first.name}  {first.stat().st_size:,} bytes")
    print(run(sys.executable, "-m", "twine", "check", "--strict", *files), end="")


def try_wheel(env: Path | None) -> None:
    """Installs the wheel with [data] and uses each command in an empty folder; `env`: one that exists."""
    (wheel,) = DIST.glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        place = env or Path(folder, "env")
        if not env:
            venv.create(place, with_pip=True)
        bin = place / ("Scripts" if os.name == "nt" else "bin")
        pip = [bin / "python", "-m", "pip", "install", "--quiet"]
        run(*pip, *(["--no-deps", "--force-reinstall"] if env else []), f"dtse[data] @ {wheel.as_uri()}")
        here = Path(folder, "empty")
        here.mkdir()
        own = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        own |= {"DTSE_HEADLESS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
        where = run(bin / "python", "-c", "import dtse_core as own; print(own.__file__)", cwd=here, env=own)
        if str(place) not in where:
            sys.exit(f"dtse_core is imported from {where.strip()}, not from the wheel")
        for line, said in TRIED.items():
            answer = run(bin / "dtse", *shlex.split(line), cwd=here, env=own, stderr=subprocess.STDOUT)
            if said not in answer:
                sys.exit(f"dtse {line}\n{answer}does not say {said!r}")
            print(f"dtse {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("build", "try"))
    parser.add_argument("--env", type=Path, help="an environment with what the wheel needs; default: a new one")
    options = parser.parse_args()
    if options.what == "build":
        build_twice()
    else:
        try_wheel(options.env and options.env.resolve())


if __name__ == "__main__":
    main()
