"""Learning curves: what each variant scores at the end of shorter and longer runs. Notebook: 11_ablations.

A point is the mean of runs that ended there, each with its whole schedule: the learning rate falls at the end of a run,
so one that is still on its way may score less than a shorter one that has ended. pandas and matplotlib are imported
where they are used.
"""

import math
from collections.abc import Mapping
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

from ..video.letters import in_lines
from .forest import group_colors, in_one_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NEEDED = ["steps", "step_cpu_seconds", "metrics.mean_iou"]
LONGER = 1.05  # a run with so many times the steps of another is of another length
MARKS, LINES = "osD^vP<X>h", ("-", "--", ":")  # so that thirty variants look different
ABOUT = (
    "Exploratory: means of runs that ended there, each with its whole schedule, in percent. In the picture a bar "
    "reaches from the lowest run to the highest, and a hollow mark is a single run. Seconds of processor time: steps "
    "times those of a step in the variant's fastest run."
)


def curve_points(runs: "pd.DataFrame") -> "pd.DataFrame":
    """A row for each budget of every variant that has runs of at least two lengths, the shortest first: `variant`,
    `steps`, `seconds` of processor time, `iou` (0 to 1) with that of the lowest and of the highest run, and the number
    of `runs`. Variants are in the order of the table `runs`.
    """
    import pandas as pd

    done = runs[runs["state"] == "ok"].reindex(columns=["variant", "budget", *NEEDED])
    done["variant"] = pd.Categorical(done["variant"], runs["variant"].unique())  # rows are sorted in this order
    fastest = done.groupby("variant", observed=True)["step_cpu_seconds"].transform("min")
    done = done.assign(seconds=done["steps"] * fastest, iou=done["metrics.mean_iou"])
    done = done[done["seconds"].between(0, math.inf, inclusive="neither") & done["iou"].notna()]
    points = done.groupby(["variant", "budget"], observed=True).agg(
        steps=("steps", "mean"),
        seconds=("seconds", "mean"),
        iou=("iou", "mean"),
        low=("iou", "min"),
        high=("iou", "max"),
        runs=("iou", "size"),
    )
    points = points.reset_index().sort_values(["variant", "seconds"])
    steps = points.groupby("variant", observed=True)["steps"]
    points = points[steps.transform("max") > LONGER * steps.transform("min")]
    return points.assign(variant=points["variant"].astype(str)).drop(columns="budget")


def curve_sentences(points: "pd.DataFrame") -> list[str]:
    """How to read the points, then those of each variant, in words; nothing without points."""
    said = [ABOUT] if len(points) else []
    for variant, some in points.groupby("variant", sort=False):
        said.append(f"{variant}: {'; '.join(_in_words(p) for p in some.itertuples())}.")
    return said


def _in_words(p: Any) -> str:
    """A point."""
    spread = f"{100 * p.low:.1f} to {100 * p.high:.1f} in {p.runs} runs" if p.runs > 1 else "1 run"
    return f"{100 * p.iou:.1f} ({spread}) after {_number(p.seconds)} s, {_number(p.steps)} steps"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def learning_curves(points: "pd.DataFrame", groups: Mapping[str, str]) -> "Figure":
    """The points against seconds, a line with marks for each variant, in the color of its group; the legend has them in
    the order of their ends.

    A point of one run is hollow; of several, a bar reaches from the lowest to the highest.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator

    colors = group_colors(groups.values())
    variants = points["variant"].unique()
    names = {name: in_lines(in_one_line(name), 2.2) or " " for name in variants}  # text first: it may add a font
    figure, ax = plt.subplots(figsize=(8, max(4.2, 0.3 + 0.2 * len(names))), layout="constrained")
    keys = []
    looks = cycle(product(LINES, MARKS))
    for (variant, some), (dashes, mark) in zip(points.groupby("variant", sort=False), looks, strict=False):
        look = {"color": colors[groups[variant]], "marker": mark, "ms": 6}
        for p in some.itertuples():
            ax.plot([p.seconds] * 2, [p.low, p.high], color=look["color"], lw=0.8, alpha=0.5, zorder=1)
        (line,) = ax.plot(some["seconds"], some["iou"], label=names[variant], lw=1, ls=dashes, **look)
        single = some[some["runs"] == 1]
        ax.plot(single["seconds"], single["iou"], ls="", markerfacecolor="white", **look)
        keys.append((some["iou"].iloc[-1], line))
    ax.set(xscale="log", xlabel="seconds of processor time (log scale)", ylabel="mean IoU at the end of a run")
    decades = math.log10(points["seconds"].max() / points["seconds"].min())
    ticks = (1, 1.5, 2, 3, 5, 7) if decades < 1 else (1, 2, 5) if decades < 2 else (1,)
    ax.xaxis.set_major_locator(LogLocator(subs=ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:,g}"))
    ax.minorticks_off()
    ax.grid(axis="y")
    handles = [line for _, line in sorted(keys, key=lambda key: -key[0])]
    figure.legend(handles=handles, loc="outside right upper")
    return figure
