"""What a grid's runs recorded, as tables: `runs` has a row for each run, done or not, `clips` one for each clip that a
run was scored on, `curves` one for each record of a training. pandas is imported where it is used.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import checked
from ..shared.files import OURS, written_whole
from .grid import RESULT, Grid, read_result

if TYPE_CHECKING:
    import pandas as pd

TABLE = f"table {OURS}"  # in the metadata of Parquet; CSV has none, and is known by its head
RUNS_CSV = "^run,state,variant,group,budget,against,"
TABLES = {"runs.parquet": TABLE, "runs.csv": RUNS_CSV, "clips.parquet": TABLE, "curves.parquet": TABLE}
COLUMNS = {  # that a table has whatever was recorded
    "runs": "run state variant group budget against SEED",
    "clips": "run split video clip evidence iou told_apart",
    "curves": "",
}
CLIP_COLUMNS: dict[str, Any] = {  # of the clips that a run was scored on
    "clip": str,
    "video_id": str,
    "evidence": str | None,
    "intersection": int,
    "union": int,
    "on_target": int | float | None,
    "on_twin": int | float | None,
}
NAMES = ("run", "split", "video", "clip", "evidence")  # few in many rows: to compare them as numbers is quicker
PROVENANCE = ("error", "attempt", "claims", "seconds", "cpu_seconds", "peak_memory", "commit")


def collect(grid: Grid, outs: Sequence[Path]) -> "dict[str, pd.DataFrame]":
    """The results of the grid's runs, each in the folder of one of `outs`, as tables.

    A run whose record does not fit into tables counts as not run, with a note that names its file.
    """
    import pandas as pd

    from .comparison import with_scores  # loads torch, which the workers' own processes can do without

    runs, clips, curves = [], [], []
    folders = [next((run.folder(o) for o in outs if run.folder(o).exists()), run.folder(outs[0])) for run in grid.runs]
    records = [read_result(folder) or {} for folder in folders]
    kinds = Counter((n, isinstance(v, str)) for record in records for n, v in plain(_recorded(record)))
    for run, folder, record in zip(grid.runs, folders, records, strict=True):
        try:
            numbers = dict(plain(recorded := _recorded(record)))
            for name, value in numbers.items():  # as in most runs
                checked(name, value, str if kinds[name, True] > kinds[name, False] else float)
            points = _points(recorded.get("curves", []))
            splits = checked("clips", recorded.get("clips", {}), dict)
            tables = {split: with_scores(pd.DataFrame(_columns(some))) for split, some in splits.items()}
            scored = [table.assign(run=run.name, split=split) for split, table in tables.items()]
        except ValueError as error:
            said = f"{folder / RESULT}: {error}; the run counts as not run: move it away and run it again"
            print(f"note: {said}", file=sys.stderr)
            record, numbers, points, scored = {}, {}, [], []
        curves += [{"run": run.name, **point} for point in points]
        clips += scored
        state = "not run" if not record else "ok" if record["ok"] else "failed"
        variant = grid.differs(run, without=("SEED",)) or "all"
        row = {"run": run.name, "state": state, "variant": variant, "group": "", "budget": "steps", "against": ""}
        row |= run.labels
        row |= run.parameters | {name: record.get(name) for name in PROVENANCE}
        row |= {name: json.dumps(record.get(name, {}), sort_keys=True) for name in ("used", "config", "versions")}
        row.setdefault("SEED", 0)  # a notebook may have none
        runs.append(row | numbers)
    scores = pd.concat(clips or [with_scores(pd.DataFrame(columns=["run", "split", *CLIP_COLUMNS]))], ignore_index=True)
    scores = scores.astype(dict.fromkeys(NAMES, "category"))
    return {"runs": pd.DataFrame(runs), "clips": scores, "curves": pd.DataFrame(curves)}


def _recorded(record: dict[str, Any]) -> dict[str, Any]:
    """What a run that ended well handed to record()."""
    return record.get("recorded", {}) if record.get("ok") else {}


def plain(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and texts of nested dictionaries under dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from plain(value, f"{prefix}{name}.")
        elif isinstance(value, int | float | str):
            yield f"{prefix}{name}", value


def _points(curves: Any) -> list[dict[str, float]]:
    """The points of curves: numbers by name."""
    for point in checked("curves", curves, list):
        for name, value in checked("a point of curves", point, dict).items():
            checked(f"curves: {name}", value, float)
    return curves


def _columns(table: Any) -> dict[str, list]:
    """A table of clips by column, all of one length."""
    table = checked("a split of clips", table, dict)
    for name, kind in CLIP_COLUMNS.items():
        column = checked(f"clips: {name}", table.get(name), list)
        fits = all(isinstance(cell, kind) and not isinstance(cell, bool) for cell in column)
        if len(column) != len(table["clip"]) or not fits:
            raise ValueError(f"clips: {name} does not hold one {kind} for each clip")
    return {name: table[name] for name in CLIP_COLUMNS}


def write_tables(tables: "dict[str, pd.DataFrame]", folder: Path) -> list[Path]:
    """Each table as Parquet, that of the runs as CSV, too; complete files, or those that were there."""
    for name, mark in TABLES.items():
        table = tables[Path(name).stem]
        table.attrs["written_by"] = TABLE
        with written_whole(folder / name, mark) as part:
            table.to_parquet(part) if mark == TABLE else table.to_csv(part, index=False)
    return [folder / name for name in TABLES]


def read_tables(grid: Grid, folder: Path) -> "dict[str, pd.DataFrame]":
    """What `write_tables` wrote. Raises `FileNotFoundError`, or `ValueError` for a damaged table and another grid's."""
    import pandas as pd

    found, again = {}, f"write it with `collect`, --tables {folder}"
    for name, columns in COLUMNS.items():
        path = folder / f"{name}.parquet"
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}; {again}")
        try:
            found[name] = pd.read_parquet(path)
        except Exception as error:  # of Parquet: each fault has its own class
            raise ValueError(f"{path} cannot be read ({' '.join(str(error).split()):.100}); {again}") from error
        if lacking := [column for column in columns.split() if column not in found[name]]:
            raise ValueError(f"{path} has no column {lacking[0]}; {again}")
    if list(found["runs"]["run"]) != [run.name for run in grid.runs]:
        raise ValueError(f"{folder / 'runs.parquet'} is of other runs than the grid asks for; {again}")
    return found
