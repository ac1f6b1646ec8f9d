"""Checks MeViS: the lists of expressions, the mask files and each listed video's frames. See `check`."""

import hashlib
from pathlib import Path

from ...shared.files import TABLES, read_json
from ..mevis import COUNTS, FOLDERS, LABELLED, decode_rle, masks_of, read_annotations, version_of
from .expressions import Listed, check_frames, listed_videos
from .findings import Expected, Findings
from .sources import MEVIS_MASKS

PARTS = FOLDERS
GENUINE = {
    f"{split} {what}": Expected(tuple(COUNTS[version][split][k] for version in COUNTS))
    for split in FOLDERS
    for k, what in enumerate(("videos", "sentences"))
}
TOY = {"train videos": "train", "valid_u videos": "held out", "valid videos": "val"}
Job = tuple[str, Listed, dict[str, list]]  # a split, a video of it, and by annotation RLE or None a frame


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[Job]:
    """Reads the lists and the mask files, recognizes the version, and returns a job a video."""
    jobs, versions = [], {}
    for split in FOLDERS:
        with findings.collecting():
            if not genuine and not (root / split).exists():
                continue
            listed = listed_videos(root / split / "meta_expressions.json", read_annotations, split, findings)
            counts = findings.counts
            versions[split] = version_of(split, counts[f"{split} videos"], counts[f"{split} sentences"])
            jobs += _jobs(root, split, listed.values(), findings, deep)
    if genuine:
        findings.notes.append(f"by its counts: {', '.join(f'{s} is {v}' for s, v in versions.items())}")
        if len(set(versions.values()) - {"other"}) > 1:
            findings.wrong.append(f"{root} mixes versions of MeViS; take all splits from one")
    for split, version in versions.items():
        with findings.collecting():
            _compare_sum(root / split / "mask_dict.json", split, version)
    return jobs


def _jobs(root: Path, split: str, listed, findings: Findings, deep: bool) -> list[Job]:
    path, jobs = root / split / "mask_dict.json", []
    table = read_json(path, most=TABLES) if split in LABELLED else {}
    findings.counts["annotations"] += len(table)
    for one in listed:
        masks = {}
        for number in one.targets if split in LABELLED else ():
            with findings.collecting():
                masks[number] = masks_of(table, number, len(one.frames), f"{path}: video {one.video!r}")
        if not deep:  # one mask an annotation: the others need not travel to the process
            masks = {number: _first(rles) for number, rles in masks.items()}
        jobs.append((split, one, masks))
    return jobs


def _first(rles: list) -> list:
    """All but the first mask taken away."""
    k = next((k for k, rle in enumerate(rles) if rle is not None), 0)
    return [rle if place == k else None for place, rle in enumerate(rles)]


def _compare_sum(path: Path, split: str, version: str) -> None:
    """The authors published sums of version 1's masks; those of version 2 are not known."""
    if version == "v1" and split in MEVIS_MASKS:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != MEVIS_MASKS[split]:
            raise ValueError(f"{path} has SHA-256 {found}, its authors published {MEVIS_MASKS[split]}; get it again")


def check_one(root: Path, deep: bool, job: Job, findings: Findings) -> None:
    """One video: all frames, and one mask of each annotation, or all, decoded at the frames' size."""
    split, listed, masks = job
    shape = check_frames(root / split / "JPEGImages" / listed.video, listed.frames, deep, findings)
    for number, rles in masks.items():
        for stem, rle in zip(listed.frames, rles, strict=True):
            if rle is not None:
                _decode(rle, shape, f"{root / split / 'mask_dict.json'}: annotation {number}, frame {stem}")
                findings.counts["masks read"] += 1


def _decode(rle, shape: tuple[int, int], where: str) -> None:
    try:
        decode_rle(rle, shape)
    except ValueError as error:
        raise ValueError(f"{where}: {error}; download the file again") from None
