"""Checks J-HMDB-Sentences: the table, and of each video its mask file and one frame. See `check`."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ..jhmdb import read_length, read_mask, read_sentences, require_layout
from .expressions import check_frames
from .findings import Expected, Findings

PARTS = ("Rename_Images", "puppet_mask", "jhmdb_annotation.txt")
GENUINE = {
    "sentences": Expected((928,)),
    "videos": Expected((928,)),
    "actions": Expected((21,)),
}


class Job(NamedTuple):
    """What one process checks at a time."""

    action: str
    video: str


def toy_expected(splits: dict[str, list[str]], labels: dict) -> dict[str, Expected]:
    """What a toy world's own listing says."""
    return {"sentences": Expected((len(labels),)), "videos": Expected((sum(map(len, splits.values())),))}


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[Job]:
    """Reads the table, finds each video's folder and returns a job a video."""
    require_layout(root)
    sentences = read_sentences(root / "jhmdb_annotation.txt")
    videos = dict.fromkeys(video for video, _ in sentences)
    images, jobs = root / "Rename_Images", {}
    actions = sorted(entry.name for entry in os.scandir(images) if entry.is_dir() and not entry.name.startswith("."))
    for action in actions:
        for video in sorted(entry.name for entry in os.scandir(images / action) if entry.name in videos):
            if video in jobs:
                findings.wrong.append(f"{images} holds {video} twice, in {jobs[video].action} and {action}; remove one")
            jobs[video] = Job(action, video)
    findings.missing += [f"{images}/<action>/{video} is missing; copy it" for video in videos if video not in jobs]
    findings.counts += Counter({"sentences": len(sentences), "videos": len(jobs), "actions": len(actions)})
    return list(jobs.values())


def check_one(root: Path, deep: bool, job: Job) -> Findings:
    """One video: as many frames as the mask file annotates, one of them decoded, or all, and their masks' shape."""
    findings = Findings()
    folder = root / "Rename_Images" / job.action / job.video
    mask = root / "puppet_mask" / job.action / job.video / "puppet_mask.mat"
    with findings.collecting():
        length = read_length(mask)
        stems = tuple(f"{k + 1:05d}" for k in range(length))  # later frames do not exist for anyone
        shape = check_frames(folder, stems, deep, findings, ".png")
        for frame in range(1, length + 1) if deep else (length,):
            read_mask(mask, frame, shape)
            findings.counts["masks read"] += 1
        named = (entry.name for entry in os.scandir(folder))
        further = sum(name.endswith(".png") and not name.startswith(".") for name in named) - length
        findings.counts["frames without a mask"] += further
    return findings
