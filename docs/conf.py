"""The gallery site: Sphinx reads docs/ and notebooks/ where they lie, `make gallery` writes runs/gallery/.

Sphinx with myst-nb and furo, since it shows stored outputs as they are, searches without a server, bundles all its
scripts and turns each warning into an error. Material for MkDocs with mkdocs-jupyter was the other candidate: its page
of notebook 06 takes 1.1 MB, 0.6 of them style sheets in its text, and fetches scripts from a CDN.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]
import paper_to_code  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = PROJECT["urls"]["Repository"]
PAGE = rf"{re.escape(ADDRESS)}/blob/main/(CONTRIBUTING\.md|(?:docs|benchmarks|dtse_core/experiments/study)/[\w/-]+\.md)"
VIEWER = r"\[!\[Rendered page\]\([^)]*\)\]\([^)]*\) ?"  # it leads to what this site is
BADGE = r"\[!\[([^\]]*)\]\(https://img\.shields\.io/[^)]*\)\]\(([^)]*)\) ?"

project = "dtse"
author = PROJECT["authors"][0]["name"]
copyright = author  # noqa: A001
version = release = PROJECT["version"]

# The source folder is the repository, so that links among notebooks, docs and figures hold as they are written.
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "notebooks/*.ipynb",
    "CONTRIBUTING.md",
    "benchmarks/**.md",
    "dtse_core/checkpoints/tiny/README.md",
    "dtse_core/experiments/study/*.md",
]
exclude_patterns = [".*", "runs", "notebooks/runs", "**/.ipynb_checkpoints", "docs/api/modules.rst"]
extensions = [
    "myst_nb",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
]

nb_execution_mode = "off"  # the committed outputs are shown
suppress_warnings = ["myst.duplicate_def"]  # a cell defines its links itself, since Jupyter shows it alone
nb_ipywidgets_js = {}  # no widget state is stored, and its scripts would come from a CDN
myst_enable_extensions = ["dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {
    "path": paper_to_code.path(),
    "modules": paper_to_code.by_module(),
    "by_notebook": paper_to_code.by_notebook(),
    "by_source": paper_to_code.by_source(),
}

apidoc_modules = [{"path": "../dtse_core", "destination": "docs/api", "separate_modules": True, "module_first": True}]
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "dtse"
html_favicon = "icon.svg"
html_static_path = ["gallery.css"]
html_css_files = ["gallery.css"]
html_copy_source = False
html_search_scorer = str(DOCS / "search_scorer.js")
html_show_sphinx = False
html_theme_options = {
    "source_repository": ADDRESS,
    "source_branch": "main",
    "source_directory": "",
    "top_of_page_buttons": ["view"],
}


def local_sources(app, name: str, source: list[str]) -> None:
    """Of a notebook: badges, which a server would draw, become words; attached pictures become those in figures/;
    links to pages on GitHub lead to those here, links to a heading bear its name here. Of the API: shorter
    titles and lists."""
    if name.startswith("docs/api/"):
        source[0] = re.sub(r"(?m) (module|package)$", "", source[0]).replace(":maxdepth: 4", ":maxdepth: 1")
    if app.env.doc2path(name).suffix == ".ipynb":
        notebook = json.loads(source[0])
        notebook["metadata"]["language_info"]["pygments_lexer"] = "ipython3"  # it knows magics
        for cell in notebook["cells"]:
            text = re.sub(VIEWER, "", "".join(cell["source"]))
            text = re.sub(BADGE, r"[\1](\2) · ", text).replace(" · \n", "\n")
            text = re.sub(PAGE, r"../\1", text)
            text = re.sub(r"(?<=\]\(#)[^)]+", lambda link: re.sub(r"[^\w-]", "", link[0].lower()), text)
            for file, data in cell.get("attachments", {}).items():
                text = text.replace(f"(attachment:{file})", f"({picture(file, data)})")
            cell["source"] = text
            if cell["cell_type"] == "code" and "appendix" in cell["metadata"].get("tags", []):
                cell["metadata"]["tags"].append("hide-cell")  # folded, as its heading is in JupyterLab
        source[0] = json.dumps(notebook)


def picture(file: str, data: dict[str, str]) -> str:
    """Where an attached picture lies: the drawing, if there is one, or the file of its name, or its own bytes."""
    for name in (f"{Path(file).stem}.svg", file):
        if (ROOT / "figures" / name).exists():
            return f"../figures/{name}"
    kind, content = next(iter(data.items()))
    return f"data:{kind};base64,{content}"


def markdown_docstring(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text with `code` in backticks and indented code after an empty line; Sphinx reads RST."""
    parts, before = re.split(r"\n\s*\n", "\n".join(lines)), ""
    for k, part in enumerate(parts):
        if part.startswith("    "):
            parts[k] = part if before.startswith("    ") else f".. code-block:: text\n\n{part}"
        else:
            pieces = part.split("`")
            pieces[::2] = (re.sub(r"([*|_\\])", r"\\\1", words) for words in pieces[::2])
            pieces[1::2] = (f"``{code}``\\ " for code in pieces[1::2])
            parts[k] = "".join(pieces)
        before = part
    lines[:] = "\n\n".join(parts).split("\n")


def front_page(app, error) -> None:
    """The site's address alone opens its front page."""
    if error is None:
        page = f'<!doctype html><title>dtse</title><meta http-equiv="refresh" content="0; url={root_doc}.html">'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app) -> None:
    app.connect("source-read", local_sources)
    app.connect("autodoc-process-docstring", markdown_docstring)
    app.connect("build-finished", front_page)
