"""Checks that a copy of a data set is complete and readable, without changing it.

A module a data set, `a2d` and its siblings here, knows the layout and offers `PARTS` (what belongs to the copy),
`GENUINE` (numbers that a genuine copy has), `TOY` (where those of a toy world come from, see `toy_numbers`), `survey`
(reads the tables and returns jobs) and `check_one` (one job, in any process). Here is what they share: processes, the
manifest, the verdict.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...shared.processes import Run, processes
from ..listing import read_toy
from ..toy.level2.edition import LISTING, SUMS, faults, read_sums
from .findings import Expected, Findings, Row, compare
from .manifest import files_of, hash_file, keep, manifest_path, update
from .obtain import data_set
from .sources import DataSet

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
        """As it is printed: the table, then the findings, then the verdict."""
        yield f"{self.title} in {self.root}"
        yield f"  {'':40}{'found':>10}{'expected':>18}  state"
        for what, found, expected, state in self.rows:
            yield f"  {what:40}{found:>10,}{' or '.join(f'{n:,}' for n in dict.fromkeys(expected)) or '-':>18}  {state}"
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


def check(name: str, root: Path, deep: bool = False, allow_partial: bool = False, workers: int = 1) -> Report:
    """Checks the copy at `root`; `deep` decodes every frame and reads every file again for its checksum.

    Raises `ValueError` for an unknown name, and as `manifest_path` does. The first good check writes a manifest to the
    cache folder, later ones compare with it.
    """
    dataset, manifest, findings, rows = data_set(name), manifest_path(name, root), Findings(), []
    layout = importlib.import_module(f".{name}", __package__)
    with findings.collecting():
        if not root.is_dir():
            raise FileNotFoundError(
                f"no folder {root}; expected {dataset.tree} in it; `dtse prepare {name} --root DIR` tells how "
                f"to get them, `dtse world --layout {name} --out DIR` writes a toy world instead"
            )
        splits, labels = read_toy(root / LISTING)
        with processes(workers) as run:
            jobs = layout.survey(root, findings, splits is None, deep)
            for one in run("checking", partial(_check_one, layout.check_one, root, deep), jobs):
                findings.add(one)
            numbers = toy_numbers(splits or {}, labels)
            toy = {what: Expected((numbers[source],)) for what, source in layout.TOY.items()}
            rows = compare(findings, layout.GENUINE if splits is None else toy)
            files = list(files_of(root, [*layout.PARTS, LISTING]))
            findings.wrong += faults(root, files)
            if splits is None:
                findings.notes += known_files(dataset, root)
            _compare_manifest(manifest, root, files, deep, allow_partial, findings, run)
    code = MALFORMED if findings.wrong else INCOMPLETE if findings.missing and not allow_partial else GOOD
    title = dataset.title if not (root / LISTING).is_file() else f"{dataset.title} (a toy world)"
    said = (list(dict.fromkeys(entries)) for entries in (findings.missing, findings.wrong, findings.notes))
    return Report(title, str(root), rows, *said, code)


def _check_one(check_one: Callable[..., None], root: Path, deep: bool, job: Any) -> Findings:
    findings = Findings()
    with findings.collecting():
        check_one(root, deep, job, findings)
    return findings


def toy_numbers(splits: dict[str, list[str]], labels: dict) -> dict[str, int]:
    """What the listing of a toy world counts; `held out` are the videos of all splits but train."""
    sizes = {split: len(splits.get(split, ())) for split in ("train", "val")}
    videos = sum(map(len, splits.values()))
    return sizes | {"videos": videos, "held out": videos - sizes["train"], "sentences": len(labels)}


def known_files(dataset: DataSet, root: Path) -> Iterator[str]:
    """A note for each file whose SHA-256 is known: it is the genuine one, or it is not."""
    for source in dataset.sources:
        if source.sha256 and (path := root / source.gives[0]).is_file():
            if hash_file(root, source.gives[0]).sha256 == source.sha256:
                yield f"{path} is the genuine file, by its SHA-256"
            else:
                yield f"{path} is not the genuine file, by its SHA-256; compare with {source.url}"


def _compare_manifest(
    path: Path, root: Path, files: list[str], deep: bool, partly: bool, findings: Findings, run: Run
) -> None:
    listed = read_sums(root)
    files = list(dict.fromkeys([*files, *files_of(root, listed)]))
    noted, changed, gone = update(path, root, files, listed, deep, partial(run, "checksums"))
    findings.counts["files"] = len(files)
    was = "it was when this copy was last found good; download it again, or delete {path} if the change was meant"
    for file in changed:
        good = f"{SUMS} lists; download it again" if file in listed else was.format(path=path)
        findings.wrong.append(f"{root / file} is not what {good}")
    for file in gone:
        if file in listed:
            findings.missing.append(f"{root / file}, which {SUMS} lists, is missing; download it again")
        else:
            findings.notes.append(f"{root / file} was there when this copy was last found good, and is gone")
    keep(path, noted, good=not findings.wrong and (partly or not findings.missing))
