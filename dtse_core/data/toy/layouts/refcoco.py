"""The toy world in the layout of RefCOCO: JPEG, JSON and a pickle. `write` calls it, `refcoco` reads it.

Of a clip there is the frame in its middle, and the sentences for which one picture is enough.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from ...refcoco import REFS
from ..scene import CENTER
from ..words import ACTORS
from .mevis import encode_rle
from .write import Clip, write_jpegs

TRAPS = {  # what is odd in the genuine files, by name
    "runs": "in the first picture, objects given by run lengths, as COCO gives crowds",
    "empty": "sentences without words, and sentences that occur twice",
    "letters": "a sentence with a letter that Python 2 wrote as bytes",
    "others": "pictures and objects of which nothing is said",
    "google": "other parts, in refs(google).p, which comes second",
}
NAMES = {}
KINDS = ["", *ACTORS]  # categories are numbered from 1


def write_clip(part: Path, clip: Clip, frames: np.ndarray, ids: np.ndarray, traps: Sequence[str]) -> dict[int, dict]:
    """One clip's picture; returns the objects that it shows, by instance, as annotations without numbers."""
    write_jpegs(part / "train2014", frames[CENTER : CENTER + 1], [_picture(clip)])
    masks = {actor.instance: (ids[CENTER] == actor.instance, actor.kind) for actor in clip.scene.actors}
    runs = "runs" in traps and clip.k == 0
    return {
        instance: {"category_id": KINDS.index(kind), "segmentation": encode_rle(mask) if runs else boxes(mask)}
        for instance, (mask, kind) in masks.items()
        if mask.any()
    }


def boxes(mask: np.ndarray) -> list[list[float]]:
    """A mask (H, W) as polygons: a box for each run of pixels in a row."""
    found = []
    for y, row in enumerate(mask.tolist()):
        x = 0
        for inside, run in groupby(row):
            end = x + len(list(run))
            found += [[x, y, end, y, end, y + 1, x, y + 1]] if inside else []
            x = end
    return found


def write_tables(part: Path, todo: list[Clip], facts: list[dict], traps: Sequence[str]) -> dict[str, list[list]]:
    """The files about all pictures; returns `[object, sentence, evidence, None]` of every sentence by picture."""
    images, objects, refs = [], [], []
    sentences: dict[str, list[list]] = {}
    for number, (clip, own) in enumerate(zip(todo, facts, strict=True), 1):
        size = {"height": clip.world.height, "width": clip.world.width}
        images.append({"id": number, "file_name": f"{_picture(clip)}.jpg"} | size)
        said = {instance: [s for s in clip.scene.sentences if s.instance == instance] for instance in own}
        sentences[_picture(clip)] = []
        for instance, outline in own.items():
            if not said[instance] and "others" not in traps:
                continue
            objects.append({"id": len(objects) + 1, "image_id": number} | outline)
            texts = [s.text for s in said[instance]]
            if "letters" in traps and texts:
                texts[0] += " near the café"
            sentences[_picture(clip)] += [
                [len(objects), text, s.evidence, None] for s, text in zip(said[instance], texts, strict=True)
            ]
            texts += ["", *texts] if "empty" in traps else []
            if said[instance]:
                about = {"ref_id": len(refs), "ann_id": len(objects), "image_id": number, "split": clip.world.split}
                refs.append(about | {"sentences": [{"sent": text, "raw": text.upper()} for text in texts]})
    if "others" in traps:
        images.append({"id": 0, "file_name": "COCO_train2014_unseen.jpg", "height": 16, "width": 16})
    kinds = [{"id": n, "name": kind} for n, kind in enumerate(KINDS) if n]
    table = {"images": images, "annotations": objects, "categories": kinds}
    (part / "instances.json").write_text(json.dumps(table), encoding="utf-8")
    (part / REFS[0]).write_bytes(pickled(refs) + b".")
    if "google" in traps:
        (part / REFS[2]).write_bytes(pickled([ref | {"split": "train"} for ref in refs]) + b".")
    return sentences


def pickled(value: list | dict | str | int) -> bytes:
    """Plain values as Python 2 pickles them, but for the full stop: texts are bytes."""
    if isinstance(value, list):
        return b"(l" + b"".join(pickled(one) + b"a" for one in value)
    if isinstance(value, dict):
        return b"(d" + b"".join(pickled(key) + pickled(one) + b"s" for key, one in value.items())
    return f"I{value}\n".encode() if isinstance(value, int) else f"S{value.encode()!r}\n".replace("Sb", "S", 1).encode()


def _picture(clip: Clip) -> str:
    return f"COCO_train2014_{clip.name}"
