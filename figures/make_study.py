"""Draws what the study found: its primary comparisons, with their intervals.

python -m figures.make_study               writes figures/study.png
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from dtse_core.experiments import STUDY
from dtse_core.experiments.comparison import all_differences
from dtse_core.experiments.forest import forest
from dtse_core.experiments.plan import read_plan
from dtse_core.video.film import use_style

ROOT = Path(__file__).resolve().parents[1]


def draw(out: Path) -> None:
    """A mark for each comparison that the plan names, colored by the part or the idea that it asks about."""
    runs, clips = (pd.read_parquet(STUDY / f"{name}.parquet") for name in ("runs", "clips"))
    found = all_differences(runs, clips, runs["variant"].iloc[0], read_plan(STUDY / "grid.toml"))
    groups = dict(zip(runs["variant"], runs["group"], strict=True))
    use_style()
    figure = forest([d for d in found if d.primary], groups)
    figure.savefig(out, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    draw(ROOT / "figures/study.png")
