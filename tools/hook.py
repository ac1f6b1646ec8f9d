"""Runs a tool of .venv before a commit, where .venv keeps its programs: bin, or Scripts on Windows.

python tools/hook.py ruff check FILE ...
python tools/hook.py tools/parity.py
python tools/hook.py size FILE ...         # refuses files above 10 MB
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 10_000_000  # bytes


def too_large(files: list[str]) -> int:
    large = [name for name in files if Path(name).stat().st_size > MOST]
    print("".join(f"{name} is above 10 MB\n" for name in large), end="")
    return 1 if large else 0


def main(tool: str, *arguments: str) -> int:
    if tool == "size":
        return too_large(list(arguments))
    programs = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    if not programs.is_dir():
        print("the hooks need .venv: run make lint, or make it as CONTRIBUTING.md says for Windows", file=sys.stderr)
        return 1
    command = [programs / "python", tool] if tool.endswith(".py") else [programs / tool]
    return subprocess.call([*map(str, command), *arguments], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
