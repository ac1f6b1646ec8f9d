"""Figures, film strips, overlays and GIFs: one call per notebook cell.

Each figure function returns its matplotlib figure; a notebook ends the cell with `plt.show()`. One hue per
concept everywhere (Okabe-Ito), and a mask is fill *and* white contour, so that color never speaks alone.
matplotlib is imported where it is used: `overlay` and `save_gif` work without it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..video.overlay import MASK, MASK_COLORS, TIME, VISION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = ("#404040", MASK, "#56B4E9", "#CA9161", "#B0B0B0")  # of several runs in one plot: no concept's hue
LABELS = {
    "mean_iou": "mean IoU",
    "overall_iou": "overall IoU",
    "AP_mean_precision": "AP (mean precision)",
    "mAP_coco": "mAP (COCO)",
}
EVIDENCE = {"appearance": VISION, "position": VISION, "relation": VISION, "action": TIME, "direction": TIME}


def number_grids(grids: dict[str, np.ndarray], signed: bool = False) -> "Figure":
    """Small maps side by side with their numbers written in: `{title: (h, w)}`; `signed` centers the hues on 0."""
    import matplotlib.pyplot as plt

    grids = {title: np.asarray(grid, float) for title, grid in grids.items()}
    most = max(max(np.abs(grid).max() for grid in grids.values()), 1e-9)
    widths = [grid.shape[1] for grid in grids.values()]
    rows = max(len(grid) for grid in grids.values())
    cell = min(0.5, 2.9 / rows, (7.6 - 0.25 * len(grids)) / sum(widths))  # inches
    size = cell * sum(widths) + 0.2 * len(grids), cell * rows + 0.3
    figure, axes = plt.subplots(1, len(grids), figsize=size, width_ratios=widths, squeeze=False)
    for ax, (title, grid) in zip(axes[0], grids.items(), strict=True):
        ax.imshow(grid, cmap="RdBu_r" if signed else "Greys", vmin=-1.5 * most if signed else 0, vmax=1.5 * most)
        for (i, j), value in np.ndenumerate(grid):
            ax.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=8)
        ax.set(title=title, xticks=[], yticks=[])
    return figure


def plot_history(history: str | Path | Sequence[dict]) -> "Figure":
    """Loss and IoU over steps: a run folder, its history.jsonl, or the records themselves."""
    import matplotlib.pyplot as plt

    if isinstance(history, str | Path):
        file = Path(history)
        file = file / "history.jsonl" if file.is_dir() else file
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; training writes it into its run folder")
        history = [json.loads(line) for line in file.read_text().splitlines()]
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
    panels = (
        ("loss", [("loss", "training", "0.45", "-")]),
        ("IoU", [("iou", "training", "0.45", "-"), ("val_mean_iou", "validation", MASK, "o-")]),
    )
    for ax, (title, lines) in zip(axes, panels, strict=True):
        for key, label, color, kind in lines:
            points = [(r["step"], r[key]) for r in history if key in r]
            ax.plot(*np.array(points).reshape(-1, 2).T, kind, color=color, label=label, markersize=4)
        ax.set(title=title, xlabel="step", ylim=(0, None if title == "loss" else 1))
        ax.grid(axis="y")
        ax.legend()
    return figure


def plot_confidence(course: np.ndarray, expressions: Sequence[str], fps: float) -> "Figure":
    """Confidence and area of S masks over time: `course` (T, S, 2), both in [0, 1]."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
    seconds = np.arange(len(course)) / fps
    for k, expression in enumerate(expressions):
        line = {"color": MASK_COLORS[k % len(MASK_COLORS)], "linestyle": ("-", "--", "-.", ":")[k % 4], "lw": 2}
        axes[0].plot(seconds, course[:, k, 0], label=expression, **line)
        axes[1].plot(seconds, 100 * course[:, k, 1], **line)
    axes[0].set(title="confidence", xlabel="seconds", ylim=(0, 1.05))
    axes[1].set(title="% of the frame", xlabel="seconds", ylim=(0, None))
    for ax in axes:
        ax.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def metric_bars(results: dict[str, dict[str, float]], keys: Sequence[str] | None = None) -> "Figure":
    """Grouped bars in percent, `{run: {metric: value}}`; `keys` picks and orders the metrics."""
    keys = list(next(iter(results.values()))) if keys is None else list(keys)
    rows = {run: [values.get(k) for k in keys] for run, values in results.items()}
    return _bars(rows, [LABELS.get(k, k) for k in keys], RUNS)


def evidence_bars(results: dict[str, dict], metric: str = "mean_iou") -> "Figure":
    """One metric by the evidence that a sentence needs, `{run: result of summarize}`, in percent.

    A single run is drawn in two hues: evidence that one frame holds, and evidence that needs time.
    """
    kinds = [k for k in EVIDENCE if any(k in r["by_evidence"] for r in results.values())]
    rows = {run: [r["by_evidence"].get(k, {}).get(metric) for k in kinds] for run, r in results.items()}
    colors = [[EVIDENCE[k] for k in kinds]] if len(rows) == 1 else RUNS
    figure = _bars(rows, kinds, colors)
    figure.axes[0].set_ylabel(f"{LABELS.get(metric, metric)} (%)")
    return figure


def _bars(rows: dict[str, list[float | None]], labels: list[str], colors) -> "Figure":
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(min(8, 2 + 0.35 * len(labels) * (len(rows) + 1)), 2.6))
    thick = 0.8 / len(rows)
    for k, (name, values) in enumerate(rows.items()):
        places = np.arange(len(labels)) + (k - (len(rows) - 1) / 2) * thick
        heights = [np.nan if v is None else 100 * v for v in values]
        bars = ax.bar(places, heights, 0.92 * thick, color=colors[k % len(colors)], label=name, edgecolor="white")
        ax.bar_label(bars, [f"{h:.0f}" if np.isfinite(h) else "" for h in heights], fontsize=7, padding=1)
        for x in places[np.isnan(heights)]:
            ax.text(x, 1, "not run", rotation=90, fontsize=7, ha="center", color="0.5")
    ax.set_xticks(range(len(labels)), labels)
    ax.set(ylim=(0, 105), ylabel="%")
    ax.grid(axis="y")
    if len(rows) > 1:
        ax.legend(ncols=len(rows), loc="lower left", bbox_to_anchor=(0, 1))
    return figure
