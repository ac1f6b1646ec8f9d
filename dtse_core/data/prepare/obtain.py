"""Puts a data set's files into place: fetches what it can, unpacks archives at hand, and explains the rest.

A second run does nothing that the first has done.
"""

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from ...shared.files import OURS, written_whole
from .download import download
from .sources import DATASETS, DataSet, Source
from .unpack import extract, is_unfinished


class Step(NamedTuple):
    """What became of one source: `there`, `done`, `by hand`, `failed` or, for what is not needed, `optional`."""

    source: Source
    state: str
    text: str


def obtain(name: str, root: Path, archives: Path | None = None) -> list[Step]:
    """Brings every source of the data set `name` into `root`; archives are looked for, and kept, in `archives`.

    Raises `ValueError` for an unknown name, `FileNotFoundError` for a folder of archives that is not there; a source
    that fails is a step like the others.
    """
    dataset = data_set(name)
    if archives and not archives.is_dir():
        raise FileNotFoundError(f"no folder {archives}; --archives is the folder of downloaded archives")
    root.mkdir(parents=True, exist_ok=True)
    if dataset.converted and (root / dataset.converted).is_file():
        text = f"{root} holds the converted layout, recognized by {dataset.converted}; it is read as it is"
        return [Step(source, "there", text) for source in dataset.sources]
    return [_step(dataset, source, root, archives or root) for source in dataset.sources]


def data_set(name: str) -> DataSet:
    """The entry of `DATASETS`; raises `ValueError` for an unknown name."""
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    return DATASETS[name]


def _step(dataset: DataSet, source: Source, root: Path, folder: Path) -> Step:
    archive = _find(source, folder) if source.places else None
    unfinished = archive is not None and is_unfinished(archive, root)
    if not unfinished and all((root / path).exists() for path in source.gives):
        return Step(source, "there", f"{', '.join(source.gives)}: nothing to do")
    try:
        if source.places and archive is None and source.url and not source.optional:
            archive = download(source.url, folder / source.name)
        if archive is not None:
            return _unpack(source, archive, root)
        if not source.places:
            return _single_file(source, root, folder)
    except (ValueError, OSError) as error:
        return Step(source, "failed", f"{' '.join(str(error).split())}. By hand: {_by_hand(dataset, source, folder)}")
    return Step(source, "optional" if source.optional else "by hand", _by_hand(dataset, source, folder))


def _unpack(source: Source, archive: Path, root: Path) -> Step:
    done = extract(archive, root, source.places)
    text = f"{archive.name} unpacked, {done.files:,} files"
    if done.ignored:
        text += f"; {done.ignored:,} others were not needed"
    if done.collisions:
        text += f"; {len(done.collisions)} names differ in case alone ({done.collisions[0]}): mind it when copying"
    if missing := [path for path in source.gives if not (root / path).exists()]:
        return Step(source, "failed", f"{text}, but {', '.join(missing)} did not come out; is {archive} complete?")
    return Step(source, "done", text)


def _single_file(source: Source, root: Path, folder: Path) -> Step:
    target = root / source.gives[0]
    if (folder / source.name).is_file():
        with written_whole(target, f"copy {OURS}") as part:
            shutil.copyfile(folder / source.name, part)
        return Step(source, "done", f"{folder / source.name} copied to {source.gives[0]}")
    download(source.url, target)
    return Step(source, "done", f"fetched to {source.gives[0]}")


def _find(source: Source, folder: Path) -> Path | None:
    """The archive in `folder`: the one of the very name first, else the first that goes by a known other one."""
    name = source.name.lower()
    patterns = name, *(source.patterns or [f"{name.split('.')[0]}*"])
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.suffix not in (".part", ".tag", ".lock")
        and any(fnmatch(path.name.lower(), pattern) for pattern in patterns)
    )
    return min(found, key=lambda path: path.name != source.name, default=None)


def _by_hand(dataset: DataSet, source: Source, folder: Path) -> str:
    where = source.by_hand or f"fetch it with a browser: {source.url}"
    if source.dead:
        where += f" ({source.dead})"
    return f"{where}. Page: {dataset.page}. Save it as {folder / source.name}, then run this command again"
