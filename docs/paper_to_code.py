"""The tables of the gallery, read from lessons.toml and the code: the path, the modules, from the paper to the code."""

import ast
import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dtse_core"
MARK = re.compile(r"\[([AL])[\],:]|\b(D-\d+)\b")  # [A], [L: HDFNet], [L, D-4]; D-4 alone as well


def table(*rows: list[str]) -> str:
    """Markdown; the first row is the head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def lessons() -> list[dict]:
    """The rows of lessons.toml whose notebook exists, each with a link to its page and the names that it defines."""
    found = []
    for x in tomllib.loads((ROOT / "notebooks/lessons.toml").read_text(encoding="utf-8"))["lesson"]:
        file = ROOT / f"notebooks/{x['name']}.ipynb"
        if file.exists():
            cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
            tags = (tag for cell in cells for tag in cell["metadata"].get("tags", []))
            names = dict.fromkeys(tag.removeprefix("define:") for tag in tags if re.match("define:[^_]", tag))
            link = f"[{x['name'][:2]} · {x['title']}](../notebooks/{x['name']}.ipynb)"
            found.append(x | {"link": link, "defines": list(names)})
    return found


def modules() -> dict[str, Path]:
    """Dotted name -> file."""
    files = (file for file in sorted(PACKAGE.rglob("*.py")) if file.stem != "__init__")
    return {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}


def homes() -> dict[str, str]:
    """What is defined at the top of a module -> the module's dotted name."""
    return {
        node.name: name
        for name, file in modules().items()
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }


def marks(module: str) -> set[str]:
    """Sources that the module's text names: A, L and the D-n of the register."""
    return {a or d for a, d in MARK.findall(modules()[module].read_text(encoding="utf-8"))}


def ordered(found: set[str]) -> list[str]:
    """A, L, then D-n by number."""
    return sorted(found, key=lambda mark: (mark[0] == "D", int(mark[2:] or 0), mark))


def word(mark: str) -> str:
    """A mark as notebooks write it."""
    return {"A": "abstract", "L": "lab"}.get(mark, f"choice\N{NO-BREAK SPACE}{mark[2:]}")


def path() -> str:
    """The notebooks, what one can do afterwards, and their minutes."""
    rows = ([x["link"], x["about"], x["minutes"]] for x in lessons())
    return table(["notebook", "afterwards you can", "minutes on 2 cores"], *rows)


def by_module() -> str:
    """The modules in their folders, each with the first lines of its docstring, without its marks."""
    rows = []
    for file in sorted(PACKAGE.rglob("*.py"), key=lambda file: (file.parent, file.stem != "__init__", file.stem)):
        dotted = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        first = " ".join(text.split("\n\n")[0].split())
        about = re.sub(r" \[[AL][^]]*\]| (Notebook: \S+|Built in notebook \d+\.)$", "", first)
        if file.stem == "__init__":
            rows.append([f"**{{py:mod}}`{dotted}`**", about])
        elif file.stem != "__main__":  # a command has no API
            rows.append([f"{{py:mod}}`{file.stem} <{dotted}>`", about])
    return table(["module", "what it is for"], *rows)


def by_notebook() -> str:
    """What each notebook defines, the package's module, and the sources of both."""
    home, rows = homes(), []
    for x in lessons():
        names = x["defines"]
        module = "dtse_core." + x["module"].removesuffix(".py").replace("/", ".")
        found = set().union(*(marks(name) for name in {module, *(home[name] for name in names)}))
        defined = ", ".join(f"{{py:obj}}`{name} <{home[name]}.{name}>`" for name in names)
        rows.append(
            [
                x["link"],
                defined or "–",
                f"{{py:mod}}`{module}`",
                ", ".join(map(word, ordered(found))) or "–",
            ]
        )
    return table(["notebook", "defines", "module", "source"], *rows)


def by_source() -> str:
    """The modules that name a source."""
    where: dict[str, list[str]] = {}
    for module in modules():
        for mark in marks(module):
            where.setdefault(mark, []).append(f"{{py:mod}}`{module}`")
    return table(["source", "named in"], *([word(mark), ", ".join(where[mark])] for mark in ordered(set(where))))
