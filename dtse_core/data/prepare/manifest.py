"""The manifest: size and SHA-256 of every file of a copy, kept in the user's cache folder, to notice later changes.

Only MeViS has official sums, so the first good check of any other copy sets its own. A line a file:
{"path", "size", "modified", "sha256"}. A file whose size and time are as noted is not read again, unless asked to.
A cache folder that cannot be used leaves later checks nothing to compare with, which a warning says.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from ...shared.files import ANY, files_below, read_json_lines, require_folder_above, written_whole
from ...shared.versions import library


class Entry(NamedTuple):
    path: str  # relative to the root, with /
    size: int
    modified: int  # nanoseconds
    sha256: str


def cache_folder() -> Path:
    """`DTSE_CACHE`, or the place where this system keeps caches. Raises `ModuleNotFoundError` without pooch."""
    if folder := os.environ.get("DTSE_CACHE"):
        return Path(folder)
    return Path(library("pooch", "the cache folder").os_cache("dtse"))


def manifest_path(name: str, root: Path) -> Path:
    """Path of the manifest of this copy of a data set."""
    place = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return cache_folder() / "manifests" / f"{name}-{place}.jsonl"


def files_of(root: Path, parts: Iterable[str]) -> Iterator[str]:
    """Relative paths of the files under those parts of a root, as `files_below` finds them."""
    for part in parts:
        if (root / part).is_file():
            yield part
        elif (root / part).is_dir():
            yield from (file.relative_to(root).as_posix() for file in files_below(root / part))


def read_manifest(path: Path) -> dict[str, Entry]:
    """Entries by path, of a finished manifest or of what an interrupted run left; damaged lines are passed over."""
    kinds = get_type_hints(Entry)
    lines = read_json_lines(path, lambda line: {name: type(value) for name, value in line.items()} == kinds)
    return {line["path"]: Entry(**line) for line in lines}


def hash_file(root: Path, path: str) -> Entry:
    """A file's entry."""
    stat = (root / path).stat()
    with open(root / path, "rb") as file:
        return Entry(path, stat.st_size, stat.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest())


def update(
    path: Path, root: Path, files: list[str], listed: dict[str, str], again: bool, run: Callable[..., Iterable[Any]]
) -> tuple[dict[str, Entry], list[str], list[str]]:
    """Notes every file; returns the entries by path, files that differ from what they were, and those that are gone.

    They were what `listed` tells, SHA-256 by path as a copy may bring it along, or else the finished manifest. `again`
    reads what seems unchanged, too. `run(function, items)` maps, over processes perhaps. An
    interrupted one leaves what it has noted in `<path>.part`, where the next goes on.
    """
    before, left = {}, {}
    with _cache():
        before, left = read_manifest(path), read_manifest(_part(path))
    known = {} if again else before | left
    kept = {file: known[file] for file in files if file in known and _is_as_noted(root / file, known[file])}
    todo, noted = [file for file in files if file not in kept], {}
    try:
        for entry in chain(kept.values(), run(partial(hash_file, root), todo)):
            noted[entry.path] = entry
    except BaseException:
        keep(path, noted, False)
        raise
    was = {file: entry.sha256 for file, entry in before.items()} | listed
    return noted, [f for f in files if f in was and was[f] != noted[f].sha256], sorted(set(was) - set(files))


def keep(path: Path, noted: dict[str, Entry], good: bool) -> None:
    """What `update` noted of a good copy becomes the manifest that later checks compare with; of another it goes to
    `<path>.part`, so that they need not read the files again."""
    with _cache():
        require_folder_above(path)
        with written_whole(path if good else _part(path), ANY) as new, open(new, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(entry._asdict()) + "\n" for entry in noted.values())
        if good:
            _part(path).unlink(missing_ok=True)


@contextmanager
def _cache() -> Iterator[None]:
    """Errors of the cache folder become warnings: they say nothing about the data."""
    try:
        yield
    except (OSError, ValueError) as error:
        warnings.warn(
            f"the cache folder cannot be used, so that no later check notices what changes from now on ({error}); "
            "DTSE_CACHE names another one",
            stacklevel=2,
        )


def _is_as_noted(file: Path, entry: Entry) -> bool:
    stat = file.stat()
    return (entry.size, entry.modified) == (stat.st_size, stat.st_mtime_ns)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
