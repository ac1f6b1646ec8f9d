"""The toy world in the layout of Ref-DAVIS17: JPEG, palette PNG and text. `write` calls it, `ref_davis` reads it.

Masks hold what a sentence describes, as a set of objects chosen by annotators does; the others are background. Of
sentences that are fewer than four an object, some occur in several annotation sets.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...ref_davis import REPAIRS, SETS, VOID
from .write import Clip, hide_first, write_indices, write_jpegs

TRAPS = {  # what is odd in the genuine files, by name
    "typo_names": "three sequences whose names are misspelled in the first annotator's files",
    "latin1": "an expression of the second annotator with a letter in Latin-1, which is not valid UTF-8",
    "void": "outlines of objects that are not scored, index 255",
    "late_object": "in the first clip, an object that is absent from the first 15 frames",
    "id_gap": "object ids that leave out 2",
    "id_ten": "an object with the id 10, which comes before 2 when ids are sorted as text",
    "undescribed_object": "objects that no sentence describes",
    "both_masks": "the masks of 2017 as well, which differ by a pixel and have no void",
    "no_semantics": "no davis_semantics.json",
}
NAMES = {"typo_names": list(REPAIRS.values())}


def write_clip(part: Path, clip: Clip, frames: np.ndarray, ids: np.ndarray, traps: Sequence[str]) -> None:
    """One clip's frames and masks."""
    if "late_object" in traps and clip.k == 0:
        hide_first(clip, frames, ids)
    names = np.zeros(256, np.uint8)
    for instance in (actor.instance for actor in clip.scene.actors):
        if instance in described(clip) or "undescribed_object" in traps:
            names[instance] = object_id(instance, traps)
    indices, stems, davis = names[ids], [f"{k:05d}" for k in range(len(frames))], part / "DAVIS"
    write_jpegs(davis / "JPEGImages" / "480p" / clip.name, frames, stems)
    if "both_masks" in traps:
        write_indices(davis / "Annotations" / "480p" / clip.name, np.roll(indices, 1, axis=2), stems)
    if "void" in traps:
        indices[outlines(indices)] = VOID
    write_indices(davis / "Annotations_unsupervised" / "480p" / clip.name, indices, stems)


def write_tables(part: Path, todo: list[Clip], _, traps: Sequence[str]) -> dict[str, list[list]]:
    """The files about all clips; returns `[expression id, sentence, evidence, twin]` of every sentence by sequence."""
    lists, texts = part / "DAVIS" / "ImageSets" / "2017", part / "davis_text_annotations"
    lists.mkdir(parents=True)
    texts.mkdir()
    for split in ("train", "val"):
        names = [clip.name for clip in todo if (clip.world.split == "train") == (split == "train")]
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    sentences, lines = {}, [[] for _ in SETS]
    mistyped = {right: wrong for wrong, right in REPAIRS.items()} if "typo_names" in traps else {}
    for clip in todo:
        sentences[clip.name] = []
        objects = sorted(described(clip), key=lambda instance: str(object_id(instance, traps)))
        for rank, instance in enumerate(objects):
            said = [s for s in clip.scene.sentences if s.instance == instance]
            for k in range(len(SETS)):
                one, number = said[k % len(said)], object_id(instance, traps)
                text = f"{one.text} near the café" if "latin1" in traps and rank == 0 and k >= 2 else one.text
                name = mistyped.get(clip.name, clip.name) if k < 2 else clip.name
                lines[k].append(f'{name} {number} "{text}"\n')
                twin = object_id(one.twin, traps) if one.twin in described(clip) else None
                sentences[clip.name].append([str(len(SETS) * rank + k), text, one.evidence, twin])
    for (name, encoding), content in zip(SETS, lines, strict=True):
        (texts / f"{name}.txt").write_text("".join(content), encoding=encoding.removesuffix("-sig"))
    if "no_semantics" not in traps:
        kinds = {
            clip.name: {
                str(object_id(actor.instance, traps)): actor.kind
                for actor in clip.scene.actors
                if actor.instance in described(clip) or "undescribed_object" in traps
            }
            for clip in todo
        }
        (part / "DAVIS" / "davis_semantics.json").write_text(json.dumps(kinds), encoding="utf-8")
    return sentences


def described(clip: Clip) -> list[int]:
    """The instances that have a sentence."""
    return sorted({sentence.instance for sentence in clip.scene.sentences})


def object_id(instance: int, traps: Sequence[str]) -> int:
    """An instance's index in the masks."""
    if "id_ten" in traps and instance == 1:
        return 10
    return instance + (1 if "id_gap" in traps and instance >= 2 else 0)


def outlines(indices: np.ndarray) -> np.ndarray:
    """Object pixels (n, H, W) bool whose right or lower neighbor is something else."""
    right = indices != np.pad(indices, ((0, 0), (0, 0), (0, 1)), mode="edge")[:, :, 1:]
    lower = indices != np.pad(indices, ((0, 0), (0, 1), (0, 0)), mode="edge")[:, 1:]
    return (indices > 0) & (right | lower)
