"""Lists of scored samples as MTTR publishes them, for numbers that compare with the literature's.

A2D-Sentences: `[[query, video, frame, instance], ...]`; J-HMDB-Sentences: `[[video, frame's path, mask's path, total
frames, query], ...]`, its paths beginning with `./jhmdb_sentences/`, wherever the data lies. Frames count from 1.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ..shared.files import read_json
from .sentences import clean_expression

IMAGE = re.compile(r"(?:.*/)?Rename_Images/([^/]+)/([^/]+)/([0-9]{1,9})\.png", re.DOTALL)


def listed(frames: str, known: str) -> Path:
    """The file of a setting `list=FILE`. Raises `ValueError` for another text, `known` ending its message."""
    kind, equals, file = frames.partition("=")
    if (kind, equals) != ("list", "=") or not file:
        raise ValueError(f"unknown choice of frames {frames!r}; expected list= and the path of a JSON file{known}")
    return Path(file).expanduser()


def read_a2d_list(path: Path) -> Iterator[tuple[int, tuple[str, int, int, str]]]:
    """Number and (video, frame, instance, query) of every entry. Raises `ValueError` naming file and entry."""

    def parse(query, video, frame, instance):
        return _text(video), _count(frame), _count(instance), clean_expression(_text(query))

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
                f"{path}, entry {number}: listed twice, it would count twice in every metric; copy it again"
            )
        seen.add(sample)
        yield number, sample


def _text(value) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return value


def _count(value) -> int:
    if type(value) is not int or value < 1:
        raise TypeError
    return value
