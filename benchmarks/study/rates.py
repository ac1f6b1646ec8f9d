"""Chooses each model's rates by what the runs of rates.toml scored on validation clips.

    python -m dtse_core.experiments run benchmarks/study/rates.toml --out runs/rates
    python -m benchmarks.study.rates --runs runs/rates

writes rates.json beside this file, with every score, and prints them; `grids.py` reads it. Of equal scores the factor
nearest to 1 is chosen. No test clip has a say.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dtse_core.experiments.grid import Grid, read_grid, read_result
from dtse_core.shared import markdown
from dtse_core.shared.console import one_line_errors, parse
from dtse_core.shared.files import require_ours, write_json

from .grids import DTSE, FACTORS, HERE, IDEAS, RATES

KEYS = r'"chosen": '  # of the result, by which a file is known that may be replaced


def scores(grid: Grid, folder: Path) -> dict[str, dict[str, float]]:
    """The mean IoU on validation clips at the end of each run: by model, and by factor of the rates.

    Raises `ValueError` if a run is missing: a choice between two of three would not be the same search for all.
    """
    found: dict[str, dict[str, float]] = {}
    for run in grid.runs:
        record = read_result(folder / "runs" / run.name)
        if not record or not record["ok"]:
            raise ValueError(f"{grid.title(run)} has no result in {folder}; run rates.toml to its end first")
        points = [point["val_mean_iou"] for point in record["recorded"]["curves"] if "val_mean_iou" in point]
        factor = run.labels["variant"].rpartition("rates x ")[2]
        found.setdefault(run.parameters["MODEL"], {})[factor] = points[-1]
    return found


def choose(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """The factor of the best score, by model."""
    return {
        model: float(max(own, key=lambda factor: (own[factor], -abs(math.log(float(factor))))))
        for model, own in found.items()
    }


def table(found: dict[str, dict[str, float]], chosen: dict[str, float]) -> list[str]:
    """The lines of a table in Markdown."""
    names = {variant.model: variant.name for variant in (DTSE, *IDEAS)}
    head = ["validation mean IoU", *(f"rates x {factor:g}" for factor in FACTORS), "chosen"]
    rows = [
        [names[model], *(f"{100 * own[f'{factor:g}']:.1f}" for factor in FACTORS), f"x {chosen[model]:g}"]
        for model, own in found.items()
    ]
    return list(markdown.table([head, *rows]))


@dataclass(frozen=True)
class Command:
    runs: Path = Path("runs/rates")  # the --out of the search


@one_line_errors
def main() -> None:
    """Command line."""
    options = parse(Command, "python -m benchmarks.study.rates", description=__doc__)
    require_ours(RATES, KEYS)
    found = scores(read_grid(HERE / "rates.toml"), options.runs)
    result: dict[str, Any] = {"scores": found, "chosen": choose(found)}
    write_json(RATES, result, KEYS)
    print("\n".join(table(found, result["chosen"])))


if __name__ == "__main__":
    main()
