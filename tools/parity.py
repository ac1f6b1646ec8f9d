"""A cell tagged `define:Name` holds the code of dtse_core's `Name`, statement for statement.

Compared as syntax trees without docstrings, so that comments, spacing and the docstring's length may differ.
A class too long for one cell goes on in later ones, each tagged alike and beginning with `class Name(Name):`.
`python tools/parity.py` says what differs and exits 1; `--write` copies the package's text into the cells.
"""

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize
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


def difference(cells: list, known: dict[str, list[Source]]) -> str:
    """What is wrong with the `define:Name` cells of one name, in one line; "" if together they equal the package."""
    names = defined_names(cells[0])
    if len(names) != 1:
        return f"a cell defines one thing, this one is tagged {', '.join(names)}"
    name, parts = names[0], []
    for cell in cells:
        try:
            body = ast.parse(cell.source).body
        except SyntaxError as e:
            return f"define:{name}: line {e.lineno} is not plain Python (magics are not allowed here)"
        if len(body) != 1 or not isinstance(body[0], Definition) or body[0].name != name:
            return f"define:{name}: the cell must hold exactly the definition of {name}"
        parts += body
    whole = parts[0]
    for part in parts[1:]:
        if not isinstance(part, ast.ClassDef) or [ast.unparse(b) for b in part.bases] != [name]:
            return f"define:{name}: a cell that goes on with the class must begin with `class {name}({name}):`"
        whole.body += part.body[ast.get_docstring(part) is not None :]
    if len(known.get(name, [])) != 1:
        places = ", ".join(s.file.name for s in known.get(name, [])) or "nowhere"
        return f"define:{name}: dtse_core must define {name} once at the top of a module; found: {places}"
    source = known[name][0]
    if plain(whole) != plain(source.tree):
        return f"define:{name}: differs from {source.file.name}:{source.tree.lineno}; see tools/parity.py --write"
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
        notebook, touched, groups = nbformat.read(path, as_version=4), False, {}
        for k, cell in enumerate(notebook.cells):
            if names := tuple(defined_names(cell)):
                groups.setdefault(names, []).append(k)
        for names, at in groups.items():
            cells = [notebook.cells[k] for k in at]
            wrong = difference(cells, known)
            if wrong and write and len(names) == 1 and len(known.get(names[0], [])) == 1:
                for cell, text in zip(cells, _texts(known[names[0]][0], cells), strict=True):
                    cell.source = _narrow(text)
                wrong, touched = f"define:{names[0]}: rewritten", True
            if not wrong and names[0] in seen:
                wrong = f"define:{names[0]}: defined in {seen[names[0]]} already"
            seen.setdefault(names[0], path.name)
            if wrong:
                lines.append(f"{path.name}, cell {at[0]}: {wrong}")
        if touched:
            nbformat.write(notebook, path)
    return lines


def _texts(source: Source, cells: list) -> list[str]:
    """The package's text for one cell or more: each keeps its methods, and a new one stays with that before it."""
    if len(cells) == 1:
        return [source.text]
    held = [re.findall(r"(?m)^    (?:async )?def (\w+)", cell.source) for cell in cells]
    methods = [node for node in source.tree.body if isinstance(node, Definition)]
    first = source.tree.end_lineno - len(source.text.splitlines()) + 1
    starts = [min([m.lineno, *(d.lineno for d in m.decorator_list)]) - first for m in methods]
    ends = [m.end_lineno - first + 1 for m in methods]
    lines, name, k = source.text.splitlines(), source.tree.name, 0
    texts = [lines[: starts[0]], *([f"class {name}({name}):"] for _ in cells[1:])]
    for method, start, end in zip(methods, starts, ends, strict=True):
        k = next((j for j in range(k, len(cells)) if method.name in held[j]), k)
        texts[k] += [*lines[start:end], ""]
    return ["\n".join(text) for text in texts]


def _narrow(text: str) -> str:
    """The text formatted for a notebook: 80 columns. A comment that does not fit beside its line goes above it."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        return text
    lines, starts = text.splitlines(), {n.lineno for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    for token in reversed([t for t in tokens if t.type == tokenize.COMMENT]):
        row, column = token.start
        line = lines[row - 1]
        if row in starts and len(line) > 80 and line[:column].strip():
            indent = line[: len(line) - len(line.lstrip())]
            lines[row - 1 : row] = [indent + token.string, line[:column].rstrip()]
    command = [ruff, "format", "--isolated", "--line-length", "80", "-"]
    command += ["--config", "format.skip-magic-trailing-comma=true"]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    writing = "--write" in sys.argv[1:]
    lines = compare(ROOT / "notebooks", ROOT / "dtse_core", writing)
    print("\n".join(lines) or "every definition equals the package's")
    sys.exit(any("rewritten" not in line for line in lines))
