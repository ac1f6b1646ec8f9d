"""Lists of scored samples as MTTR publishes them, for numbers comparable with the literature's.

A2D-Sentences: `[[query, video, frame, instance], ...]`; J-HMDB-Sentences: `[[video, frame's path, mask's path, total
frames, query], ...]`, its paths beginning with `./jhmdb_sentences/`, wherever the data lies. Frames count from 1.
"""

import hashlib
import re
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import NamedTuple

from ..shared.files import read_bytes, read_json
from .sentences import clean_expression

IMAGE = re.compile(r"(?:.*/)?Rename_Images/([^/]+)/([^/]+)/([0-9]{1,9})\.png", re.DOTALL)


def listed(frames: str, known: str) -> Path:
    """The file of a setting `list=FILE`. Raises `ValueError` for another text, `known` ending its message."""
    kind, equals, file = frames.partition("=")
    if (kind, equals) != ("list", "=") or not file:
        raise ValueError(f"unknown choice of frames {frames!r}; expected list= and the path of a JSON file{known}")
    return Path(file).expanduser()


class SampleList(NamedTuple):
    """A list as far as a split uses it."""

    used: list[tuple[int, tuple]]  # entries with their numbers, as `read_a2d_list` and its sibling give them
    entries: int
    sha256: str

    def choices(self, frames: str) -> dict[str, str]:
        """What a result must tell of it."""
        said = f"{len(self.used):,} of {self.entries:,} entries used"
        return {"frames": frames, "list": said, "list_sha256": self.sha256}


def choose_samples(path: Path, read: Callable, split: Container[str], copy: Container[str], root: Path) -> SampleList:
    """The entries about videos of a split; a list may cover the other splits of the `copy` too.

    `read` is `read_a2d_list` or its sibling. Raises `ValueError` if the copy lacks a video of the list.
    """
    entries = list(read(path))
    if lacking := list(dict.fromkeys(entry[0] for _, entry in entries if entry[0] not in copy)):
        count = sum(entry[0] in lacking for _, entry in entries)
        raise ValueError(
            f"{path}: {count:,} of {len(entries):,} entries name {len(lacking):,} videos that {root} lacks, first "
            f"five: {', '.join(lacking[:5])}; complete the copy, or take the list that was made from it"
        )
    used = [(number, entry) for number, entry in entries if entry[0] in split]
    return SampleList(used, len(entries), hashlib.sha256(read_bytes(path)).hexdigest())


def read_a2d_list(path: Path) -> Iterator[tuple[int, tuple[str, int, int, str]]]:
    """Number and (video, frame, instance, query) of every entry. Raises `ValueError` naming file and entry."""

    def parse(query, video, frame, instance):
        return _text(video), _count(frame), _instance(instance), clean_expression(_text(query))

    return _entries(path, parse, "[query, video, frame, instance]")


def read_jhmdb_list(path: Path) -> Iterator[tuple[int, tuple[str, str, int, int, str]]]:
    """Number and (video, action, frame, total frames, query) of every entry; errors as in `read_a2d_list`."""

    def parse(video, image, _, length, query):
        action, folder, frame = IMAGE.fullmatch(image).groups()
        if folder != video:
            raise ValueError
        return video, action, int(frame), _count(length), clean_expression(_text(query))

    return _entries(path, parse, "[video, .../Rename_Images/action/video/00001.png, mask's path, total frames, query]")


def _entries(path: Path, parse: Callable, expected: str) -> Iterator[tuple[int, tuple]]:
    seen = set()
    for number, entry in enumerate(read_json(path, list), 1):
        try:
            sample = parse(*entry)
        except (ValueError, TypeError, AttributeError):
            raise ValueError(f"{path}, entry {number}: expected {expected}; found {str(entry)[:200]!r}") from None
        if sample in seen:
            raise ValueError(
                f"{path}, entry {number}: listed twice, it would count twice in every metric; download it again"
            )
        seen.add(sample)
        yield number, sample


def _text(value) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return value


def _instance(value) -> int:
    """A2D's instances count from 0; some lists have them as texts."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    return _count(value, 0)


def _count(value, least: int = 1) -> int:
    if type(value) is not int or value < least:
        raise TypeError
    return value
