"""Notebook 11 on other grids than the study: what it says of any tables has to hold for them."""

import contextlib
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dtse_core.config import RunConfig, to_dict, with_settings
from dtse_core.data.clip import KINDS
from dtse_core.experiments.grid import read_grid
from dtse_core.experiments.tables import collect, write_tables
from dtse_core.shared.files import ANY, write_json

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks/11_ablations.ipynb"
GRID = f"""
notebook = "{NOTEBOOK.with_name("experiment.ipynb").as_posix()}"
seeds = [0, 1, 2, 3, 4]

[values]
STEPS = 20

[[blocks]]
labels = {{ variant = "DTSE", group = "design", budget = "seconds" }}
"""
LEVELS = """
[[blocks]]
labels = { variant = "LMDF off", group = "LMDF", budget = "seconds" }
values = { SETTINGS = "model.lmdf=off" }

[[blocks]]
labels = { variant = "DTSE, level 1", group = "design", budget = "seconds", against = "DTSE, level 1" }
values = { SETTINGS = "data.level=1" }

[[blocks]]
labels = { variant = "LMDF off, level 1", group = "LMDF", budget = "seconds", against = "DTSE, level 1" }
values = { SETTINGS = "data.level=1 model.lmdf=off" }
"""
OFF = LEVELS.partition("\n\n")[0]
EXPLORATORY = "\n2 comparisons:"  # on all clips at each level; those of the plan are corrected already
PLAN = """
| variant | against | on | equal |
|---|---|---|---|
| LMDF off | DTSE | coherence | seconds |
| LMDF off, level 1 | DTSE, level 1 | twins | seconds |
"""


def scored(rng: np.random.Generator, mean: float, twins: bool, kinds: tuple[str, ...]) -> dict[str, list]:
    """40 clips, as a run records them."""
    iou, told = np.clip(mean + 0.05 * rng.standard_normal(40), 0, 1), (0.6 + 0.1 * rng.random(40)).tolist()
    names = {"clip": [f"c{k}" for k in range(40)], "video_id": [f"v{k}" for k in range(40)]}
    counts = {"intersection": (1000 * iou).astype(int).tolist(), "union": [1000] * 40}
    marks = {"on_target": told if twins else [None] * 40, "on_twin": [0.65 if twins else None] * 40}
    return names | counts | marks | {"evidence": [kinds[k % len(kinds)] for k in range(40)]}


def results(folder: Path, grid: str, plan: str = "") -> None:
    """A folder as `collect` leaves it: LMDF gains 0.3 everywhere, which no correction takes away."""
    (folder / "grid.toml").write_text(grid, encoding="utf-8")
    if plan:
        (folder / "plan.md").write_text(plan, encoding="utf-8")
    for k, one in enumerate(read_grid(folder / "grid.toml").runs):
        asked, rng = one.parameters, np.random.default_rng(k)
        level_1 = bool(plan) and "data.level=1" in asked["SETTINGS"]
        mean = 0.3 if "lmdf=off" in asked["SETTINGS"] else 0.6
        splits = ("test", "twins") if level_1 else ("test", "coherence") if plan else ("test",)
        kinds = KINDS if plan and not level_1 else ("action", "position")
        config = to_dict(with_settings(RunConfig(), asked["SETTINGS"])) | {"train.seed": asked["SEED"]}
        recorded = {"metrics": {"mean_iou": mean}, "steps": 20, "parameters": 10**6, "step_cpu_seconds": 0.1 + mean}
        recorded["by_evidence"] = {kind: {"mean_iou": mean} for kind in kinds}
        recorded["clips"] = {split: scored(rng, mean, split == "twins", kinds) for split in splits}
        recorded["curves"] = [{"step": step, "loss": 1.0, "val_mean_iou": mean} for step in (10, 20)]
        recorded |= {"twins_accuracy": 0.5} if level_1 else {}
        record = {"run": one.name, "ok": True, "used": asked, "config": config, "recorded": recorded}
        write_json(one.folder(folder) / "result.json", record | {"seconds": 1.0, "peak_memory": 2**20}, ANY)
    write_tables(collect(read_grid(folder / "grid.toml"), [folder]), folder)


def read_aloud(folder: Path) -> str:
    """Executes the notebook's code in this process; what it printed."""
    cells = [c for c in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as said, plt.rc_context():
        for source in ("".join(c["source"]) for c in cells):
            if "%pip" not in source:
                exec(compile(source, source.splitlines()[0], "exec"), names)
            if source.startswith("PROFILE ="):
                names["RESULTS"] = str(folder)
            plt.close("all")
    return said.getvalue()


@pytest.mark.parametrize(
    ("grid", "plan", "words"),
    [
        (
            GRID + LEVELS,
            PLAN,
            ["2 of them were named before", "LMDF off against DTSE, mean IoU on coherence", EXPLORATORY],
        ),
        (GRID + OFF, "", ["no run of this grid was scored on twins", "0 of them were named"]),
        (GRID.replace("seconds", "steps") + OFF, "", ["LMDF off against DTSE, mean IoU, equal seconds: lower"]),
        (
            GRID + OFF.replace("seconds", "steps"),
            PLAN.partition("| LMDF off |")[0] + "| DTSE | LMDF off | position | seconds |\n",
            ["1 of them were named", "equal steps: not run"],
        ),
    ],
    ids=[
        "two levels and a plan",
        "no twins",
        "a first variant alone at its budget",
        "a part alone at the first budget",
    ],
)
def test_it_shows_any_grid_of_experiment_and_its_claims_hold(tmp_path, grid, plan, words):
    results(tmp_path, grid, plan)
    said = read_aloud(tmp_path)
    assert all(word in said for word in words) and "✓" in said, said
    assert "fewer than half" not in said, "that is a claim about the study"


def test_a_grid_of_one_variant_is_refused(tmp_path):
    results(tmp_path, GRID)
    with pytest.raises(ValueError, match=r"grid\.toml has no two variants to compare"):
        read_aloud(tmp_path)
