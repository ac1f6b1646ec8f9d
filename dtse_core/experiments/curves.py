"""Learning curves: what each variant scores at the end of shorter and longer runs. Notebook: 11_ablations.

A point is the mean of runs that ended there, each with its whole schedule: the rate falls at the end of a run, so one
that is still on its way scores less than a shorter one that has ended. pandas and matplotlib are imported where they
are used.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

from .forest import group_colors, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NEEDED = ["steps", "step_cpu_seconds", "metrics.mean_iou"]
MARKS = "osD^vP<X>h"
ABOUT = (
    "Means of runs that ended there, each with its whole schedule, in percent. Seconds of processor time: steps times "
    "those of a step in the variant's fastest run."
)


def curve_points(runs: "pd.DataFrame") -> "pd.DataFrame":
    """A row for each length that a variant's runs have, of variants with two or more: `variant`, `steps`, `seconds` of
    processor time, `iou` with its lowest and highest seed (0 to 1), `seeds`. Variants are in the order of `runs`."""
    import pandas as pd

    done = runs[runs["state"] == "ok"].reindex(columns=["variant", "SEED", *NEEDED]).dropna(subset=NEEDED)
    done["variant"] = pd.Categorical(done["variant"], runs["variant"].unique())  # which are sorted in this order
    fastest = done.groupby("variant", observed=True)["step_cpu_seconds"].transform("min")
    done = done.assign(seconds=done["steps"] * fastest, iou=done["metrics.mean_iou"])
    ends = done.groupby(["variant", "steps"], observed=True)
    points = ends.agg(
        seconds=("seconds", "first"),
        iou=("iou", "mean"),
        low=("iou", "min"),
        high=("iou", "max"),
        seeds=("SEED", "nunique"),
    ).reset_index()
    points["variant"] = points["variant"].astype(str)
    return points[points.groupby("variant")["steps"].transform("size") > 1]


def curve_sentences(points: "pd.DataFrame") -> list[str]:
    """How to read the points, then those of each variant, in words; nothing without points."""
    said = [ABOUT] if len(points) else []
    for variant, some in points.groupby("variant", sort=False):
        ends = (
            f"{100 * p.iou:.1f} after {p.seconds:.0f} s ({p.steps:,.0f} steps, {p.seeds} seed{'s' * (p.seeds != 1)})"
            for p in some.itertuples()
        )
        said.append(f"{variant}: {', '.join(ends)}.")
    return said


def learning_curves(points: "pd.DataFrame", groups: Mapping[str, str]) -> "Figure":
    """The points against seconds, a line with marks for each variant, in the color of its group; the legend has them in
    the order of their ends.

    A point of one seed is hollow; of several, a bar reaches from the lowest to the highest.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, ScalarFormatter

    colors = group_colors(groups.values())
    names = {variant: short(variant) for variant in points["variant"].unique()}  # text first: it may add a font
    figure, ax = plt.subplots(figsize=(8, max(4.2, 0.3 + 0.2 * len(names))), layout="constrained")
    keys = []
    for (variant, some), mark in zip(points.groupby("variant", sort=False), cycle(MARKS)):
        look = {"color": colors[groups[variant]], "marker": mark, "ms": 6}
        for p in some.itertuples():
            ax.plot([p.seconds] * 2, [p.low, p.high], color=look["color"], lw=0.8, alpha=0.5, zorder=1)
        (line,) = ax.plot(some["seconds"], some["iou"], label=names[variant], lw=1, **look)
        single = some[some["seeds"] == 1]
        ax.plot(single["seconds"], single["iou"], ls="", markerfacecolor="white", **look)
        keys.append((some["iou"].iloc[-1], line))
    ax.set(xscale="log", xlabel="seconds of processor time", ylabel="mean IoU at the end of a run")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.minorticks_off()
    ax.grid(axis="y")
    handles = [line for _, line in sorted(keys, key=lambda key: -key[0])]
    figure.legend(handles=handles, loc="outside right upper")
    return figure
