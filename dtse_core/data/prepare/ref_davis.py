"""Checks Ref-DAVIS17, original or converted: texts, frames and masks; two kinds of masks are compared. See `check`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...shared.files import read_json
from ...shared.images import read_index_mask
from ..expressions import parse_expressions, stems
from ..ref_davis import (
    CONVERTED,
    MASKS,
    VOID,
    object_number,
    parse_categories,
    read_texts,
    read_words,
    require_ranks,
)
from .expressions import check_frames, check_index_masks
from .findings import Expected, Findings

PARTS = ("DAVIS", "davis_text_annotations", "train", "valid", "meta_expressions")
GENUINE = {
    "train sequences": Expected((60,)),
    "val sequences": Expected((30,)),
    "objects": Expected((205,), firm=False),
    "sentences": Expected((820,), firm=False),  # totals that papers quote vary
}
TOY = {"train sequences": "train", "val sequences": "held out", "sentences": "sentences"}


class Job(NamedTuple):
    """One sequence: folders relative to the root."""

    images: str
    masks: str
    other: str  # masks of the other kind; empty: not there
    objects: tuple[str, ...]  # that have sentences


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[Job]:
    """Reads lists and texts of the layout that is there, and returns a job a sequence."""
    jobs = (_converted if (root / "meta_expressions").is_dir() else _original)(root, findings)
    findings.counts["objects"] += sum(len(job.objects) for job in jobs)
    return jobs


def _original(root: Path, findings: Findings) -> list[Job]:
    davis, texts = root / "DAVIS", root / "davis_text_annotations"
    listed = {split: read_words(davis / "ImageSets" / "2017" / f"{split}.txt") for split in ("train", "val")}
    known = [sequence for names in listed.values() for sequence in names]
    for split, names in listed.items():
        findings.counts[f"{split} sequences"] += len(names)
    said: dict[str, list] = {}
    with findings.collecting():
        said = read_texts(texts, set(known))
        findings.counts["sentences"] += sum(len(four) for objects in said.values() for _, four in objects)
        if silent := [sequence for sequence in known if sequence not in said]:
            raise ValueError(f"{texts} holds no expression of {', '.join(silent[:5])}; download it again")
    semantics = davis / "davis_semantics.json"
    with findings.collecting():
        if semantics.is_file():
            parse_categories(read_json(semantics), semantics)
        else:
            findings.notes.append(f"{semantics} is missing: no scores by category")
    masks = [f"DAVIS/{name}/480p" for name in MASKS.values() if (davis / name / "480p").is_dir()]
    first, other = [*(masks or [f"DAVIS/{MASKS['unsupervised']}/480p"]), ""][:2]
    if first != f"DAVIS/{MASKS['unsupervised']}/480p":
        findings.notes.append(f"{davis} has the masks of 2017 alone; evaluation takes those of 2019 unless told")
    return [
        Job(
            f"DAVIS/JPEGImages/480p/{sequence}",
            f"{first}/{sequence}",
            other and f"{other}/{sequence}",
            tuple(number for number, _ in said.get(sequence, ())),
        )
        for sequence in known
    ]


def _converted(root: Path, findings: Findings) -> list[Job]:
    jobs = []
    for split, folder in CONVERTED.items():
        path = root / "meta_expressions" / folder / "meta_expressions.json"
        if split == "train" and not path.is_file():
            findings.notes.append(f"{path} is missing: no training part")
            continue
        with findings.collecting():
            videos, _ = parse_expressions(read_json(path), path, lambda said: (object_number(said.get("obj_id")),))
            require_ranks(videos, path)
            objects: dict[str, dict[str, None]] = {}
            for video in videos:
                objects.setdefault(video.video_id, {})[video.object_ids[0]] = None
            findings.counts[f"{split} sequences"] += len(objects)
            findings.counts["sentences"] += len(videos)
            jobs += [
                Job(f"{folder}/JPEGImages/{sequence}", f"{folder}/Annotations/{sequence}", "", tuple(numbers))
                for sequence, numbers in objects.items()
            ]
    return jobs


def check_one(root: Path, deep: bool, job: Job, findings: Findings) -> None:
    """One sequence: as many masks as frames, one of each decoded, or all, and where two kinds of masks disagree."""
    images, masks = root / job.images, root / job.masks
    for folder in (images, masks):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is missing: the files of a listed sequence; copy it")
    frames = tuple(sorted({*stems(images, ".jpg"), *stems(masks, ".png")}, key=int))
    shape = check_frames(images, frames, deep, findings)
    for folder in (masks, root / job.other)[: 2 if job.other else 1]:
        check_index_masks(folder, frames, shape, {int(number) for number in job.objects}, deep, findings)
    if job.other:
        findings.notes += disagreements(masks / f"{frames[0]}.png", root / job.other / f"{frames[0]}.png")


def disagreements(one: Path, other: Path) -> list[str]:
    """Objects of a first frame that one annotation lacks, or whose masks overlap by less than half (IoU)."""
    first, second = read_index_mask(one), read_index_mask(other)
    said = []
    for number in np.union1d(first, second):
        if number in (0, VOID):
            continue
        counted = (first != VOID) & (second != VOID)
        a, b = (first == number) & counted, (second == number) & counted
        if a.any() != b.any():
            said.append(f"object {number} is in {one if a.any() else other} and not in {other if a.any() else one}")
        elif a.any() and (iou := (a & b).sum() / (a | b).sum()) < 0.5:
            said.append(f"object {number} of {one} and of {other} overlap by {iou:.2f} (IoU): other ids?")
    return said
