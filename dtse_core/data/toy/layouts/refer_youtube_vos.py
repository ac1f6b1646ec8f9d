"""The toy world in the layout of Refer-YouTube-VOS: `write` calls it, `refer_youtube_vos` reads it.

Everything labelled is in train/. The clips of split val appear again in valid/, those of test in test/, both
without masks; as in the genuine files the valid JSON lists both.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..scene import CENTER
from .write import Clip, hide_first, without_target, write_expressions, write_indices, write_jpegs

TRAPS = {  # what is odd in the genuine files, by name
    "exp_gap": "expression ids that leave numbers out",
    "late_object": "in the first clip, an object that is absent from the first 15 frames",
    "short_clip": "a last clip of two frames, shorter than a window",
    "no_test_json": "no meta_expressions.json for test",
    "no_meta": "no train/meta.json",
}
NAMES = {}
STEP = 5  # between the numbers of listed frames
UNLABELLED = {"val": "valid", "test": "test"}  # where a toy split appears again


def write_clip(part: Path, clip: Clip, frames: np.ndarray, ids: np.ndarray, traps: Sequence[str]) -> dict[str, dict]:
    """One clip's frames and masks; returns its entry in meta.json."""
    if "late_object" in traps and clip.k == 0:
        hide_first(clip, frames, ids)
    if "short_clip" in traps and clip.k == clip.world.length - 1:
        frames, ids = frames[CENTER : CENTER + 2], ids[CENTER : CENTER + 2]
    stems = [f"{STEP * k:05d}" for k in range(len(frames))]
    write_indices(part / "train" / "Annotations" / clip.name, ids, stems)
    write_jpegs(part / "train" / "JPEGImages" / clip.name, frames, stems)
    if copy := UNLABELLED.get(clip.world.split):
        write_jpegs(part / copy / "JPEGImages" / clip.name, frames, stems)
    objects = {
        str(actor.instance): {
            "category": actor.kind,
            "frames": [stem for stem, one in zip(stems, ids, strict=True) if (one == actor.instance).any()],
        }
        for actor in clip.scene.actors
    }
    return {"objects": objects}


def write_tables(part: Path, todo: list[Clip], facts: list[dict], traps: Sequence[str]) -> dict[str, list[list]]:
    """The files about all clips; returns `[expression id, sentence, evidence, twin]` of every sentence by video."""
    sentences, listed = {}, {}
    for clip in todo:
        said, numbers = clip.scene.sentences, range(0, 2 * len(clip.scene.sentences), 2 if "exp_gap" in traps else 1)
        sentences[clip.name] = [
            [str(n), s.text, s.evidence, s.twin or None] for n, s in zip(numbers, said, strict=False)
        ]
        listed[clip.name] = {
            "expressions": {
                str(n): {"exp": s.text, "obj_id": str(s.instance)} for n, s in zip(numbers, said, strict=False)
            },
            "frames": sorted(path.stem for path in (part / "train" / "JPEGImages" / clip.name).iterdir()),
        }
    splits = {split: [clip.name for clip in todo if clip.world.split == split] for split in UNLABELLED}
    bare = {name: without_target(listed[name]) for names in splits.values() for name in names}
    write_expressions(part / "meta_expressions" / "train", listed)
    write_expressions(part / "meta_expressions" / "valid", bare)
    if "no_test_json" not in traps:
        write_expressions(part / "meta_expressions" / "test", {name: bare[name] for name in splits["test"]})
    if "no_meta" not in traps:
        objects = {clip.name: own for clip, own in zip(todo, facts, strict=True)}
        (part / "train" / "meta.json").write_text(json.dumps({"videos": objects}), encoding="utf-8")
    return sentences
