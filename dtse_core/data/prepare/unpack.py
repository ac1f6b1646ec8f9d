"""Unpacks a data set's archive beside its place, then moves it in.

Nothing is written outside the root, no link is followed, nothing that is there is overwritten, and the archive stays
as it is. What an interrupted run has written is kept and used by the next.
"""

import filecmp
import json
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from ...shared.archives import Entry, case_collisions, list_wanted, open_archive
from ...shared.console import bars_hidden
from ...shared.files import alone

MARK, PART = ".dtse-archive.json", ".dtse-part"  # in an unfinished folder: whose it is; what is being written


class Extracted(NamedTuple):
    """What an extraction did."""

    files: int  # written or found alike
    ignored: int  # files outside the folders asked for
    collisions: list[str]  # names that differ in case alone: a file system that knows no case would merge them


def extract(archive: Path, root: Path, places: dict[str, str]) -> Extracted:
    """Unpacks the folders named in `places` to where they belong in `root`; folders above them are left out.

    `places` is {"Release": "Release"}, for example: name in the archive, path in the root. Raises `ValueError` for
    an archive that is damaged, could do harm or lacks the folders, where other content is in the way, and for a disk
    that is too small; `BlockingIOError` while another process unpacks the same.
    """
    with alone(_staging_path(archive, root)), open_archive(archive) as (entries, read):
        wanted, ignored = list_wanted(archive, entries, places)
        staging = _staging(archive, root)
        _require_space(archive, staging, wanted)
        collisions = case_collisions(wanted)
        if collisions and (staging / MARK.upper()).exists():
            raise ValueError(
                f"{archive}: {collisions[0]} differ in case alone and {root} lies on a file system that would merge "
                "them; choose a root on another one"
            )
        _write_all(archive, wanted, read, staging)
        _move_in(archive, staging, root)
    return Extracted(len(wanted), ignored, collisions)


def is_unfinished(archive: Path, root: Path) -> bool:
    """True if an extraction of this archive into `root` was interrupted."""
    return _staging_path(archive, root).exists()


def _staging_path(archive: Path, root: Path) -> Path:
    return root / f".{archive.name}.part"


def _identity(archive: Path) -> str:
    info = archive.stat()
    return json.dumps({"name": archive.name, "size": info.st_size, "modified": info.st_mtime_ns})


def _staging(archive: Path, root: Path) -> Path:
    """The folder to write to: that of an interrupted run of the same archive, or an empty one."""
    staging = _staging_path(archive, root)
    if staging.is_symlink() or (staging.exists() and not (staging / MARK).is_file()):
        raise ValueError(f"{staging} is in the way and was not left by an interrupted run; move it")
    if staging.exists() and (staging / MARK).read_bytes() != _identity(archive).encode():
        shutil.rmtree(staging)  # of another version of the archive
    staging.mkdir(exist_ok=True)
    (staging / MARK).write_text(_identity(archive), encoding="utf-8")
    return staging


def _require_space(archive: Path, staging: Path, wanted: dict[PurePosixPath, Entry]) -> None:
    needed = sum(entry.size for path, entry in wanted.items() if not _is_written(staging / path, entry))
    free = shutil.disk_usage(staging).free
    if needed > free:
        raise ValueError(
            f"{archive} needs {needed / 2**30:.2f} GiB in {staging.parent}, where {free / 2**30:.2f} GiB are free; "
            "make room, or choose another --root"
        )


def _write_all(archive: Path, wanted: dict, read, staging: Path) -> None:
    size = sum(entry.size for entry in wanted.values())
    what = f"unpacking {archive.name}"
    with tqdm(total=size, unit="B", unit_scale=True, desc=what, disable=bars_hidden()) as bar:
        for path, entry in wanted.items():
            target = staging / path
            if not _is_written(target, entry):
                _write(archive, entry, read, staging, target)
            bar.update(entry.size)


def _is_written(target: Path, entry: Entry) -> bool:
    return target.is_file() and target.stat().st_size == entry.size


def _write(archive: Path, entry: Entry, read, staging: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part, written = staging / PART, 0
    with read(entry.handle) as source, open(part, "wb") as file:
        while block := source.read(2**20):
            written += len(block)
            if written > entry.size:
                break
            file.write(block)
    if written != entry.size:
        raise ValueError(f"{archive}: {entry.name!r} is not of the {entry.size} bytes that were listed; damaged")
    os.replace(part, target)


def _move_in(archive: Path, staging: Path, root: Path) -> None:
    """Moves the unpacked files to the root: folders at once where nothing is, else file by file, never over one."""
    walk = os.walk(staging)
    staged = [Path(folder, name).relative_to(staging) for folder, _, names in walk for name in names]
    staged = [path for path in staged if path.name not in (MARK, PART)]
    for path in staged:
        for parent in path.parents[:-1]:
            if (root / parent).is_symlink() or ((root / parent).exists() and not (root / parent).is_dir()):
                raise ValueError(f"{root / parent} is a link or a file, not a folder; move it, then repeat")
    there = [path for path in staged if os.path.lexists(root / path)]
    if other := [str(p) for p in there if (root / p).is_symlink() or not _alike(staging / p, root / p)]:
        raise ValueError(
            f"{archive}: {len(other)} files in {root} differ from those in the archive ({', '.join(other[:5])}) and "
            "nothing is overwritten; move them, then repeat"
        )
    for path in there:
        (staging / path).unlink()
    _merge(staging, root)
    shutil.rmtree(staging, ignore_errors=True)


def _alike(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _merge(source: Path, target: Path) -> None:
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        if entry.is_dir() and (target / entry.name).is_dir():
            _merge(Path(entry.path), target / entry.name)
        elif entry.name not in (MARK, PART):
            os.rename(entry.path, target / entry.name)
