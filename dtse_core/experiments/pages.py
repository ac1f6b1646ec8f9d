"""Pages of executed notebooks: one HTML page each, an index of all, and the table that the runner prints."""

import base64
import html
import io
import os
import re
import sys
from collections.abc import Collection
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from ..config import checked
from ..shared.console import in_html, visible
from ..shared.files import PAGE, TABLES, read_json, written_whole
from ..shared.images import read_rgb

_STYLE = """
:root { color-scheme: light; --ink: #1b2733; --soft: #5b6b7a; --line: #e3e8ed; --blue: #0072B2; }
body { margin: 0 auto; max-width: 58rem; padding: 2.5rem 1.25rem 4rem; color: var(--ink); background: #fff;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
p { color: var(--soft); margin: 0 0 1.5rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; font-size: .8rem; color: var(--soft); padding: 0 .75rem .5rem; }
td { border-top: 1px solid var(--line); padding: .6rem .75rem; vertical-align: middle; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.picture { width: 7.5rem; padding-left: 0; }
td.picture img { display: block; width: 7.5rem; height: 4.5rem; object-fit: contain; }
td.picture span { display: block; width: 7.5rem; line-height: 4.5rem; text-align: center; border-radius: .4rem;
                  background: #eef4f8; color: var(--blue); font-size: 1.4rem; font-weight: 600; }
a { color: var(--blue); text-decoration: none; } a:hover { text-decoration: underline; }
td small { display: block; color: var(--soft); overflow-wrap: anywhere; }
.ok { color: #00704f; } .failed { color: #b3261e; font-weight: 600; }
@media (max-width: 32rem) { td, th { padding-left: .35rem; padding-right: .35rem; }
                            td.picture, td.picture img, td.picture span { width: 3.5rem; } }
"""

SHOWN = {"notebook": str, "title": str, "ok": bool, "error": str, "seconds": float, "claims": int}  # of a record
_DENSE = """
body { max-width: 84rem; font-size: 14px; } td, th { padding: .3rem .5rem; white-space: nowrap; }
li { margin: .2rem 0; } img { width: 46rem; max-width: 100%; }
"""


def page_of(notebook: Any, name: str) -> str:
    """An executed notebook as one page in HTML that needs no network: attached pictures, badges and, where
    latex2mathml is installed, formulas are in it. Links to other notebooks lead to their pages."""
    from jinja2 import pass_context
    from nbconvert import HTMLExporter

    class Exporter(HTMLExporter):
        @pass_context
        def markdown2html(self, context, source):
            return _formulas(_badges(super().markdown2html(context, source)))

    # Not with embed_images: it closes `<details>` at the first blank line, and the solutions stand open.
    page, _ = Exporter().from_notebook_node(notebook, {"metadata": {"name": name}})
    page = _folded(page.replace("<head>", f"<head><!-- {PAGE} -->", 1))
    return visible(re.sub(r'(href="\d\d_\w+)\.ipynb', r"\1.html", page))


def _folded(page: str) -> str:
    """Cells tagged `appendix` folded below their first one, the heading."""
    starts = [found.start() for found in re.finditer(r'<div[^>]*class="jp-Cell |</main>', page)]
    cells = [(a, b) for a, b in pairwise([*starts, len(page)]) if re.search('class="[^"]*celltag_appendix', page[a:b])]
    if len(cells) < 2:
        return page
    start, end = cells[1][0], cells[-1][1]
    opened = "<details><summary>Unfold the appendix</summary>\n"
    return f"{page[:start]}{opened}{page[start:end]}</details>\n{page[end:]}"


def write_page(path: Path, text: str) -> Path:
    """Writes a page that has the mark of our pages."""
    with written_whole(path, PAGE) as part:
        part.write_text(visible(text), encoding="utf-8")
    return path


def _badges(page: str) -> str:
    """Badges drawn by the browser, in the place of pictures from a server."""
    badge = r'<img[^>]*src="https://img\.shields\.io/badge/((?:[^"-]|--)+)-((?:[^"-]|--)+)-(\w+)"[^>]*>'
    look = "color:{};background:#{};border-radius:3px;padding:1px 7px;font-size:12px;white-space:nowrap"

    def draw(found: re.Match) -> str:
        text = f"{found[1]}: {found[2]}".replace("__", "_").replace("%2F", "/").replace("--", "-")
        ink = "black" if found[3] == "E69F00" else "white"
        return f'<span style="{look.format(ink, found[3])}">{text}</span>'

    return re.sub(badge, draw, page)


def _formulas(page: str) -> str:
    """Formulas as MathML, which browsers draw themselves; left to MathJax where latex2mathml is not installed."""
    try:
        from latex2mathml.converter import convert
    except ImportError:
        return page

    def draw(found: re.Match) -> str:
        if found[0].startswith("<"):  # code
            return found[0]
        tex = html.unescape(found[1] or found[2]).replace("{aligned}", "{align*}")  # the name that it knows
        drawn = convert(tex, display="block" if found[1] else "inline")
        return re.sub(r'columnalign="(left|right)"', r'style="text-align: \1"', drawn)  # as browsers want it

    code = r"<(?:pre|code)\b.*?</(?:pre|code)>"
    return re.sub(rf"(?s:{code})|(?s:\$\$(.+?)\$\$)|\$([^$\n]+?)\$", draw, page)


def fewer_colors(png: str) -> str:
    """A figure (PNG as base64) in a palette of 96 colors, or as it was if that is smaller.

    Toy frames are grainy, which PNG stores badly: a palette was measured at a quarter of the size.
    """
    palette = _image(png).quantize(96, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    return min(png, _png(palette), key=len)


def _image(png: str) -> Image.Image:
    return Image.fromarray(read_rgb(Path("a figure"), base64.b64decode(png)))


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def read_record(file: Path, kinds: dict[str, Any], needed: Collection[str]) -> dict[str, Any] | None:
    """What was recorded of a run; None if there is no file, and with a note where it is not of these `kinds`."""
    if not file.exists():
        return None
    try:
        record = read_json(file)
        for name in (kinds.keys() & record.keys()).union(needed):
            checked(f"{file}: {name}", record.get(name), kinds[name])
        return record
    except (ValueError, OSError) as error:
        print(f"note: {error}; the run counts as not run", file=sys.stderr)
        return None


def write_index(folder: Path) -> Path:
    """`index.html` from the results (`NN_name.json`) that the folder holds; needs no other file to be seen."""
    files = sorted(folder.glob("[0-9][0-9]_*.json"))
    results = [record for file in files if (record := read_record(file, SHOWN, SHOWN))]
    rows = "\n".join(_row(r, folder) for r in results)
    good, claims = sum(r["ok"] for r in results), sum(r["claims"] for r in results)
    seconds = sum(r["seconds"] for r in results)
    told = f"{good} of {len(results)} notebooks ran without an error and checked {claims} claims, in {seconds:.0f} s."
    head = '<th></th><th>notebook</th><th class="number">seconds</th><th class="number">claims</th><th></th>'
    return write_page(folder / "index.html", _page("dtse: the tutorial, executed", told, head, rows))


def comparison_page(
    title: str, about: str, rows: list[list[str]], said: dict[str, list[str]], pictures: dict[str, list[bytes]]
) -> str:
    """A page with a table, its head first, and below it by heading pictures (PNG) and sentences."""
    head, *body = ([in_html(cell) for cell in row] for row in rows)
    lines = ["".join(f"<td{_number(k)}>{c}</td>" for k, c in enumerate(row)) for row in body]
    below = ""
    for heading, some in said.items():
        drawn = (base64.b64encode(png).decode() for png in pictures.get(heading, []))
        shown = "".join(f'<p><img alt="{in_html(heading)}" src="data:image/png;base64,{png}"></p>' for png in drawn)
        listed = "".join(f"<li>{in_html(s)}</li>" for s in some)
        below += f"<h2>{in_html(heading)}</h2>{shown}<ul>{listed}</ul>"
    cells = "".join(f"<th{_number(k)}>{c}</th>" for k, c in enumerate(head))
    return _page(title, about, cells, "".join(f"<tr>{line}</tr>" for line in lines), _DENSE, below)


def _page(title: str, about: str, head: str, rows: str, style: str = "", below: str = "") -> str:
    """A page with a heading, a sentence and a table; `head`, `rows` and `below` are HTML."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><!-- {PAGE} --><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{in_html(title)}</title><style>{_STYLE}{style}</style></head><body>
<h1>{in_html(title)}</h1>
<p>{in_html(about)}</p>
<table><thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody></table>
{below}</body></html>
"""


def _number(column: int) -> str:
    return ' class="number"' if column else ""


def table(results: list[Any]) -> str:
    """Notebook, seconds, claims and state, a line each, with the sums."""
    rows = [("notebook", "seconds", "claims", "")]
    rows += [(r.notebook, f"{r.seconds:.1f}", str(r.claims), "ok" if r.ok else "FAILED") for r in results]
    rows += [("total", f"{sum(r.seconds for r in results):.1f}", str(sum(r.claims for r in results)), "")]
    wide = max(len(row[0]) for row in rows)
    return "\n".join(f"{a:<{wide}}  {b:>8}  {c:>6}  {d}".rstrip() for a, b, c, d in rows)


def title(notebook: Any) -> str:
    """The first heading of the first level, or nothing."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    found = re.search(r"^# +(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _row(result: dict[str, Any], folder: Path) -> str:
    name, state = result["notebook"], "ok" if result["ok"] else "failed"
    picture = _thumbnail(folder / f"{name}.ipynb")
    about = in_html(f"first figure of {name}")
    shown = f'<img alt="{about}" src="{picture}">' if picture else f"<span>{name[:2]}</span>"
    heading, copy = _link(folder / f"{name}.html", result["title"]), _link(folder / f"{name}.ipynb", f"{name}.ipynb")
    return (
        f'<tr><td class="picture">{shown}</td>'
        f"<td>{heading}<small>{copy}</small><small>{in_html(result['error'])}</small></td>"
        f'<td class="number">{result["seconds"]:.1f}</td><td class="number">{result["claims"]}</td>'
        f'<td class="{state}">{state}</td></tr>'
    )


def _link(file: Path, text: str) -> str:
    """A text that leads to a file beside the page, where there is one."""
    text = in_html(text)
    return f'<a href="{quote(os.fsencode(file.name))}">{text}</a>' if file.is_file() else text


def _thumbnail(notebook: Path) -> str:
    """The notebook's first figure, made small, as a data address; "" if it has none."""
    with suppress(FileNotFoundError, ValueError, TypeError, AttributeError, KeyError):  # none, or damaged
        cells = read_json(notebook, most=TABLES)["cells"]
        for data in (o.get("data", {}) for c in cells for o in c.get("outputs", [])):
            if "image/png" in data:
                picture = _image("".join(data["image/png"]))
                picture.thumbnail((240, 144))
                return f"data:image/png;base64,{_png(picture)}"
    return ""
