"""`meta_expressions.json`, which Refer-YouTube-VOS and MeViS share.

    {"videos": {video: {"frames": [stem, ...], "expressions": {id: {"exp": text, and the target, where published}}}}}

Stems and ids are strings; expression ids may have gaps. Frames are taken in the order of their numbers, whatever
the order in the file.
"""

import os
from collections.abc import Callable, Collection, ItemsView, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..shared.files import is_litter
from ..shared.images import read_index_mask
from .clip import ReferringVideo
from .sentences import clean_expression

Target = Callable[[dict], tuple[str, ...] | None]  # what an expression refers to; None: not published


def parse_expressions(table: dict, path: Path, target: Target) -> tuple[list[ReferringVideo], bool]:
    """Every (video, expression) of the file's content, and whether it tells what the expressions refer to.

    `target` reads that from one expression's entry. Raises `ValueError` naming file, video and expression.
    """
    found, published = [], []
    for video, entry in json_items(table.get("videos"), f"{path}: 'videos'"):
        where = f"{path}: video {video!r}"
        if not is_name(video):
            raise ValueError(f"{where} cannot be the name of a folder; download the file again")
        if isinstance(entry, dict) and "objects" in entry and "expressions" not in entry:
            raise ValueError(
                f"{where} lists its expressions by object: this is the older layout of URVOS; "
                "get the meta_expressions.json of the Refer-YouTube-VOS challenge"
            )
        frames = parse_frames(dict(json_items(entry, where)).get("frames"), where)
        if not frames:
            raise ValueError(f"{where}: 'frames' is empty; download the file again")
        for number, said in json_items(entry.get("expressions"), f"{where}, 'expressions'"):
            here = f"{where}, expression {number!r}"
            if not is_name(number):
                raise ValueError(f"{here} cannot be the name of a folder; download the file again")
            text = dict(json_items(said, here)).get("exp")
            if not isinstance(text, str) or not clean_expression(text):
                raise ValueError(f"{here}: 'exp' is {brief(text)}; expected a sentence; download the file again")
            try:
                ids = target(said)
            except ValueError as error:
                raise ValueError(f"{here}: {error}; download the file again") from None
            published.append(ids is not None)
            found.append(ReferringVideo(video, number, clean_expression(text), frames, ids or ()))
            if published[-1] != published[0]:
                raise ValueError(f"{here}: some expressions tell their target and some do not; download the file again")
    return found, all(published)


def parse_frames(stems: Any, where: str) -> tuple[str, ...]:
    """Frame names such as 00005, in order of time."""
    if not isinstance(stems, list) or not all(map(_is_stem, stems)):
        raise ValueError(f"{where}: 'frames' must list names such as '00005'; found {brief(stems)}")
    if len({int(stem) for stem in stems}) < len(stems):
        raise ValueError(f"{where}: 'frames' lists a frame twice; download the file again")
    return tuple(sorted(stems, key=int))


def is_name(text: str) -> bool:
    """True if it can name a file or folder, and no other place."""
    return text.isprintable() and not set(text) & set("/\\") and text not in ("", ".", "..")


def is_split(text: str) -> bool:
    """True if it can name a split: it becomes part of names of files."""
    return is_name(text) and text == text.strip()


def stems(folder: Path, suffix: str) -> tuple[str, ...]:
    """Names without suffix of a folder's files, which are numbers such as 00005, in their order.

    Raises `FileNotFoundError` if there is none, and `ValueError` for two of one number and for one whose name goes on
    after the suffix or has it in capitals, such as `00005.jpg.part` or `00005.JPG`: it would be missing.
    """
    names = [entry.name for entry in os.scandir(folder) if not is_litter(entry.name)]
    for name in names:
        if suffix in name.lower() and not (name.endswith(suffix) and _is_stem(name.removesuffix(suffix))):
            raise ValueError(
                f"{folder} holds {name!r}: expected a number and {suffix}, such as 00005{suffix}; rename it, or "
                "download it again"
            )
    found = sorted((name.removesuffix(suffix) for name in names if name.endswith(suffix)), key=int)
    if not found:
        raise FileNotFoundError(f"{folder} holds no {suffix} files, such as 00005{suffix}; download it again")
    for one, other in pairwise(found):
        if int(one) == int(other):
            raise ValueError(f"{folder} holds {one}{suffix} and {other}{suffix}, two of one frame; move one away")
    return tuple(found)


def require_folders(videos: Collection[str], parent: Path, home: str) -> None:
    """Raises `FileNotFoundError` unless `parent` holds a folder for each video, first five missing ones named."""
    present = {entry.name for entry in os.scandir(parent)} if parent.is_dir() else set()
    if missing := sorted(set(videos) - present):
        raise FileNotFoundError(
            f"{home}: {len(missing)} of {len(videos)} folders are missing from {parent}: expected "
            f"{parent / missing[0]} (first five: {', '.join(missing[:5])}); copy them, see `dtse prepare`"
        )


def require_labels(videos: Sequence[ReferringVideo], masks: Path) -> None:
    """Raises `ValueError` if the masks of videos use other object ids than their sentences do.

    `masks` holds a folder of palette masks for each video. Where these show objects, but never one that a sentence
    names, every target would count as absent: some copies have masks of 0 and 255. One mask is opened in each of at
    most 32 videos, spread evenly, and all masks of a video only where that one leaves a doubt.
    """
    named: dict[str, set[int]] = {}
    frames = {video.video_id: video.frames for video in videos}
    for video in videos:
        named.setdefault(video.video_id, set()).update(map(int, video.object_ids))
    for name in list(named)[:: len(named) // 32 + 1]:
        require_named([masks / name / f"{stem}.png" for stem in frames[name]], named[name])


def require_named(masks: Sequence[Path], named: Collection[int]) -> None:
    """As `require_labels`, for one video: its masks, and the ids that its sentences name."""
    seen: set[int] = set()
    for path in (masks[len(masks) // 2], *masks):  # the first is nearly always enough
        seen |= set(np.unique(read_index_mask(path)).tolist()) - {0}
        if not seen or seen & set(named):
            return
    shown, wanted = (", ".join(map(str, sorted(some)[:5])) for some in (seen, named))
    raise ValueError(
        f"{masks[0].parent}: the masks show {shown} and never {wanted}, which the expressions name; take the "
        "data set's own masks, palette PNGs with an object's id in each pixel, or name the ids that are there"
    )


def json_items(value: Any, where: str) -> ItemsView[str, Any]:
    """What a JSON object holds; `ValueError` if it is not one."""
    if not isinstance(value, dict):
        raise ValueError(
            f"{where}: expected a JSON object {{...}}, found {brief(value)}; correct it, or download the file again"
        )
    return value.items()


def brief(value: Any) -> str:
    """A value from a file as an error shows it, however long it is."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _is_stem(stem: Any) -> bool:
    return isinstance(stem, str) and stem.isascii() and stem.isdigit() and len(stem) < 10
