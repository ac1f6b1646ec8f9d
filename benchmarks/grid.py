"""What running notebooks costs beside them, what a second worker brings, and what a kernel does with freed memory."""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import nbformat
from measure import measured
from nbformat.v4 import new_code_cell, new_notebook

from dtse_core.experiments.runner import run_notebook

EXPERIMENT = Path(__file__).parents[1] / "notebooks" / "experiment.ipynb"
RUNS = 8
CELLS = (
    'PROFILE = "smoke"  # a\nSEED = 0  # b\nDEVICE = ""  # c\nDATA_ROOT = ""  # d',
    "from dtse_core.notebook.lesson import setup\n"
    "run = setup(profile=PROFILE, seed=SEED, device=DEVICE, data_root=DATA_ROOT)",
)


def grid() -> list[dict]:
    """Eight trivial runs on two workers over one; and the runner over papermill alone, in seconds a run."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cells = [new_code_cell(source) for source in CELLS]
        cells[0].metadata["tags"] = ["parameters"]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=kernel), home / "trivial.ipynb")
        (home / "grid.json").write_text(
            json.dumps({"notebook": "trivial.ipynb", "seeds": list(range(RUNS))}), encoding="utf-8"
        )
        one, two = (functools.partial(command, home, workers) for workers in (1, 2))
        about = {"runs": RUNS, "notebook": "setup() alone"}
        speed = measured("grid", "<= 0.6", {"two workers": two, "one worker": one}, wall, "seconds", **about)
        sides = {"one worker": one, "papermill": functools.partial(papermill_alone, home)}
        cost = measured("grid", None, sides, wall, "seconds", part="own cost", **about)
        seconds, bare = cost["sides"].values()
        own = (seconds - bare) / RUNS
        return [speed, cost | {"own_seconds_a_run": round(own, 2), "bound": "own <= 3 s a run", "met": own <= 3}]


def wall(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def command(home: Path, workers: int) -> None:
    """A whole grid as a user starts it, in a new folder."""
    with tempfile.TemporaryDirectory(dir=home) as out:
        command = [sys.executable, "-m", "dtse_core.experiments", "run", str(home / "grid.json")]
        done = subprocess.run(
            [*command, "--out", out, "--workers", str(workers)], capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stdout + done.stderr


def papermill_alone(home: Path) -> None:
    import papermill

    for seed in range(RUNS):
        arguments = {"kernel_name": "python3", "progress_bar": False}
        papermill.execute_notebook(home / "trivial.ipynb", home / "copy.ipynb", {"SEED": seed}, **arguments)


def kernel() -> list[dict]:
    """A step of training in a kernel as a grid starts it, over one that inherits what Dask sets for its workers."""
    sides = {"as a grid starts it": {}, "with Dask's setting": {"MALLOC_TRIM_THRESHOLD_": "65536"}}
    return [measured("kernel", "<= 0.85", sides, step_seconds, "seconds", notebook=EXPERIMENT.name)]


def step_seconds(environment: dict[str, str]) -> float:
    """Processor time of a step, clips drawn and all, as the experiment notebook measures it."""
    with tempfile.TemporaryDirectory() as out, patch.dict(os.environ, environment):
        result = run_notebook(EXPERIMENT, out, {"STEPS": 50, "EVAL": 2})
    assert result.ok, result.error
    return result.recorded["step_cpu_seconds"]
