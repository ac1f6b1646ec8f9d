"""The report of a grid: a table of its variants, and what their scores support, as Markdown and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import nearest
from ..shared import markdown
from ..shared.files import PAGE
from .comparison import Comparison, all_differences, conclusions, summary_rows
from .pages import comparison_page, write_page

if TYPE_CHECKING:
    import pandas as pd

REPORT = {"report.md": PAGE, "report.html": PAGE}


def write_report(
    tables: "dict[str, pd.DataFrame]",
    folder: Path,
    reference: str,
    title: str,
    primary: Sequence[Comparison] = (),
    metrics: Sequence[str] = (),
) -> list[Path]:
    """The comparison as Markdown and as a page: means over seeds, `metrics` among them, and what the data support."""
    runs = tables["runs"]
    if reference not in set(runs["variant"]):
        raise ValueError(f"no variant {reference!r}{nearest(reference, runs['variant'])} in the grid")
    rows = summary_rows(runs, metrics)
    said = conclusions(all_differences(runs, tables["clips"], reference, primary))
    if not len(tables["clips"]):
        said = {"Comparisons": ["No run recorded scores clip by clip, so nothing is compared."]}
    done = f"{(runs['state'] == 'ok').sum()} of {len(runs)} runs."
    lines = [f"# {markdown.escaped(title)}", "", done, "", *markdown.table(rows), ""]
    for heading, sentences in said.items():
        lines += [f"## {heading}", "", *(f"- {markdown.escaped(s)}" for s in sentences), ""]
    text = "\n".join(lines)
    return [
        write_page(folder / "report.md", f"<!-- {PAGE} -->\n{text}"),
        write_page(folder / "report.html", comparison_page(title, done, rows, said)),
    ]
