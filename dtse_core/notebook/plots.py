"""Figures of numbers, one call per notebook cell, which ends with `plt.show()`; each returns its matplotlib figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..shared.files import read_json_lines
from ..training.run_folder import is_record
from ..video.letters import in_lines, spelled
from ..video.overlay import MASK, MASK_COLORS, RUNS, TIME, VISION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EVIDENCE = {"appearance": VISION, "position": VISION, "relation": VISION, "action": TIME, "direction": TIME}


def number_grids(grids: dict[str, np.ndarray], signed: bool = False) -> "Figure":
    """Small maps side by side with their numbers written in: `{title: (h, w)}`.

    Larger is darker, by the square root, so that small numbers show beside large ones. If there are negative numbers,
    or if `signed`, negative ones are blue and positive ones red.
    """
    import matplotlib.pyplot as plt

    grids = {title: np.asarray(grid, float) for title, grid in grids.items()}
    top = 1.5 * max(max(np.abs(grid).max() for grid in grids.values()), 1e-9) ** 0.5
    signed = signed or min(grid.min() for grid in grids.values()) < 0
    widths = [grid.shape[1] for grid in grids.values()]
    rows = max(len(grid) for grid in grids.values())
    cell = min(0.5, 2.9 / rows, (7.6 - 0.25 * len(grids)) / sum(widths))  # inches
    size = cell * sum(widths) + 0.2 * len(grids), cell * rows + 0.3
    figure, axes = plt.subplots(1, len(grids), figsize=size, width_ratios=widths, squeeze=False)
    for ax, (title, grid) in zip(axes[0], grids.items(), strict=True):
        shade = np.sign(grid) * np.abs(grid) ** 0.5
        ax.imshow(shade, cmap="RdBu_r" if signed else "Greys", vmin=-top if signed else 0, vmax=top)
        for (i, j), value in np.ndenumerate(grid):
            ax.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=8)
        ax.set(title=title, xticks=[], yticks=[])
    return figure


def shaded_table(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], texts: np.ndarray | None = None
) -> "Figure":
    """A table of numbers (rows, columns), larger ones darker; `texts` (rows, columns) stand in the cells instead."""
    import matplotlib.pyplot as plt

    values = np.asarray(values, float)
    texts = np.vectorize("{:.2f}".format)(values) if texts is None else texts
    size = 0.09 * max(map(len, rows)) + 0.85 * len(columns), 0.28 * len(rows) + 0.3
    figure, ax = plt.subplots(figsize=(min(8, size[0]), size[1]))
    ax.imshow(values, cmap="Greys", vmin=0, vmax=2 * max(values.max(), 1e-9), aspect="auto")
    for (i, j), text in np.ndenumerate(texts):
        ax.text(j, i, text, ha="center", va="center", fontsize=8)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    return figure


def plot_history(history: str | Path | Sequence[dict]) -> "Figure":
    """Loss and IoU over steps: a run folder, its history.jsonl, or the records themselves."""
    import matplotlib.pyplot as plt

    if isinstance(history, str | Path):
        file = Path(history)
        file = file / "history.jsonl" if file.is_dir() else file
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; training writes it into its run folder")
        history = read_json_lines(file, is_record)
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
    top = 1.1 * max((r["loss"] for r in history if "loss" in r), default=1.0)  # no curve lies on the edge
    panels = (
        ("loss", top, [("loss", "training", "0.45", "-")]),
        ("IoU", 1, [("iou", "training", "0.45", "-"), ("val_mean_iou", "validation", MASK, "o-")]),
    )
    for ax, (title, top, lines) in zip(axes, panels, strict=True):
        for key, label, color, kind in lines:
            points = [(r["step"], r[key]) for r in history if key in r]
            ax.plot(*np.array(points).reshape(-1, 2).T, kind, color=color, label=label, markersize=4)
        ax.set(title=title, xlabel="step", ylim=(0, top))
        ax.grid(axis="y")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def plot_confidence(course: np.ndarray, expressions: Sequence[str], seconds: Sequence[float]) -> "Figure":
    """Confidence and area of S masks over time: `course` (T, S, 2), both in [0, 1]; `seconds` at which frames begin."""
    import matplotlib.pyplot as plt

    labels = [in_lines(expression, 3.3) for expression in expressions]  # first: it may add a font
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6 + 0.15 * sum(label.count("\n") for label in labels)))
    for k, label in enumerate(labels):
        line = {"color": MASK_COLORS[k % len(MASK_COLORS)], "linestyle": ("-", "--", "-.", ":")[k % 4], "lw": 2}
        axes[0].plot(seconds, course[:, k, 0], label=label, **line)
        axes[1].plot(seconds, 100 * course[:, k, 1], **line)
    axes[0].set(title="confidence", xlabel="seconds", ylim=(0, 1.05))
    axes[1].set(title="% of the frame", xlabel="seconds", ylim=(0, None))
    for ax in axes:
        ax.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def evidence_bars(results: dict[str, dict]) -> "Figure":
    """Mean IoU by the evidence that a sentence needs, `{run: result of summarize}`.

    A single run is drawn in two hues: evidence that one frame holds, and evidence that needs time.
    """
    import matplotlib.pyplot as plt

    kinds = [k for k in EVIDENCE if any(k in r["by_evidence"] for r in results.values())]
    figure, ax = plt.subplots(figsize=(min(8, 2 + 0.35 * len(kinds) * (len(results) + 1)), 2.6))
    thick = 0.8 / len(results)
    for k, (name, result) in enumerate(results.items()):
        places = np.arange(len(kinds)) + (k - (len(results) - 1) / 2) * thick
        heights = np.array([result["by_evidence"].get(kind, {}).get("mean_iou", np.nan) for kind in kinds])
        color = RUNS[k % len(RUNS)] if len(results) > 1 else [EVIDENCE[kind] for kind in kinds]
        bars = ax.bar(places, heights, 0.92 * thick, color=color, label=spelled(name), edgecolor="white")
        ax.bar_label(bars, [f"{h:.2f}" if np.isfinite(h) else "" for h in heights], fontsize=7, padding=1)
        for x in places[np.isnan(heights)]:
            ax.text(x, 0.01, "not run", rotation=90, fontsize=7, ha="center", color="0.5")
    ax.set_xticks(range(len(kinds)), kinds)
    ax.set(ylim=(0, 1.05), ylabel="mean IoU")
    ax.grid(axis="y")
    if len(results) > 1:
        ax.legend(ncols=len(results), loc="lower left", bbox_to_anchor=(0, 1))
    return figure
