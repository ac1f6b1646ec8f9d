"""The toy world in the layout of MeViS: `write` calls it, `mevis` reads it.

Training clips lie in train/, all others in valid_u/. Those of split val appear again in valid/, without masks.
"""

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np

from .write import Clip, hide_first, without_target, write_expressions, write_jpegs

TRAPS = {  # what is odd in the genuine files, by name
    "null_rle": "in the first clip, an object without a mask in the first 15 frames",
    "overlap": "in the first clip, a sentence with two annotations that overlap",
    "no_target": "in the first clip, a sentence that refers to nothing",
    "unsorted": "frames listed in the reverse order",
}
NAMES = {}
NOBODY = "the flying baby"


def write_clip(part: Path, clip: Clip, frames: np.ndarray, ids: np.ndarray, traps: Sequence[str]) -> dict[int, str]:
    """One clip's frames; returns its masks for `write_tables`: for each instance the JSON of a list, frame by frame.

    As text masks take a seventh of the memory; a large world has millions of them.
    """
    first = clip.scene.target.instance
    if "null_rle" in traps and clip.k == 0:
        hide_first(clip, frames, ids)
    stems = [f"{k:05d}" for k in range(len(frames))]
    for folder in [_folder(clip)] + ["valid"] * (clip.world.split == "val"):
        write_jpegs(part / folder / "JPEGImages" / clip.name, frames, stems)
    masks = {actor.instance: ids == actor.instance for actor in clip.scene.actors}
    if "overlap" in traps and clip.k == 0:
        before = masks[first].reshape(len(ids), -1).cumsum(1).reshape(ids.shape)  # its pixels up to here, row by row
        masks[0] = masks[first] & (2 * before <= before[:, -1:, -1:] + 1)  # its upper half, once more
    return {instance: json.dumps([encode_rle(one) for one in mask]) for instance, mask in masks.items()}


def encode_rle(mask: np.ndarray) -> dict | None:
    """A mask (H, W) as compressed COCO RLE; None where it is empty."""
    from pycocotools.mask import encode

    if not mask.any():
        return None
    rle = encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def write_tables(part: Path, todo: list[Clip], facts: list[dict], traps: Sequence[str]) -> dict[str, list[list]]:
    """The files about all clips; returns `[expression id, sentence, evidence, twin's annotation]` by video."""
    sentences: dict[str, list[list]] = {}
    tables = {folder: ({}, []) for folder in ("train", "valid_u", "valid")}  # expressions and masks
    fresh = count(1)  # annotations are numbered over the whole data set
    for clip, own in zip(todo, facts, strict=True):
        videos, masks = tables[_folder(clip)]
        numbers = {instance: next(fresh) for instance in own}
        masks += [f'"{numbers[instance]}": {rles}' for instance, rles in own.items()]
        said, first = {}, clip.scene.target.instance
        for k, s in enumerate(clip.scene.sentences):
            parts = [*s.instances] + [0] * (0 in numbers and s.instances == (first,))
            ids = {"obj_id": [n - 1 for n in s.instances], "anno_id": [numbers[n] for n in parts]}
            said[str(k)] = {"exp": s.text} | ids
        sentences[clip.name] = [
            [str(k), s.text, s.evidence, numbers.get(s.twin) if s.twin else None]
            for k, s in enumerate(clip.scene.sentences)
        ]
        if "no_target" in traps and clip.k == 0:
            said[str(len(said))] = {"exp": NOBODY, "obj_id": [], "anno_id": []}
        frames = [f"{k:05d}" for k in range(clip.scene.length)]
        videos[clip.name] = {"expressions": said, "frames": frames[::-1] if "unsorted" in traps else frames}
        if clip.world.split == "val":
            tables["valid"][0][clip.name] = without_target(videos[clip.name])
    for folder, (videos, masks) in tables.items():
        if videos:
            write_expressions(part / folder, videos)
        if masks:
            (part / folder / "mask_dict.json").write_text(f"{{{', '.join(masks)}}}", encoding="utf-8")
    return sentences


def _folder(clip: Clip) -> str:
    return "train" if clip.world.split == "train" else "valid_u"
