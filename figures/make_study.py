"""Draws what the study found: its primary comparisons, with their intervals, and its learning curves.

python -m figures.make_study               writes figures/study.png and figures/learning_curves.png
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from dtse_core.experiments import STUDY
from dtse_core.experiments.comparison import all_differences
from dtse_core.experiments.curves import curve_points, learning_curves
from dtse_core.experiments.forest import forest
from dtse_core.experiments.plan import read_plan
from dtse_core.video.film import use_style

ROOT = Path(__file__).resolve().parents[1]


def draw(folder: Path) -> None:
    """A mark for each comparison that the plan names; a line for each model with runs of several lengths. Colors are of
    the part or the idea that is asked about."""
    runs, clips = (pd.read_parquet(STUDY / f"{name}.parquet") for name in ("runs", "clips"))
    found = all_differences(runs, clips, runs["variant"].iloc[0], read_plan(STUDY / "grid.toml"))
    groups = dict(zip(runs["variant"], runs["group"], strict=True))
    use_style()
    primary = [d for d in found if d.primary]
    drawn = {"study": forest(primary, groups), "learning_curves": learning_curves(curve_points(runs), groups)}
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    draw(ROOT / "figures")
