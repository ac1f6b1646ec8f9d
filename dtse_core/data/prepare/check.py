"""Is a copy of a data set complete and readable? Nothing in it is changed.

A module a data set, `a2d` and its siblings here, knows the layout and offers `PARTS` (what belongs to the copy),
`GENUINE` (numbers that a genuine copy has), `toy_expected` (those of a toy world), `survey` (tables; returns jobs) and
`check_one` (one job, in any process). Here is what they share: processes, the manifest, the verdict.
"""

import importlib
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...shared.console import bars_hidden
from ..listing import read_toy
from .findings import Findings, Row, compare
from .manifest import files_of, finish, manifest_path, update
from .obtain import data_set

GOOD, INCOMPLETE, MALFORMED = 0, 1, 2  # exit codes
SHOWN = 20  # entries of a kind that are printed; the JSON report has all


@dataclass(frozen=True)
class Report:
    """Everything that a check found."""

    title: str
    root: str
    rows: list[Row]
    missing: list[str]
    wrong: list[str]
    notes: list[str]
    code: int  # 0 good, 1 incomplete, 2 malformed

    def lines(self) -> Iterator[str]:
        """As it is printed: the table, then what is to be said, then the verdict."""
        yield f"{self.title} in {self.root}"
        yield f"  {'':40}{'found':>10}{'expected':>16}  state"
        for what, found, expected, state in self.rows:
            yield f"  {what:40}{found:>10,}{' or '.join(f'{n:,}' for n in expected) or '-':>16}  {state}"
        for kind, entries in (("note", self.notes), ("missing", self.missing), ("wrong", self.wrong)):
            for entry in entries[:SHOWN]:
                yield f"{kind}: {entry}"
            if len(entries) > SHOWN:
                yield f"{kind}: and {len(entries) - SHOWN:,} more; --json FILE writes all"
        if self.code == GOOD:
            yield f"ready{f', as a partial copy: {len(self.missing):,} missing' if self.missing else ''}"
        else:
            verdict = "malformed" if self.code == MALFORMED else "incomplete (--allow-partial takes it as it is)"
            yield f"{verdict}: {len(self.missing):,} missing, {len(self.wrong):,} wrong"


def check(
    name: str,
    root: Path,
    deep: bool = False,
    allow_partial: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> Report:
    """Checks the copy at `root`; `deep` decodes every frame and reads every file again for its checksum.

    Raises `ValueError` for an unknown name. The first good check writes a manifest to the cache folder, later ones
    compare with it.
    """
    dataset, findings, rows = data_set(name), Findings(), []
    layout = importlib.import_module(f".{name}", __package__)
    with findings.collecting():
        if not root.is_dir():
            raise FileNotFoundError(
                f"no folder {root}; expected {dataset.tree} in it; data_scripts/prepare.py {name} --root DIR tells how "
                f"to get them, data_scripts/make_toy_world.py --layout {name} writes a toy world instead"
            )
        splits, labels = read_toy(root / "toy_world.json")
        with _processes(workers) as pool:
            run = partial(_run, pool, progress)
            jobs = layout.survey(root, findings, splits is None, deep)
            for one in run("checking", partial(layout.check_one, root, deep), jobs):
                findings.add(one)
            expected = layout.GENUINE if splits is None else layout.toy_expected(splits, labels)
            rows = compare(findings, expected)
            _compare_manifest(name, root, [*layout.PARTS, "toy_world.json"], deep, allow_partial, findings, run)
    code = MALFORMED if findings.wrong else INCOMPLETE if findings.missing and not allow_partial else GOOD
    title = dataset.title if not (root / "toy_world.json").is_file() else f"{dataset.title} (a toy world)"
    return Report(title, str(root), rows, findings.missing, findings.wrong, findings.notes, code)


def _compare_manifest(name: str, root: Path, parts: list[str], deep: bool, partly: bool, findings: Findings, run):
    path, files = manifest_path(name, root), list(files_of(root, parts))
    changed, gone = update(path, root, files, deep, partial(run, "checksums"))
    findings.counts["files"] = len(files)
    findings.wrong += [
        f"{root / file} is not what it was when this copy was last found good; copy it again, or delete {path} if the "
        "change was meant"
        for file in changed
    ]
    findings.notes += [f"{root / file} was there when this copy was last found good, and is gone" for file in gone]
    if not findings.wrong and (partly or not findings.missing):
        finish(path)


def _run(pool, progress: bool, what: str, function: Callable, items: Iterable[Any]) -> Iterator[Any]:
    """Maps over processes, in order, with a bar."""
    items = list(items)
    found = map(function, items) if pool is None else pool.map(function, items, chunksize=8)
    bar = tqdm(found, desc=what, total=len(items), disable=not progress or bars_hidden())
    try:
        yield from bar
    except BrokenProcessPool as error:
        raise ValueError("a process died while it read a file; --workers 1 shows which") from error


@contextmanager
def _processes(workers: int):
    if workers <= 1:
        yield None
        return
    # Spawned, as a fork may copy a held lock; deaf to Ctrl-C, which the parent answers for all.
    with ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
