"""The picture of a report: differences of scores as marks with their intervals. Notebook: 11_ablations.

matplotlib is imported where it is used.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from ..shared.console import visible
from ..video.letters import spelled
from ..video.overlay import GUIDANCE, LANGUAGE, RUNS, TIME
from .comparison import SCORES, Difference
from .verdicts import MARGIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS = {  # of a study's variants
    "design": "black",
    "baselines": "#8C8C8C",
    "VLMG": GUIDANCE,
    "LMDF": TIME,
    "window": RUNS[3],
    "text": LANGUAGE,
}
LONGEST = 48  # characters of a name
FOUND = {"marker": "o"}, 2.0  # look of a mark, and width of the line of its interval
EQUIVALENT = {"marker": "s", "markerfacecolor": "white"}, 1.0
UNKNOWN = {"marker": "o", "markerfacecolor": "white"}, 1.0
LOOK = {"higher": FOUND, "lower": FOUND, "equivalent": EQUIVALENT}  # by verdict; all others have that of UNKNOWN


def group_colors(groups: Iterable[str]) -> dict[str, str]:
    """A color for each group of variants: that of GROUPS, and for others those of RUNS that are free, in turn."""
    others = (group for group in dict.fromkeys(groups) if group not in GROUPS)
    free = (color for color in RUNS[1:] if color not in GROUPS.values())
    return GROUPS | dict(zip(others, cycle(free), strict=False))


def forest(differences: Sequence[Difference], groups: Mapping[str, str], title: str = "") -> "Figure":
    """Differences with their 95 % intervals: a row each, with its verdict at the right; a panel for each score, with
    rows below the names of their references if there are several.

    `groups` has that of each variant, and each its color. The gray band is what counts as equivalent. Where nothing is
    known, the line of the interval runs through the whole panel.
    """
    import matplotlib.pyplot as plt

    budgets = {d.asked.budget for d in differences}
    panels = {}  # text first: it may add a font
    for score in dict.fromkeys(d.asked.score for d in differences):
        some = [d for d in differences if d.asked.score == score]
        references = list(dict.fromkeys(d.asked.reference for d in some))
        rows: list[tuple[str, Difference | None]] = []  # a label and what stands there; below the names of references
        for reference in references:
            rows += [(_short(f"against {reference}"), None)] if len(references) > 1 else []
            rows += [(_label(d, budgets), d) for d in some if d.asked.reference == reference]
        other = _short(references[0]) if len(references) == 1 else "the reference"
        panels[f"lower than {other}  \N{LEFTWARDS ARROW}  {SCORES[score]}  \N{RIGHTWARDS ARROW}  higher"] = rows
    shown = dict.fromkeys(groups[d.asked.variant] for d in differences if d.run)
    named = {group: _short(group) for group in shown if group}
    title = _short(title)

    heights = [len(rows) + 1 for rows in panels.values()]
    figure, axes = plt.subplots(
        len(panels), figsize=(8, 0.9 + 0.24 * sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    colors = group_colors(groups.values())
    for ax, (name, rows) in zip(axes.flat, panels.items(), strict=True):
        _draw(ax, rows, {variant: colors[group] for variant, group in groups.items()})
        ax.set_xlabel(name)
    axes[0, 0].set_title(title)
    keys = [plt.Line2D([], [], color=colors[g], marker="o", ms=6, label=name) for g, name in named.items()]
    keys.append(plt.Rectangle((0, 0), 1, 1, color="0.9", label=f"within {MARGIN}: does not matter"))
    figure.legend(handles=keys, loc="outside lower center", ncols=4)
    return figure


def _draw(ax: "Axes", rows: Sequence[tuple[str, Difference | None]], colors: Mapping[str, str]) -> None:
    """A panel: from the first row to the last, and as far to both sides as anything in it is known to lie."""
    ends = [-2 * MARGIN, 2 * MARGIN]
    ax.axvspan(-MARGIN, MARGIN, color="0.93")
    ax.axvline(0, color="black", lw=0.8)
    for k, (_, d) in enumerate(rows):
        if d is None:
            continue
        look, wide = LOOK.get(d.verdict, UNKNOWN)
        shade = "black" if (look, wide) == FOUND else "0.45"
        ax.text(1.01, k, d.verdict, transform=ax.get_yaxis_transform(), va="center", color=shade)
        if d.run:
            ax.plot([d.low, d.high], [k, k], color=colors[d.asked.variant], lw=wide)
            ax.plot(d.mean, k, color=colors[d.asked.variant], ms=6, **look)
            ends += [d.mean] if (d.low, d.high) == (-1, 1) else [d.low, d.high]
    ax.set_yticks(range(len(rows)), [label for label, _ in rows])
    for tick, (_, d) in zip(ax.yaxis.get_major_ticks(), rows, strict=True):
        if d is None:
            tick.tick1line.set_visible(False)
            tick.label1.set_fontweight("bold")
    low, high = min(ends), max(ends)
    ax.set(xlim=(low - 0.04 * (high - low), high + 0.04 * (high - low)), ylim=(len(rows) - 0.4, -0.6))
    ax.grid(axis="x")


def _label(d: Difference, budgets: set[str]) -> str:
    """The variant, and what else tells a comparison from others: on which clips, and of several budgets which."""
    asked = d.asked
    on, equal = f", on {asked.part}" * (asked.part != "all"), f", equal {asked.budget}" * (len(budgets) > 1)
    return _short(asked.variant) + spelled(on) + _short(equal)


def _short(text: str) -> str:
    """A name in one line, as matplotlib shows it; of a long one both ends."""
    return spelled(in_one_line(text))


def in_one_line(text: str) -> str:
    """A name without line breaks; of a long one both ends."""
    line = " ".join(visible(text).split())
    return line if len(line) <= LONGEST else f"{line[:20]}\N{HORIZONTAL ELLIPSIS}{line[21 - LONGEST :]}"
