"""The runs of a grid, all or a shard of them, carried out in the processes of a Dask cluster."""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..shared.console import bars_hidden
from ..shared.versions import library
from .grid import Grid, Run, carry_out, read_result
from .shards import Shard, claim
from .tables import plain

ATTEMPTS = 2  # a run that crashed is tried once more
EVERY = 60.0  # seconds without a run that ends, after which a log says how far the grid is


def run_grid(grid: Grid, out: Path, workers: int = 2, scheduler: str = "", shard: Shard | None = None) -> list[str]:
    """Carries out what is not done yet, of all runs or of a shard; returns one line for each run that failed twice.

    One failure stops nothing. Raises `ImportError` if Dask is missing, `OSError` if no scheduler answers, `ValueError`
    if `out` holds another shard.
    """
    runs = shard.runs(grid) if shard else grid.runs
    if shard:
        claim(grid, shard, out)
    done = {run.name: record for run in runs if (record := read_result(run.folder(out))) and record["ok"]}
    waiting = deque((run, 1) for run in runs if run.name not in done)
    print(f"{len(runs)} runs, {len(done)} of them done already", flush=True)
    if old := sum(record.get("source") not in (None, grid.source) for record in done.values()):
        print(f"note: {old} of them ran other code than {grid.notebook.name} has now; --out elsewhere runs all anew")
    notebook, failed = os.path.realpath(grid.notebook), []
    if not waiting:
        return []
    bar = tqdm(total=len(waiting), unit=" runs", disable=bars_hidden())
    with _cluster(workers, scheduler) as client, bar:
        score = grid.metrics[0].rpartition(".")[2]
        print(f"{'run':12}  {'state':6}  {'seconds':>7}  {'MB':>5}  {score:>8}  what", flush=True)
        running: dict[Any, tuple[Run, int]] = {}
        began, todo = time.monotonic(), len(waiting)
        while waiting or running:
            # As many as can run at once: a worker that dies takes down nothing that only waits for it.
            while waiting and len(running) < max(1, sum(client.nthreads().values())):
                run, attempt = waiting.popleft()
                task = (carry_out, run, notebook, os.path.realpath(run.folder(out)), grid.minutes, attempt)
                future = client.submit(*task, key=f"{run.name}-{attempt}", pure=False, retries=0)
                running[future] = run, attempt
            ended = _ended(running)
            if not ended and bar.disable:
                print(_course(todo, len(waiting), len(running), time.monotonic() - began), flush=True)
            for future in ended:
                run, attempt = running.pop(future)
                record = _record(future, run, out)
                again = not record["ok"] and attempt < ATTEMPTS
                if again:
                    waiting.append((run, attempt + 1))
                elif not record["ok"]:
                    failed.append(f"{run.name} {grid.title(run)}: {record['error']}")
                tqdm.write(_line(grid, run, record, again))
                sys.stdout.flush()
                bar.update(not again)
    return failed


def _ended(running: Collection[Any]) -> set[Any]:
    """Those of some futures that have ended; none if none did for a while."""
    from distributed import wait

    try:
        return wait(list(running), timeout=EVERY, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return set()


def _course(todo: int, waiting: int, running: int, seconds: float) -> str:
    """How far a grid is, and how long the rest takes if it goes on so."""
    done, minutes = todo - waiting - running, seconds / 60
    left = f", about {minutes * (todo - done) / done:.0f} min left" if done else ""
    return f"{minutes:.0f} min: {done} of {todo} runs have ended, {running} are running{left}"


def _line(grid: Grid, run: Run, record: dict[str, Any], again: bool) -> str:
    """A run that has ended, as it is printed; below it, what went wrong."""
    state = "ok" if record["ok"] else "again" if again else "FAILED"
    seconds, memory = record.get("seconds", 0), record.get("peak_memory", 0) / 2**20
    score = dict(plain(record.get("recorded", {}))).get(grid.metrics[0])
    shown = f"{score:.3f}" if isinstance(score, float) else "-"
    line = f"{run.name}  {state:6}  {seconds:7.1f}  {memory:5.0f}  {shown:>8}  {grid.title(run)}"
    return line if record["ok"] else f"{line}\n    {record['error']}"


def _record(future, run: Run, out: Path) -> dict[str, Any]:
    """What became of a run: its record, or what killed it."""
    if future.status == "finished":
        record = future.result()
        if record["ok"] and not read_result(run.folder(out)):
            return {"ok": False, "error": f"no result in {run.folder(out)}; all machines must share that disk"}
        return record
    error = future.exception()
    died = type(error).__name__ == "KilledWorker"
    return {"ok": False, "error": "its worker died" if died else f"{type(error).__name__}: {error}"}


@contextmanager
def _cluster(workers: int, scheduler: str) -> Iterator[Any]:
    """A client of the scheduler at an address, or of a cluster that lives as long as the block."""
    dask, distributed = library("dask", "a grid"), library("distributed", "a grid")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the table reports a worker's death
    if scheduler:
        with distributed.Client(scheduler, timeout=10) as client:
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
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,  # what a run holds is in its kernel, outside the worker
            dashboard_address="127.0.0.1:0",  # or anyone on the network could look in
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
