"""The report of a grid: a table of its variants, and what their scores support, as Markdown and as a page, which has
pictures, too."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import nearest
from ..shared import markdown
from ..shared.files import PAGE
from .comparison import EXPLORATORY, PRIMARY, Comparison, Difference, all_differences, conclusions, summary_rows
from .pages import comparison_page, write_page

if TYPE_CHECKING:
    import pandas as pd

REPORT = {"report.md": PAGE, "report.html": PAGE}
ROWS = 60  # of a picture; more comparisons are drawn in several


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
    differences = all_differences(runs, tables["clips"], reference, primary)
    if len(tables["clips"]):
        said, pictures = conclusions(differences), _pictures(differences, runs)
    else:
        said, pictures = {"Comparisons": ["No run recorded scores clip by clip, so nothing is compared."]}, {}
    done = f"{(runs['state'] == 'ok').sum()} of {len(runs)} runs."
    lines = [f"# {markdown.escaped(title)}", "", done, "", *markdown.table(rows), ""]
    for heading, sentences in said.items():
        lines += [f"## {heading}", "", *(f"- {markdown.escaped(s)}" for s in sentences), ""]
    text = "\n".join(lines)
    return [
        write_page(folder / "report.md", f"<!-- {PAGE} -->\n{text}"),
        write_page(folder / "report.html", comparison_page(title, done, rows, said, pictures)),
    ]


def _pictures(differences: Sequence[Difference], runs: "pd.DataFrame") -> dict[str, list[bytes]]:
    """By heading: the primary comparisons, and of all others those on all clips, a picture for each budget, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from ..video.film import use_style
    from ..video.letters import spelled
    from .forest import forest, group_colors

    use_style()
    groups = runs.drop_duplicates("variant").set_index("variant")["group"]
    colors = groups.map(group_colors(groups)).to_dict()
    others = [d for d in differences if d.asked.part == "all" and not d.primary]
    drawn = {(PRIMARY, ""): [d for d in differences if d.primary]}
    for budget in dict.fromkeys(d.asked.budget for d in others):
        drawn[EXPLORATORY, f"equal {budget}"] = [d for d in others if d.asked.budget == budget]
    pictures: dict[str, list[bytes]] = {PRIMARY: [], EXPLORATORY: []}
    for (heading, title), some in drawn.items():
        for start in range(0, len(some), ROWS):
            figure, file = forest(some[start : start + ROWS], colors), io.BytesIO()
            figure.axes[0].set_title(spelled(title))
            figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
            plt.close(figure)
            pictures[heading].append(file.getvalue())
    return pictures
