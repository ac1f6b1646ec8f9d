"""What several checks share: the videos of `meta_expressions.json`, their frames and their palette masks."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...shared.files import read_json
from ...shared.images import image_shape, read_images, read_index_mask, require_shape
from ..clip import ReferringVideo
from ..expressions import parse_expressions, require_named
from ..ref_davis import VOID
from .findings import Findings


class Listed(NamedTuple):
    """A video of the file: its frames, and what its expressions refer to."""

    video: str
    frames: tuple[str, ...]
    targets: tuple[str, ...]


def listed_videos(path: Path, target: Callable, split: str, findings: Findings) -> dict[str, Listed]:
    """The videos of a `meta_expressions.json`, counted; `target` reads what an expression refers to."""
    expressions, published = parse_expressions(read_json(path), path, target)
    found: dict[str, list[ReferringVideo]] = {}
    for one in expressions:
        found.setdefault(one.video_id, []).append(one)
    findings.counts[f"{split} videos"] += len(found)
    findings.counts[f"{split} sentences"] += len(expressions)
    if not published and split in ("train", "valid_u"):
        findings.wrong.append(f"{path} does not tell what the expressions refer to; download it again")
    return {
        video: Listed(video, said[0].frames, tuple(dict.fromkeys(i for one in said for i in one.object_ids)))
        for video, said in found.items()
    }


def check_frames(
    folder: Path, stems: tuple[str, ...], deep: bool, findings: Findings, suffix: str = ".jpg"
) -> tuple[int, int]:
    """All frames are there and of one size; one of them, or all, can be decoded. Returns the size (H, W).

    Raises `FileNotFoundError` or `ValueError`.
    """
    paths = _present(folder, stems, suffix, "frames")
    middle = paths[len(paths) // 2]
    shape = read_images([middle]).shape[1:3]
    for path in paths:
        if image_shape(path) != shape:
            raise ValueError(
                f"{path} is {image_shape(path)}, {middle.name} {shape} (height, width); download them again"
            )
    findings.counts["decoded frames"] += sum(len(read_images([path])) for path in paths) if deep else 1
    return shape


def check_index_masks(
    folder: Path, stems: tuple[str, ...], shape: tuple[int, int], named: set[int], deep: bool, findings: Findings
) -> set[int]:
    """All palette masks are there and as large as the frames; one, or all, can be decoded. Returns the indices seen.

    Raises `FileNotFoundError` or `ValueError`, also for masks that never show an object that an expression has `named`.
    """
    paths = _present(folder, stems, ".png", "masks")
    seen: set[int] = set()
    for path in paths:
        require_shape(path, image_shape(path), shape)
    for path in paths if deep else paths[len(paths) // 2 :][:1]:
        seen |= set(np.unique(read_index_mask(path)).tolist())
        findings.counts["masks read"] += 1
    if named and seen - {0} and not seen & named:
        require_named(paths, named)
    findings.counts["objects in masks without an expression"] += len(seen - {0, VOID} - named) if named else 0
    if named and deep and (unseen := sorted(named - seen)):
        findings.notes.append(f"{folder} never shows object {unseen[0]}, to which an expression refers")
    return seen


def _present(folder: Path, stems: tuple[str, ...], suffix: str, what: str) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing: the {what} of a listed video; copy it")
    paths = [folder / f"{stem}{suffix}" for stem in stems]
    if absent := [path for path in paths if not path.is_file()]:
        raise FileNotFoundError(f"{absent[0]} is missing, one of {len(absent)} of {len(paths)} {what}; copy them")
    return paths
