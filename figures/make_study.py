"""Draws the study: every variant at equal steps, and what its part is for, in four scores.

python -m figures.make_study               writes figures/study.png
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from dtse_core.experiments import STUDY
from dtse_core.experiments.forest import GROUPS
from dtse_core.video.film import use_style

ROOT = Path(__file__).resolve().parents[1]
SCORES = {  # title: (column of the study's table, chance)
    "mean IoU": ("metrics.mean_iou", None),
    "on position": ("by_evidence.position.mean_iou", None),
    "on direction": ("by_evidence.direction.mean_iou", None),
    "twins told apart": ("twins_accuracy", 0.5),
}


def draw(out: Path) -> None:
    """A row for each variant, by group, best first; a ring for each seed, a dot for their mean."""
    runs = pd.read_parquet(STUDY / "runs.parquet")
    runs = runs[(runs["state"] == "ok") & (runs["budget"] == "steps")]
    means = runs.groupby(["group", "variant"])[[column for column, _ in SCORES.values()]].mean().reset_index()
    means["place"] = means["group"].map([*GROUPS].index)
    means = means.sort_values(["place", "metrics.mean_iou"], ascending=[True, False], ignore_index=True)
    rows = (means.index + 0.6 * means["place"]).set_axis(means["variant"])  # a gap between groups

    use_style()
    figure, axes = plt.subplots(1, 4, figsize=(9, 0.9 + 0.2 * len(means)), sharey=True, layout="constrained")
    for ax, (title, (column, chance)) in zip(axes, SCORES.items(), strict=True):
        ax.axvline(means[column][0], color="0.6", lw=0.8)
        if chance is not None:
            ax.axvline(chance, color="0.6", lw=0.8, ls=":")
            ax.text(chance, -1.1, " chance", color="0.4", fontsize=7)
        colors = runs["group"].map(GROUPS)
        ax.scatter(runs[column], runs["variant"].map(rows), s=16, facecolors="none", edgecolors=colors, linewidths=0.6)
        ax.scatter(means[column], rows, s=24, color=means["group"].map(GROUPS))
        ax.set_title(title)
        ax.grid(axis="x")
        ax.margins(x=0.08)
    axes[0].set_yticks(rows, rows.index)
    for label, group in zip(axes[0].get_yticklabels(), means["group"], strict=True):
        label.set(color=GROUPS[group], weight="bold" if group == "design" else None)
    axes[0].set_ylim(rows.max() + 0.7, -1.8)
    figure.savefig(out, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    draw(ROOT / "figures/study.png")
