"""Writes docs/licences.md: the licence of every package in requirements.lock, as its own metadata say.

`python tools/licences.py --write` rewrites the table; without it the command says whether it is out of date. Packages
that only other systems or Pythons install are listed by name.
"""

import importlib.metadata
import re
import sys
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/licences.md"
MARKS = ("<!-- table: written by `python tools/licences.py --write` -->\n", "<!-- end of table -->")
KNOWN = {  # what older metadata say in words of their own, in this order
    r"Apache": "Apache-2.0",
    r"MPL|Mozilla": "MPL-2.0",
    r"ISC": "ISC",
    r"PSFL?\b|Python Software": "PSF-2.0",
    r"BSD.2|FreeBSD": "BSD-2-Clause",
    r"BSD.3": "BSD-3-Clause",
    r"BSD": "BSD",
    r"MIT": "MIT",
}
ALLOWED = {*KNOWN.values(), "0BSD", "BSL-1.0", "CC0-1.0", "CNRI-Python", "MIT-0", "MIT-CMU", "Zlib", "LLVM-exception"}


def locked() -> list[str]:
    """Names in requirements.lock."""
    return re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"))


def licence(package: str) -> str:
    """The licence as an SPDX expression.

    Raises `ValueError` for one that nobody has looked at, `PackageNotFoundError` for a package that is not here.
    """
    said = importlib.metadata.metadata(package)
    found = said.get("License-Expression", "")
    if not found:
        marks = [line for line in said.get_all("Classifier", []) if line.startswith("License")]
        words = " ".join([(said.get("License") or "")[:80], *marks])
        found = next((spdx for pattern, spdx in KNOWN.items() if re.search(pattern, words)), "")
    if strange := {*re.findall(r"[\w.-]+", found)} - ALLOWED - {"AND", "OR", "WITH"} or not found:
        raise ValueError(f"{package} has the licence {found or 'that its metadata do not name'}: {strange}; look at it")
    return found


def table() -> str:
    rows: dict[str, list[str]] = {}
    for name in map(canonicalize_name, locked()):
        try:
            rows.setdefault(licence(name), []).append(name)
        except importlib.metadata.PackageNotFoundError:
            rows.setdefault("on other systems or Pythons only", []).append(name)
    lines = [f"| {kind} | {', '.join(names)} |" for kind, names in sorted(rows.items(), key=lambda r: -len(r[1]))]
    return "\n".join(["| licence | packages |", "|---|---|", *lines, ""])


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    new = f"{before}{MARKS[0]}{table()}{MARKS[1]}{rest.split(MARKS[1])[1]}"
    if "--write" in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
    elif new != text:
        print("docs/licences.md is out of date: python tools/licences.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
