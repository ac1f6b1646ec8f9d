"""Grids of notebook runs: carried out, gathered into tables, compared, held to a reference. Notebook: 11_ablations.

    python -m dtse_core.experiments start DIR           # an example of all files, to begin with
    python -m dtse_core.experiments run GRID            # what is done is skipped; the same command resumes
    python -m dtse_core.experiments collect GRID        # tables of runs, clips and curves: Parquet and CSV
    python -m dtse_core.experiments report GRID         # report.html and report.md, from these tables
    python -m dtse_core.experiments reference GRID      # reference.csv beside the grid, from these tables
    python -m dtse_core.experiments check GRID          # Markdown; exit status 1 if a score leaves its reference

`grid.py` says what a grid file holds, `plan.py` how a plan beside it names comparisons before the runs, `reference.py`
what a reference is. Each run has its folder OUT/runs/NAME with the executed notebook, its page and `result.json`. Runs
go to a local Dask cluster of two processes with one thread each, or to any other by its address; then OUT must lie on a
disk that all its machines share. Without such a disk, several machines carry out a shard each: `run GRID --shard 1/2`
on the first; where their folders are brought together, `collect GRID --shards FIRST SECOND`.
"""

import argparse
import shutil
import sys
from pathlib import Path

from ..config import Positive, checked
from ..shared.console import Parser, one_line_errors, started_as
from ..shared.files import require_folder_above, require_ours, written_whole
from . import STARTER
from .grid import Grid, read_grid
from .run import run_grid
from .shards import Shard, require_shards
from .tables import TABLES, collect, read_tables, write_tables

COMMANDS = {
    "start": "write a notebook, a grid and a workflow into a folder, to begin with",
    "run": "carry out the runs of a grid that are not done",
    "collect": "gather all results in tables",
    "report": "compare the tables' variants on a page",
    "reference": "write down between which ends scores have to lie from now on",
    "check": "hold the scores to the reference: Markdown for a job's summary; exit status 1 if one has left it",
}
STARTS = {"own.ipynb": "own.ipynb", "grid.toml": "grid.toml", "experiments.yml": ".github/workflows/experiments.yml"}


def parse_command(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(started_as("python -m dtse_core.experiments"), __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    start, run, collect, report, reference, check = (
        commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()
    )
    start.add_argument("folder", type=Path, metavar="DIR", help="that of a repository, or a new one")
    for command in (run, collect, report, reference, check):
        command.add_argument("grid", type=Path, metavar="GRID", help="grid file, .toml or .json")
    for command in (run, collect):
        command.add_argument("--out", type=Path, help="folder of the runs; default: runs/NAME of the grid")
    for command in (collect, report, reference, check):
        text = "folder of tables and report; default: that of the runs"
        command.add_argument("--tables", type=Path, metavar="DIR", help=text)
    run.add_argument("--shard", metavar="K/N", help="carry out part K of N alone; `collect --shards` joins them")
    run.add_argument("--workers", type=int, default=2, help="processes of the local cluster, one thread each")
    run.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask scheduler instead, tcp://HOST:PORT")
    text = "the --out of each shard; all must be there, of this grid and of the same versions"
    collect.add_argument("--shards", type=Path, nargs="+", metavar="DIR", help=text)
    text = "variant that the others are compared with; default: the grid's first"
    report.add_argument("--against", default="", metavar="VARIANT", help=text)
    text = "reach of each interval on either side; default: as far as the seeds differ, of which it takes three"
    reference.add_argument("--within", type=float, metavar="X", help=text)
    options = parser.parse_args(arguments)
    if options.command == "start":
        return options
    options.out = getattr(options, "out", None) or Path("runs") / options.grid.stem
    options.tables = getattr(options, "tables", None) or options.out
    if options.command == "run":
        options.shard = Shard.read(options.shard) if options.shard else None
        if options.workers < 1:
            parser.error("--workers must be 1 or more")
    if options.command == "reference" and options.within is not None:
        checked("--within", options.within, Positive)
    return options


@one_line_errors
def main() -> None:
    """Command line; exit status 1 if a run failed, a score left its reference, or nothing could be done."""
    options = parse_command()
    if options.command == "start":
        return _start(options.folder)
    do = {"run": _run, "collect": _collect, "report": _report, "reference": _reference, "check": _check}
    do[options.command](read_grid(options.grid), options)


def _start(folder: Path) -> None:
    """Copies the example; a file that exists stays, and then nothing is written."""
    for name in STARTS.values():
        require_folder_above(folder / name)
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} exists; name another folder, or move it away")
    for source, name in STARTS.items():
        with written_whole(folder / name, "") as part:
            shutil.copyfile(STARTER / source, part)
        print(f"written: {folder / name}")
    print(f"next: python -m dtse_core.experiments run {folder / 'grid.toml'}")


def _run(grid: Grid, options: argparse.Namespace) -> None:
    require_folder_above(options.out / "runs" / "run")
    failed = run_grid(grid, options.out, options.workers, options.scheduler, options.shard)
    print("".join(f"FAILED {line}\n" for line in failed), end="", file=sys.stderr)
    sys.exit(1 if failed else 0)


def _collect(grid: Grid, options: argparse.Namespace) -> None:
    for name, mark in TABLES.items():
        require_ours(options.tables / name, mark)
    if options.shards:
        require_shards(grid, options.grid, options.shards)
    tables = collect(grid, options.shards or [options.out])
    print(_states(tables["runs"]))
    print("\n".join(f"written: {path}" for path in write_tables(tables, options.tables)))


def _report(grid: Grid, options: argparse.Namespace) -> None:
    from .plan import read_plan  # loads torch, which the workers' own processes can do without
    from .report import require_place, write_report

    require_place(options.tables)
    tables = read_tables(grid, options.tables)
    against, title = options.against or tables["runs"]["variant"].iloc[0], options.grid.as_posix()
    written = write_report(tables, options.tables, against, title, read_plan(options.grid), grid.metrics)
    print("\n".join(f"written: {path}" for path in written))


def _reference(grid: Grid, options: argparse.Namespace) -> None:
    from .reference import MARK, REFERENCE, scores, write_reference

    path = options.grid.with_name(REFERENCE)
    require_ours(path, MARK)
    runs = read_tables(grid, options.tables)["runs"]
    write_reference(path, scores(runs, grid.metrics, options.grid), options.within)
    print(f"written: {path}")


def _check(grid: Grid, options: argparse.Namespace) -> None:
    from .reference import REFERENCE, held, picture, table

    path = options.grid.with_name(REFERENCE)
    runs = read_tables(grid, options.tables)["runs"]
    found = held(runs, grid.metrics, path, options.grid)
    print(f"## Check of {options.grid.as_posix()}\n\n{_states(runs)}", end="")
    print("" if path.exists() else f"; there is no {path} to hold the scores to", end=".\n\n")
    print("\n".join([*table(found), "", *(f"    {line}".rstrip() for line in picture(found))]))
    wrong = [
        f"{s}: {s.mean:.6g} is {s.state} {s.ends[0]} to {s.ends[1]}" for s in found if s.values and s.state.isupper()
    ]
    wrong += [f"{s}: no run recorded it" for s in found if s.state == "MISSING"]
    for run, row in zip(grid.runs, runs.itertuples(), strict=True):
        error = f" ({row.error})" if row.state == "failed" else ""
        wrong += [f"{run.name} {grid.title(run)}: {row.state}{error}"] * (row.state != "ok")
    print("".join(f"FAILED {line}\n" for line in wrong), end="", file=sys.stderr)
    sys.exit(1 if wrong else 0)


def _states(runs) -> str:
    """How many runs are done, failed and not run."""
    return ", ".join(f"{count} {state}" for state, count in runs["state"].value_counts().items())


if __name__ == "__main__":
    main()
