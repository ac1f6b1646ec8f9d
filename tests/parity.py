"""What a notebook defines is what the package runs: a cell tagged `define:Name` equals dtse_core's `Name`.

Compared as syntax trees without docstrings, so that comments, spacing and the docstring's length may differ.
`python tests/parity.py` says what differs and exits 1; `--write` copies the package's text into the cells.
"""

import ast
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Source:
    """One definition of the package."""

    file: Path
    tree: Definition
    text: str  # with its decorators


def definitions(package: Path) -> dict[str, list[Source]]:
    """All classes and functions at the top of the package's modules, by name."""
    found: dict[str, list[Source]] = {}
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, Definition):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                lines = text.splitlines()[first - 1 : node.end_lineno]
                found.setdefault(node.name, []).append(Source(file, node, "\n".join(lines)))
    return found


def defined_names(cell) -> list[str]:
    """Names in the cell's `define:` tags."""
    return [tag.removeprefix("define:") for tag in cell.metadata.get("tags", []) if tag.startswith("define:")]


def difference(cell, known: dict[str, list[Source]]) -> str:
    """What is wrong with a `define:Name` cell, in one line; "" if it equals the package."""
    names = defined_names(cell)
    if len(names) != 1:
        return f"a cell defines one thing, this one is tagged {', '.join(names)}"
    name = names[0]
    try:
        body = ast.parse(cell.source).body
    except SyntaxError as e:
        return f"define:{name}: line {e.lineno} is not plain Python (magics are not allowed here)"
    if len(body) != 1 or not isinstance(body[0], Definition) or body[0].name != name:
        return f"define:{name}: the cell must hold exactly the definition of {name}"
    if len(known.get(name, [])) != 1:
        places = ", ".join(s.file.name for s in known.get(name, [])) or "nowhere"
        return f"define:{name}: dtse_core must define {name} once at the top of a module; found: {places}"
    source = known[name][0]
    if plain(body[0]) != plain(source.tree):
        return f"define:{name}: differs from {source.file.name}:{source.tree.lineno}; see tests/parity.py --write"
    return ""


def plain(tree: ast.AST) -> str:
    """The tree as text, without docstrings."""
    tree = ast.parse(ast.unparse(tree))
    for node in ast.walk(tree):
        if isinstance(node, Definition) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def compare(folder: Path, package: Path, write: bool = False) -> list[str]:
    """All differences of a folder's notebooks, a line each. With `write` the cells that can be mended get
    the package's text, in 80 columns where ruff is installed, and the line says so."""
    known, lines, seen = definitions(package), [], {}
    for path in sorted(folder.glob("*.ipynb")):
        notebook, touched = nbformat.read(path, as_version=4), False
        for k, cell in enumerate(notebook.cells):
            if not (names := defined_names(cell)):
                continue
            wrong = difference(cell, known)
            if wrong and write and len(names) == 1 and len(known.get(names[0], [])) == 1:
                cell.source = _narrow(known[names[0]][0].text)
                wrong, touched = f"define:{names[0]}: rewritten", True
            if not wrong and names[0] in seen:
                wrong = f"define:{names[0]}: defined in {seen[names[0]]} already"
            seen.setdefault(names[0], path.name)
            if wrong:
                lines.append(f"{path.name}, cell {k}: {wrong}")
        if touched:
            nbformat.write(notebook, path)
    return lines


def _narrow(text: str) -> str:
    """The text formatted for a notebook: 80 columns."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        return text
    command = [ruff, "format", "--isolated", "--line-length", "80", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    writing = "--write" in sys.argv[1:]
    lines = compare(ROOT / "notebooks", ROOT / "dtse_core", writing)
    print("\n".join(lines) or "every definition equals the package's")
    sys.exit(any("rewritten" not in line for line in lines))
