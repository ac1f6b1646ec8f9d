"""The picture of a report: differences of scores as marks with their intervals. Notebook: 11_ablations.

matplotlib is imported where it is used.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from ..video.letters import spelled
from ..video.overlay import GUIDANCE, LANGUAGE, RUNS, TIME
from .comparison import SCORES, Difference
from .verdicts import MARGIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = {  # of a study's variants
    "design": "black",
    "baselines": "#8C8C8C",
    "VLMG": GUIDANCE,
    "LMDF": TIME,
    "window": RUNS[3],
    "text": LANGUAGE,
}
LONGEST = 48  # characters of a label
FOUND, EQUIVALENT, UNKNOWN = "different", f"equivalent (within {MARGIN})", "undecided or no verdict"
MARKS = {"higher": FOUND, "lower": FOUND, "equivalent": EQUIVALENT}  # of verdicts; of all others UNKNOWN
LOOK = {  # of marks, and of the lines of their intervals
    FOUND: ({"marker": "o"}, 2.0),
    EQUIVALENT: ({"marker": "s", "markerfacecolor": "white"}, 1.0),
    UNKNOWN: ({"marker": "o", "markerfacecolor": "white"}, 1.0),
}


def group_colors(groups: Iterable[str]) -> dict[str, str]:
    """A color for each group of variants: that of GROUPS, and for others those of RUNS in turn."""
    others = (group for group in dict.fromkeys(groups) if group not in GROUPS)
    return GROUPS | dict(zip(others, cycle(RUNS[1:]), strict=False))


def forest(differences: Sequence[Difference], colors: Mapping[str, str]) -> "Figure":
    """Differences with their 95 % intervals, a row each, below the names of their references if there are several.

    `colors` has one for each variant. The gray band is what counts as equivalent. Intervals of those without a verdict
    are cut off at the edge of the figure.
    """
    import matplotlib.pyplot as plt

    references = list(dict.fromkeys(d.asked.reference for d in differences))
    rows: list[str | Difference] = []
    for reference in references:
        rows += [f"against {reference}"] if len(references) > 1 else []
        rows += [d for d in differences if d.asked.reference == reference]
    labels = [_label(row) for row in rows]  # first: it may add a font
    shown = (end for d in differences if d.run for end in ([d.mean] if d.too_few else [d.low, d.high]))
    reach = max([2 * MARGIN, *map(abs, shown)])
    figure, ax = plt.subplots(figsize=(7.5, 1.1 + 0.24 * len(rows)), layout="constrained")
    ax.axvspan(-MARGIN, MARGIN, color="0.93")
    ax.axvline(0, color="black", lw=0.8)
    for k, d in enumerate(rows):
        if isinstance(d, str):
            continue
        if not d.run:
            ax.text(0, k, "not run", color="0.5", va="center", ha="center", backgroundcolor="white")
            continue
        look, wide = LOOK[MARKS.get(d.verdict, UNKNOWN)]
        color, (low, high) = colors[d.asked.variant], np.clip([d.low, d.high], -1.05 * reach, 1.05 * reach)
        ax.plot([low, high], [k, k], color=color, lw=wide)
        ax.plot(d.mean, k, color=color, ms=6, **look)
    ax.set_yticks(range(len(rows)), labels)
    for tick, row in zip(ax.yaxis.get_major_ticks(), rows, strict=True):
        if isinstance(row, str):
            tick.tick1line.set_visible(False)
            tick.label1.set_fontweight("bold")
    scores = " or ".join(dict.fromkeys(SCORES[d.asked.score] for d in differences))
    other = _label(references[0]) if len(references) == 1 else "the reference"
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlim=(-1.1 * reach, 1.1 * reach))
    ax.set_xlabel(f"lower than {other}  \N{LEFTWARDS ARROW}  {scores}  \N{RIGHTWARDS ARROW}  higher")
    ax.grid(axis="x")
    marks = [plt.Line2D([], [], color="0.3", label=name, lw=wide, ms=6, **look) for name, (look, wide) in LOOK.items()]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))
    return figure


def _label(row: str | Difference) -> str:
    """A heading, or the variant and on what it is compared, in one line; of a long one the beginning."""
    if isinstance(row, Difference):
        row = row.asked.variant + f", on {row.asked.part}" * (row.asked.part != "all")
    line = " ".join(row.split())
    return spelled(line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}")
