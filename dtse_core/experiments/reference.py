"""A grid's reference: between which ends each score has to lie, written from a finished run, checked on later ones.

`reference.csv` lies beside the grid file and may be edited by hand:

    variant,equal,metric,low,high
    clean,steps,metrics.mean_iou,0.5512,0.6021

A score is a metric's mean over the seeds of a variant; a metric is any number that the runs recorded, `equal` a budget
of the grid. scipy is imported where it is used.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..config import checked, nearest, read_value
from ..shared import markdown
from ..shared.console import visible
from ..shared.files import read_rows, written_whole
from .verdicts import LEVEL, SEEDS

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "reference.csv"
HEAD = ["variant", "equal", "metric", "low", "high"]
MARK = f"^{','.join(HEAD)}"
LEAST = 0.01  # reach of an interval on either side: other processors round otherwise
WIDTH = 48  # letters of a drawn axis
Key = tuple[str, str, str]  # variant, budget, metric


class Score(NamedTuple):
    """A metric of a variant, and where it has to lie; `ends` is None if no reference says."""

    key: Key
    values: list[float]  # of seeds
    runs: int  # that the grid asks for
    ends: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def state(self) -> str:
        """within or no reference; in capitals what is wrong: MISSING, BELOW, ABOVE."""
        if self.ends is None:
            return "no reference"
        if not self.values:
            return "MISSING"
        return "BELOW" if self.mean < self.ends[0] else "ABOVE" if self.mean > self.ends[1] else "within"

    def __str__(self) -> str:
        return named(self.key)


def scores(runs: "pd.DataFrame", metrics: Sequence[str], where: object) -> list[Score]:
    """Each metric of each variant. Raises `ValueError` for a metric, which `where` names, that no run recorded."""
    known = list(runs.select_dtypes("number"))
    for metric in metrics:
        if metric not in known and (runs["state"] == "ok").any():
            hint = f"{nearest(metric, known)}; there are {', '.join(known)}"
            raise ValueError(f"{where}: no run recorded a number {metric}{hint}")
    found = []
    for metric in metrics:
        for (variant, budget), some in runs.groupby(["variant", "budget"], sort=False):
            done = some[some["state"] == "ok"]
            values = done[metric].dropna().tolist() if metric in done else []
            found.append(Score((variant, budget, metric), values, len(some)))
    return found


def interval(values: Sequence[float], within: float | None = None) -> tuple[float, float]:
    """The mean with `within` on either side; None: where the mean of as many new seeds lies 19 times in 20, by
    Student's t.

    Raises `ValueError` if `within` is None and seeds are too few to say how much they differ.
    """
    from scipy.special import stdtrit

    S, mean = len(values), np.mean(values)
    if within is None and S < SEEDS:
        raise ValueError(f"too few seeds ({S}) to say how much they differ; run {SEEDS} or more, or give --within 0.05")
    reach = within or max(LEAST, stdtrit(S - 1, (1 + LEVEL) / 2) * np.std(values, ddof=1) * math.sqrt(2 / S))
    reach = max(reach, 1e-6)  # what rounding leaves of it still holds the mean
    return round(float(mean - reach), 6), round(float(mean + reach), 6)


def write_reference(path: Path, found: Sequence[Score], within: float | None = None) -> None:
    """Writes the `interval` of each score. Raises `ValueError` for one that a run lacks, or of too few seeds."""
    rows = []
    for score in found:
        have = len(score.values)
        if have < score.runs:
            raise ValueError(f"{score}: {have} of {score.runs} runs recorded it; run the grid to its end first")
        try:
            rows.append([*score.key, *map(str, interval(score.values, within))])
        except ValueError as error:
            raise ValueError(f"{score}: {error}") from error
    with written_whole(path, MARK) as part, open(part, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])


def read_reference(path: Path) -> dict[Key, tuple[float, float]]:
    """The ends of each score. Raises `ValueError` for a line that cannot be one; empty if there is no file."""
    found: dict[Key, tuple[float, float]] = {}
    for line, row in read_rows(path) if path.exists() else ():
        here = f"{path}, line {line}"
        if len(row) != len(HEAD) or (line == 1 and row != HEAD):
            raise ValueError(f"{here}: expected {','.join(HEAD)}; found {','.join(row):.60}")
        if row == HEAD:
            continue
        key = row[0], row[1], row[2]
        low, high = (checked(f"{here}: {HEAD[k]}", read_value(row[k], float), float) for k in (3, 4))
        if low > high or key in found:
            wrong = "low is above high" if low > high else f"{named(key)} has a line already"
            raise ValueError(f"{here}: {wrong}; mend it")
        found[key] = low, high
    if path.exists() and not found:
        raise ValueError(f"{path} has no line with a score; write it anew, or remove it")
    return found


def held(runs: "pd.DataFrame", metrics: Sequence[str], path: Path, grid: Path) -> list[Score]:
    """All scores of the grid and of its reference, those of the reference with their ends.

    Raises `ValueError` for a score of the reference that the runs do not have.
    """
    ends = read_reference(path)
    found = scores(runs, metrics, grid)
    found += scores(runs, [m for m in dict.fromkeys(key[2] for key in ends) if m not in metrics], path)
    known = [score.key for score in found]
    for key in ends:
        if key not in known:
            hint = nearest(named(key), map(named, known))
            raise ValueError(f"{path}: the grid has no {named(key)}{hint}; mend the line, or write the file anew")
    return [score._replace(ends=ends.get(score.key)) for score in found if score.key[2] in metrics or score.key in ends]


def named(key: Key) -> str:
    """A score in words."""
    return f"{key[2]} of {_label(key)}"


def _label(key: Key) -> str:
    return key[0] + f", equal {key[1]}" * (key[1] != "steps")


def table(found: Sequence[Score]) -> list[str]:
    """The lines of a table in Markdown: each score, its reference, and how they agree."""
    rows = [["score", "seeds", "mean", "low", "high", ""]]
    for score in found:
        ends = [f"{end:.6g}" for end in score.ends or ()] or ["", ""]
        mean = f"{score.mean:.4g}" if score.values else ""
        rows.append([str(score), f"{len(score.values)} of {score.runs}", mean, *ends, score.state])
    return list(markdown.table(rows))


def picture(found: Sequence[Score]) -> Iterator[str]:
    """The lines of a picture in letters, since a job's summary shows no other that is not on a server already: each
    metric has an axis, each score a dot, a ring for each of its seeds, and a line from end to end of its reference."""
    for metric in dict.fromkeys(score.key[2] for score in found):
        some = [score for score in found if score.key[2] == metric]
        labels = [" ".join(visible(_label(score.key)).split()) for score in some]
        wide = max(map(len, [metric, *labels]))
        drawn = [value for score in some for value in (*score.values, *(score.ends or ()))] or [0.0]
        low, high = min(drawn), max(drawn)
        yield f"{metric:{wide}}  {low:<{WIDTH // 2}.4g}{high:>{WIDTH // 2}.4g}"
        for label, score in zip(labels, some, strict=True):
            yield f"{label:{wide}}  {_axis(score, low, high)}  {score.state}".rstrip()
        yield ""


def _axis(score: Score, low: float, high: float) -> str:
    """A score on an axis from low to high."""

    def at(value: float) -> int:
        return round((value - low) / (high - low or 1) * (WIDTH - 1))

    letters = [" "] * WIDTH
    if score.ends:
        first, last = map(at, score.ends)
        letters[first : last + 1] = "├" + "─" * (last - first - 1) + "┤" if last > first else "┼"
    for value in score.values:
        letters[at(value)] = "○"
    if score.values:
        letters[at(score.mean)] = "●"
    return "".join(letters)
