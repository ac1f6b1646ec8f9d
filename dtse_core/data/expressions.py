"""`meta_expressions.json`, which Refer-YouTube-VOS and MeViS share, and clips cut from the frames it lists.

    {"videos": {video: {"frames": [stem, ...], "expressions": {id: {"exp": text, and the target, where published}}}}}

Stems and ids are strings; expression ids may have gaps. Frames are taken in the order of their numbers, whatever
the order in the file.
"""

import os
from collections.abc import Callable, Collection, ItemsView, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..video.frame_cache import image_frames
from .clip import ReferringClip, ReferringVideo, window_indices
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
            raise ValueError(f"{where} cannot be the name of a folder; copy the file again")
        if isinstance(entry, dict) and "objects" in entry and "expressions" not in entry:
            raise ValueError(
                f"{where} lists its expressions by object: this is the older layout of URVOS; "
                "get the meta_expressions.json of the Refer-YouTube-VOS challenge"
            )
        frames = parse_frames(dict(json_items(entry, where)).get("frames"), where)
        if not frames:
            raise ValueError(f"{where}: 'frames' is empty; copy the file again")
        for number, said in json_items(entry.get("expressions"), f"{where}, 'expressions'"):
            here = f"{where}, expression {number!r}"
            if not is_name(number):
                raise ValueError(f"{here} cannot be the name of a folder; copy the file again")
            text = dict(json_items(said, here)).get("exp")
            if not isinstance(text, str) or not clean_expression(text):
                raise ValueError(f"{here}: 'exp' is {brief(text)}; expected a sentence; copy the file again")
            try:
                ids = target(said)
            except ValueError as error:
                raise ValueError(f"{here}: {error}; copy the file again") from None
            published.append(ids is not None)
            found.append(ReferringVideo(video, number, clean_expression(text), frames, ids or ()))
            if published[-1] != published[0]:
                raise ValueError(f"{here}: some expressions tell their target and some do not; copy the file again")
    return found, all(published)


def parse_frames(stems: Any, where: str) -> tuple[str, ...]:
    """Frame names such as 00005, in order of time."""
    if not isinstance(stems, list) or not all(map(_is_stem, stems)):
        raise ValueError(f"{where}: 'frames' must list names such as '00005'; found {brief(stems)}")
    if len({int(stem) for stem in stems}) < len(stems):
        raise ValueError(f"{where}: 'frames' lists a frame twice; copy the file again")
    return tuple(sorted(stems, key=int))


def is_name(text: str) -> bool:
    """Can it name a file or folder, and no other place?"""
    return text.isprintable() and not set(text) & set("/\\") and text not in ("", ".", "..")


def require_folders(videos: Collection[str], parent: Path, home: str) -> None:
    """Raises `FileNotFoundError` unless `parent` holds a folder for each video, first five missing ones named."""
    present = {entry.name for entry in os.scandir(parent)} if parent.is_dir() else set()
    if missing := sorted(set(videos) - present):
        raise FileNotFoundError(
            f"{home}: {len(missing)} of {len(videos)} folders are missing from {parent}: expected "
            f"{parent / missing[0]} (first five: {', '.join(missing[:5])}); copy them, see data_scripts/prepare.py"
        )


def label_videos(videos: list[ReferringVideo], labels: dict) -> tuple[list[ReferringVideo], dict]:
    """The toy world's evidence filled in, and what the twins' masks are named by (video, expression id).

    `labels` is what `read_toy` gives; another root has none.
    """
    said = [labels.get((v.video_id, v.expression_id, v.expression), (None, 0)) for v in videos]
    twins = {(v.video_id, v.expression_id): (str(twin),) for v, (_, twin) in zip(videos, said, strict=True) if twin}
    return [replace(v, evidence=evidence) for v, (evidence, _) in zip(videos, said, strict=True)], twins


def read_clip(dataset, number: int) -> ReferringClip:
    """Sample `number` of a data set that has what `ReferYouTubeVOS` has."""
    n, k = (int(i) for i in dataset.samples[number])
    video = dataset.videos[n]
    mask, _ = dataset.read_target(video, k)
    twin = dataset.twins.get((video.video_id, video.expression_id))
    twin_mask = dataset.read_target(replace(video, object_ids=twin), k)[0] if twin else None
    paths = dataset.frame_paths(video)
    indices, slot = window_indices(k, len(paths), dataset.window, dataset.offset, dataset.causal)
    return ReferringClip(
        frames=image_frames([paths[i] for i in indices], dataset.cache),
        current=slot,
        mask=mask,
        expression=video.expression,
        video_id=video.video_id,
        frame_id=int(video.frames[k]),
        instance_id=video.expression_id,  # two expressions of one object may read alike
        evidence=video.evidence,
        twin_mask=twin_mask,
    )


def windows_that_show(dataset, visible: Iterable[np.ndarray]) -> np.ndarray:
    """(n, 2) int32: the index in `dataset.videos` and the current frame of every window that shows the target.

    `visible` gives a bool a listed frame, for each video in turn. In the current frame the target may be absent.
    """
    windows: dict[int, np.ndarray] = {}  # (frames, window) by number of frames
    found = [np.empty((0, 2), np.int32)]
    for n, seen in enumerate(visible):
        if len(seen) not in windows:
            cut = (
                window_indices(k, len(seen), dataset.window, dataset.offset, dataset.causal) for k in range(len(seen))
            )
            windows[len(seen)] = np.array([indices for indices, _ in cut])
        current = np.flatnonzero(seen[windows[len(seen)]].any(1))
        found.append(np.stack([np.full_like(current, n), current], 1).astype(np.int32))
    return np.concatenate(found)


def json_items(value: Any, where: str) -> ItemsView[str, Any]:
    """What a JSON object holds; `ValueError` if it is none."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a JSON object {{...}}, found {brief(value)}; copy the file again")
    return value.items()


def brief(value: Any) -> str:
    """A value from a file as an error shows it, however long it is."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _is_stem(stem: Any) -> bool:
    return isinstance(stem, str) and stem.isascii() and stem.isdigit() and len(stem) < 10
