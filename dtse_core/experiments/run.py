"""Grids of notebook runs: run them, gather what they recorded, compare. Notebook: 11_ablations.

    python -m dtse_core.experiments run GRID --out DIR        # what is done is skipped; the same command resumes
    python -m dtse_core.experiments collect GRID --out DIR    # tables of runs, clips and curves: Parquet and CSV
    python -m dtse_core.experiments report GRID --out DIR     # report.html and report.md

`grid.py` says what a grid file holds, `plan.py` how a plan beside it names comparisons before the runs. Each run has
its folder DIR/runs/NAME with the executed notebook, its page and `result.json`. Runs go to a local Dask cluster of two
processes with one thread each, or to any other by its address; then DIR must lie on a disk that all its machines share.
"""

import argparse
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ..config import checked, nearest
from ..shared import markdown
from ..shared.console import Parser, bars_hidden, one_line_errors
from ..shared.files import OURS, PAGE, require_folder_above, require_ours, written_whole
from .grid import RESULT, Grid, Run, carry_out, read_grid, read_result
from .pages import comparison_page, write_page

if TYPE_CHECKING:
    import pandas as pd

    from .comparison import Comparison

TABLE = f"table {OURS}"  # in the metadata of Parquet; CSV has none, and is known by its head
RUNS_CSV = "^run,state,variant,group,budget,against,"
TABLES = {"runs.parquet": TABLE, "runs.csv": RUNS_CSV, "clips.parquet": TABLE, "curves.parquet": TABLE}
REPORT = {"report.md": PAGE, "report.html": PAGE}
ATTEMPTS = 2  # a run that crashed is tried once more
CLIP_COLUMNS: dict[str, Any] = {  # of the clips that a run was scored on
    "clip": str,
    "video_id": str,
    "evidence": str | None,
    "intersection": int,
    "union": int,
    "on_target": int | float | None,
    "on_twin": int | float | None,
}
PROVENANCE = ("error", "attempt", "claims", "seconds", "cpu_seconds", "peak_memory", "commit")


def run_grid(grid: Grid, out: Path, workers: int = 2, scheduler: str = "") -> list[str]:
    """Carries out what is not done yet, and returns one line for each run that failed twice.

    One failure stops nothing. Raises `ImportError` if Dask is missing, `OSError` if no scheduler answers.
    """
    waiting = deque((run, 1) for run in grid.runs if not _done(run, out))
    print(f"{len(grid.runs)} runs, {len(grid.runs) - len(waiting)} of them done already", flush=True)
    if not waiting:
        return []
    notebook, failed = os.path.realpath(grid.notebook), []
    bar = tqdm(total=len(waiting), unit=" runs", disable=bars_hidden())
    with _cluster(workers, scheduler) as client, bar:
        from distributed import as_completed

        print(f"{'run':12}  {'state':6}  {'seconds':>7}  {'MB':>5}  {'mean IoU':>8}  parameters", flush=True)
        running: dict[Any, tuple[Run, int]] = {}
        ended = as_completed(with_results=False)
        while waiting or running:
            # As many as can run at once: a worker that dies takes down nothing that only waits for it.
            while waiting and len(running) < max(1, sum(client.nthreads().values())):
                run, attempt = waiting.popleft()
                task = (carry_out, run, notebook, os.path.realpath(_folder(run, out)), grid.minutes, attempt)
                future = client.submit(*task, key=f"{run.name}-{attempt}", pure=False, retries=0)
                running[future] = run, attempt
                ended.add(future)
            future = next(ended)
            run, attempt = running.pop(future)
            record = _record(future, run, out)
            again = not record["ok"] and attempt < ATTEMPTS
            if again:
                waiting.append((run, attempt + 1))
            elif not record["ok"]:
                failed.append(f"{run.name} {grid.differs(run)}: {record['error']}")
            tqdm.write(_line(grid, run, record, again))
            sys.stdout.flush()
            bar.update(not again)
    return failed


def _line(grid: Grid, run: Run, record: dict[str, Any], again: bool) -> str:
    """A run that has ended, as it is printed; below it, what went wrong."""
    state = "ok" if record["ok"] else "again" if again else "FAILED"
    seconds, memory = record.get("seconds", 0), record.get("peak_memory", 0) / 2**20
    iou = dict(_plain(record.get("recorded", {}))).get("metrics.mean_iou")
    shown = f"{iou:.3f}" if isinstance(iou, float) else "-"
    line = f"{run.name}  {state:6}  {seconds:7.1f}  {memory:5.0f}  {shown:>8}  {grid.differs(run)}"
    return line if record["ok"] else f"{line}\n    {record['error']}"


def _folder(run: Run, out: Path) -> Path:
    return out / "runs" / run.name


def _done(run: Run, out: Path) -> bool:
    return bool((read_result(_folder(run, out)) or {}).get("ok"))


def _record(future, run: Run, out: Path) -> dict[str, Any]:
    """What became of a run: its record, or what killed it."""
    if future.status == "finished":
        record = future.result()
        if record["ok"] and not _done(run, out):
            return {"ok": False, "error": f"no result in {_folder(run, out)}; all machines must share that disk"}
        return record
    error = future.exception()
    died = type(error).__name__ == "KilledWorker"
    return {"ok": False, "error": "its worker died" if died else f"{type(error).__name__}: {error}"}


@contextmanager
def _cluster(workers: int, scheduler: str) -> Iterator[Any]:
    """A client of the scheduler at an address, or of a cluster that lives as long as the block."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as e:
        raise ImportError("grids need Dask: pip install 'dtse[experiments]'") from e
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the table reports a worker's death
    if scheduler:
        with Client(scheduler, timeout=10) as client:
            yield client
        return
    ours = {
        "distributed.scheduler.allowed-failures": 0,  # the second attempt is ours
        "distributed.deploy.lost-worker-timeout": "1 hour",  # the cluster gives up a worker that restarts slowly
        "distributed.worker.profile.enabled": False,  # looks at a worker's thread a hundred times a second
        "distributed.admin.tick.interval": "1s",  # of each event loop; at 20 ms all three take a sixth of a core
    }
    with (
        dask.config.set(ours),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,  # what a run holds is in its kernel, outside the worker
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def collect(grid: Grid, out: Path) -> "dict[str, pd.DataFrame]":
    """The grid's results as tables: `runs` (a row for each run of the grid, done or not), `clips`, `curves`.

    Raises `ValueError` naming the file of a run whose record does not fit into tables.
    """
    import pandas as pd

    from .comparison import with_scores  # loads torch, which the workers' own processes can do without

    runs, clips, curves = [], [], []
    kinds: dict[str, type] = {}  # of what the columns of `runs` hold
    for run in grid.runs:
        record = read_result(_folder(run, out)) or {}
        recorded = record.get("recorded", {}) if record.get("ok") else {}
        state = "not run" if not record else "ok" if record["ok"] else "failed"
        variant = grid.differs(run, without=("SEED",)) or "all"
        row = {"run": run.name, "state": state, "variant": variant, "group": "", "budget": "steps", "against": ""}
        row |= run.labels
        row |= run.parameters | {name: record.get(name) for name in PROVENANCE}
        row |= {name: json.dumps(record.get(name, {}), sort_keys=True) for name in ("used", "config", "versions")}
        try:
            plain = dict(_plain(recorded))
            for name, value in plain.items():
                checked(name, value, kinds.setdefault(name, str if isinstance(value, str) else float))
            curves += [{"run": run.name, **point} for point in _points(recorded.get("curves", []))]
            for split, columns in checked("clips", recorded.get("clips", {}), dict).items():
                clips.append(pd.DataFrame(_columns(columns)).assign(run=run.name, split=split))
        except ValueError as error:
            raise ValueError(f"{_folder(run, out) / RESULT}: {error}; move it away and run it again") from error
        runs.append(row | plain)
    empty = pd.DataFrame(columns=["run", "split", *CLIP_COLUMNS])
    scored = with_scores(pd.concat(clips, ignore_index=True) if clips else empty)
    return {"runs": pd.DataFrame(runs), "clips": scored, "curves": pd.DataFrame(curves)}


def _plain(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and texts of nested dictionaries under dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _plain(value, f"{prefix}{name}.")
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
        if len(column) != len(table["clip"]) or not all(isinstance(cell, kind) for cell in column):
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


def write_report(
    tables: "dict[str, pd.DataFrame]", folder: Path, reference: str, title: str, primary: "Sequence[Comparison]" = ()
) -> list[Path]:
    """The comparison as Markdown and as a page: means over seeds, and what the data support."""
    from .comparison import all_differences, conclusions, summary_rows

    runs = tables["runs"]
    if reference not in set(runs["variant"]):
        raise ValueError(f"no variant {reference!r}{nearest(reference, runs['variant'])} in the grid")
    rows = summary_rows(runs)
    said = conclusions(all_differences(runs, tables["clips"], reference, primary))
    done = f"{(runs['state'] == 'ok').sum()} of {len(runs)} runs."
    lines = [f"# {markdown.escaped(title)}", "", done, "", *markdown.table(rows), ""]
    for heading, sentences in said.items():
        lines += [f"## {heading}", "", *(f"- {markdown.escaped(s)}" for s in sentences), ""]
    text = "\n".join(lines)
    return [
        write_page(folder / "report.md", f"<!-- {PAGE} -->\n{text}"),
        write_page(folder / "report.html", comparison_page(title, done, rows, said)),
    ]


def parse_command(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(
        "python -m dtse_core.experiments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    helps = {
        "run": "carry out the runs of a grid that are not done",
        "collect": "gather all results in tables",
        "report": "compare them on a page",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("grid", type=Path, metavar="GRID", help="grid file, .toml or .json")
        command.add_argument("--out", type=Path, help="folder of the runs; default: runs/NAME of the grid")
    run = commands.choices["run"]
    run.add_argument("--workers", type=int, default=2, help="processes of the local cluster, one thread each")
    run.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask scheduler instead, tcp://HOST:PORT")
    for name in ("collect", "report"):
        commands.choices[name].add_argument("--to", type=Path, help="folder of the files; default: that of the runs")
    against = "variant that the others are compared with; default: the grid's first"
    commands.choices["report"].add_argument("--against", default="", help=against)
    options = parser.parse_args(arguments)
    options.out = options.out or Path("runs") / options.grid.stem
    if options.command == "run" and options.workers < 1:
        parser.error("--workers must be 1 or more")
    return options


@one_line_errors
def main() -> None:
    """Command line; exit status 1 if a run failed or nothing could be run."""
    options = parse_command()
    grid = read_grid(options.grid)
    if options.command == "run":
        require_folder_above(options.out / "runs" / "run")
        failed = run_grid(grid, options.out, options.workers, options.scheduler)
        print("".join(f"FAILED {line}\n" for line in failed), end="", file=sys.stderr)
        sys.exit(1 if failed else 0)
    folder = options.to or options.out
    for name, mark in (TABLES if options.command == "collect" else REPORT).items():
        require_ours(folder / name, mark)
    tables = collect(grid, options.out)
    states = tables["runs"]["state"].value_counts()
    print(", ".join(f"{count} {state}" for state, count in states.items()))
    if options.command == "collect":
        written = write_tables(tables, folder)
    else:
        against = options.against or tables["runs"]["variant"].iloc[0]
        from .plan import read_plan  # loads torch, as above

        written = write_report(tables, folder, against, options.grid.as_posix(), read_plan(options.grid))
    print("\n".join(f"written: {path}" for path in written))
