"""The report of a grid: a table of its variants, what their scores support, and learning curves, as Markdown and as a
page with pictures."""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import nearest
from ..shared import markdown
from ..shared.files import PAGE, require_ours
from .comparison import EXPLORATORY, PRIMARY, Comparison, Difference, all_differences, conclusions, summary_rows
from .curves import MARKS, curve_points, curve_sentences
from .pages import comparison_page, write_page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CURVES = "Learning curves"  # a heading
REPORT = {"report.md": PAGE, "report.html": PAGE}
ABOUT = "Means over seeds, scores in percent; ms a step is that of a row's fastest run, MB the most that a run held."
ROWS = 60  # of a picture; more comparisons are drawn in several


def require_place(folder: Path) -> None:
    """Raises as `require_ours` does where a report would take the place of somebody else's file."""
    for name, mark in REPORT.items():
        require_ours(folder / name, mark)


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
    require_place(folder)
    if reference not in set(runs["variant"]):
        raise ValueError(f"no variant {reference!r}{nearest(reference, runs['variant'])} in the grid")
    rows = summary_rows(runs, metrics)
    differences = all_differences(runs, tables["clips"], reference, primary)
    said = {"Comparisons": ["No run recorded scores clip by clip, so nothing is compared."]}
    if len(tables["clips"]):
        said = conclusions(differences)
    points = curve_points(runs)
    said |= {CURVES: curve_sentences(points)} if len(points) else {}
    pictures = _pictures(differences if len(tables["clips"]) else [], points, runs)
    done = f"{(runs['state'] == 'ok').sum()} of {len(runs)} runs. {ABOUT}"
    lines = [f"# {markdown.escaped(title)}", "", done, "", *markdown.table(rows), ""]
    for heading, sentences in said.items():
        lines += [f"## {heading}", "", *(f"- {markdown.escaped(s)}" for s in sentences), ""]
    text = "\n".join(lines)
    return [
        write_page(folder / "report.md", f"<!-- {PAGE} -->\n{text}"),
        write_page(folder / "report.html", comparison_page(title, done, rows, said, pictures)),
    ]


def _pictures(
    differences: Sequence[Difference], points: "pd.DataFrame", runs: "pd.DataFrame"
) -> dict[str, list[bytes]]:
    """By heading, as PNG: the primary comparisons, and of all others those on all clips, a picture for each budget; the
    learning curves.

    They look alike whatever a caller has set in matplotlib, and leave its settings alone; its backend becomes Agg.
    """
    import matplotlib

    from .curves import learning_curves
    from .forest import forest

    matplotlib.use("Agg")

    groups = dict(zip(runs["variant"], runs["group"], strict=True))
    pictures: dict[str, list[bytes]] = {PRIMARY: [], EXPLORATORY: [], CURVES: []}
    asked = [d for d in differences if d.primary or d.asked.part == "all"]
    for heading, budget in dict.fromkeys((_heading(d), d.asked.budget) for d in asked):
        some = [d for d in asked if (_heading(d), d.asked.budget) == (heading, budget)]
        for drawn in _in_parts(some, ROWS):
            if any(d.run for d in drawn):
                pictures[heading].append(_png(partial(forest, drawn, groups, f"equal {budget}")))
    for names in _in_parts(list(points["variant"].unique()), len(MARKS)):
        pictures[CURVES].append(_png(partial(learning_curves, points[points["variant"].isin(names)], groups)))
    return pictures


def _in_parts(rows: list, most: int) -> Iterator[list]:
    return (rows[start : start + most] for start in range(0, len(rows), most))


def _heading(d: Difference) -> str:
    return PRIMARY if d.primary else EXPLORATORY


def _png(draw: "Callable[[], Figure]") -> bytes:
    import matplotlib
    import matplotlib.pyplot as plt

    from ..video.film import use_style

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        use_style()
        figure, file = draw(), io.BytesIO()
        try:
            figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
        finally:
            plt.close(figure)
    return file.getvalue()
