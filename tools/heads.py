"""Writes what is generated: each notebook's head and its cell for Colab, notebooks/README.md, the path in README.md.

`python tools/heads.py --write` rewrites; without it the command says what is out of date and exits 1.
Everything comes from notebooks/lessons.toml, from the repository's address in pyproject.toml, and, for Colab, from the
newest commit that changed the package: commit the package first, the notebooks that are written with it second.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parent.parent
MAP = "01_the_map"
PATH = ("<!-- path: written by `make heads` -->", "<!-- end of path -->")  # README.md's table stands between them

PACKAGE = ("dtse_core", "pyproject.toml")  # what an installation is made of
ABSENT = ("tyro", "av", "papermill", "latex2mathml")  # needed, and not on Colab (`make test-colab`)
COMMIT = re.compile(r'SOURCE \+= "([0-9a-f]{40})"')
GPU = {"accelerator": "GPU", "colab": {"gpuType": "T4"}}  # a notebook's metadata, as Colab reads it


def lessons() -> list[dict[str, Any]]:
    """The rows of the table, in order."""
    return tomllib.loads((ROOT / "notebooks/lessons.toml").read_text(encoding="utf-8"))["lesson"]


def repository() -> str:
    """The repository's address, from the one place where it is written."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def commit() -> str:
    """The newest commit that changed the package; "" outside a checkout."""
    command = ["git", "log", "-1", "--format=%H", "--", *PACKAGE]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8").stdout.strip()


def installation(address: str, commit: str) -> str:
    """The cell that installs the package where it is missing, as it was at `commit`.

    Without dependencies, and what is absent by its bare name: pip then changes nothing that is there.
    """
    return f"""import importlib.util

if not importlib.util.find_spec("dtse_core"):  # missing, as on Colab
    SOURCE = "git+{address}@"
    SOURCE += "{commit}"  # the matching commit
    %pip install -q --no-deps $SOURCE {" ".join(ABSENT)}"""


def head(name: str, present: list[str], address: str) -> str:
    """The head cell of one notebook; links lead only to notebooks that are `present`."""
    table = lessons()
    k = next((k for k, row in enumerate(table) if row["name"] == name), None)
    if k is None:
        raise ValueError(f"{name}.ipynb is not in notebooks/lessons.toml; add it there")
    row, module = table[k], table[k]["module"]
    file = f"{address.removeprefix('https://github.com/')}/blob/main/notebooks/{name}.ipynb"
    badges = " ".join(
        f"[![{alt}](https://img.shields.io/badge/{badge})]({to})"
        for alt, badge, to in (
            ("Open in Colab", "Colab-open-E69F00", f"https://colab.research.google.com/github/{file}"),
            ("Rendered page", "page-rendered-0072B2", f"https://nbviewer.org/github/{file}"),
            (
                f"Source: {module}",  # shields.io doubles underscores and encodes slashes
                f"source-{module.replace('_', '__').replace('/', '%2F')}-009E73",
                f"{address}/blob/main/dtse_core/{module}",
            ),
        )
    )
    before, after = table[k - 1] if k else None, table[k + 1] if k + 1 < len(table) else None
    around = [("← {}", before), ("map", next(r for r in table if r["name"] == MAP)), ("{} →", after)]
    if MAP in (row["name"] for row in (before, after) if row):  # a neighbor is linked once
        del around[1]
    bar = " · ".join(
        f"[{label.format(other['title'])}]({other['name']}.ipynb)"
        for label, other in around
        if other is not None and other["name"] in present and other["name"] != name
    )
    card = (
        "| Minutes on 2 CPU cores | Minutes on a T4 | Peak memory | Download |\n|---|---|---|---|\n"
        f"| {row['minutes']} | {row.get('t4', 'not measured')} | {row.get('memory', 'under 2 GB')} "
        f"| {row.get('download', 'none')} |"
    )
    return "\n\n".join(part for part in (f"# {name[:2]} · {row['title']}", badges, bar, card) if part)


def index(present: list[str], address: str) -> str:
    """README.md of the folder: the path through the notebooks that are `present`."""
    rows = "\n".join(
        f"| {x['name'][:2]} | [{x['title']}]({x['name']}.ipynb) | {x['about']} "
        f"| `dtse_core/{x['module']}` | {x['minutes']} |"
        for x in lessons()
        if x["name"] in present
    )
    return f"""# The notebooks

Each runs top to bottom on a laptop: no data, GPU or network needed. Written by `make heads`.

| | Notebook | Afterwards you can | Module | Minutes on 2 CPU cores |
|---|---|---|---|---|
{rows}

Run all of them with `make tutorial`. Source and issues: <{address}>.
Code is under Apache-2.0, text and figures under CC BY 4.0.
"""


def claims(path: Path) -> int:
    """How many claims a notebook checked when it was last executed, as its last cell prints them; 0 before that."""
    outputs = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])]
    found = [re.search(r"This notebook checked (\d+) claims?\.", o.get("text", "")) for o in outputs]
    return next((int(match[1]) for match in reversed(found) if match), 0)


def path_table(folder: Path, present: list[str], address: str) -> str:
    """README.md's table of the notebooks that are `present`, between its two marks."""
    colab = f"https://colab.research.google.com/github/{address.removeprefix('https://github.com/')}/blob/main"
    checked = {name: claims(folder / f"{name}.ipynb") for name in present}
    rows = "\n".join(
        f"| {x['name'][:2]} [{x['title']}](notebooks/{x['name']}.ipynb) | {x['about']} | {x['minutes']} "
        f"| {checked[x['name']]} | [open]({colab}/notebooks/{x['name']}.ipynb) |"
        for x in lessons()
        if x["name"] in present
    )
    return f"""{PATH[0]}
| notebook | afterwards you can | minutes on 2 CPU cores | claims checked | Colab |
|---|---|---|---|---|
{rows}
| **together** | | | **{sum(checked.values())}** | |
{PATH[1]}"""


def refresh(folder: Path, write: bool) -> list[str]:
    """Names of the files whose generated part is out of date; rewrites them if `write`.

    The commit that a notebook installs is out of date only where it is written: commits that follow need no new one.
    A README.md beside `folder` with the two marks of `PATH` gets its table between them.
    """
    present = [path.stem for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]
    address, stale = repository(), []
    newest = commit() if write else ""
    on_gpu = {row["name"] for row in lessons() if row.get("gpu")}
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        changed = path.stem in present and _set_head(notebook, head(path.stem, present, address))
        changed |= _set_installation(notebook, address, newest)
        changed |= _set_metadata(notebook, GPU if path.stem in on_gpu else {})
        if changed:
            stale.append(path.name)
            if write:
                nbformat.write(notebook, path)
    readme = folder / "README.md"
    if not readme.is_file() or readme.read_text(encoding="utf-8") != index(present, address):
        stale.append(readme.name)
        if write:
            readme.write_text(index(present, address), encoding="utf-8")
    front = folder.parent / "README.md"
    text = front.read_text(encoding="utf-8") if front.is_file() else ""
    if PATH[0] in text and PATH[1] in text:
        before, after = text.split(PATH[0])[0], text.split(PATH[1])[1]
        new = before + path_table(folder, present, address) + after
        if new != text:
            stale.append("../README.md")
            if write:
                front.write_text(new, encoding="utf-8")
    return stale


def _set_head(notebook: Any, text: str) -> bool:
    """Puts `text` into the cell tagged `head`, made if missing; says whether anything changed."""
    for cell in notebook.cells:
        if "head" in cell.metadata.get("tags", []):
            changed, cell.source = cell.source != text, text
            return changed
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text, metadata={"tags": ["head"]}))
    return True


def _set_installation(notebook: Any, address: str, commit: str) -> bool:
    """Writes the first cell tagged `bootstrap`, if there is one; without a `commit`, for the one that it names."""
    for cell in notebook.cells:
        if "bootstrap" in cell.metadata.get("tags", []):
            named = COMMIT.search(cell.source)
            text = installation(address, commit or (named[1] if named else ""))
            changed, cell.source = cell.source != text, text
            return changed
    return False


def _set_metadata(notebook: Any, wanted: dict[str, Any]) -> bool:
    """Asks Colab for a GPU, or does not."""
    found = {key: notebook.metadata.pop(key) for key in GPU if key in notebook.metadata}
    notebook.metadata.update(wanted)
    return found != wanted


if __name__ == "__main__":
    writing = "--write" in sys.argv[1:]
    stale = refresh(ROOT / "notebooks", writing)
    print("\n".join(f"{'rewrote' if writing else 'out of date'}: {name}" for name in stale) or "up to date")
    sys.exit(1 if stale and not writing else 0)
