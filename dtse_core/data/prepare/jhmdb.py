"""Checks J-HMDB-Sentences: the table, and the mask file and one frame of each video. See `check`."""

import os
from collections import Counter
from pathlib import Path

from ...shared.files import is_litter
from ..jhmdb import actions_in, read_length, read_mask, read_sentences, require_layout
from .expressions import check_frames
from .findings import Expected, Findings

PARTS = ("Rename_Images", "puppet_mask", "jhmdb_annotation.txt")
GENUINE = {"sentences": Expected((928,)), "videos": Expected((928,)), "actions": Expected((21,))}
TOY = {"sentences": "sentences", "videos": "videos"}


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[str]:
    """Reads the table, finds each video's folder and returns `<action>/<video>` for each."""
    require_layout(root)
    sentences = read_sentences(root / "jhmdb_annotation.txt")
    videos = dict.fromkeys(video for video, _ in sentences)
    images, found = root / "Rename_Images", {}
    actions = actions_in(images)
    for action in actions:
        for video in sorted(entry.name for entry in os.scandir(images / action) if entry.name in videos):
            if video in found:
                findings.wrong.append(f"{images} holds {video} twice, in {found[video]} and {action}; remove one")
            found[video] = action
    findings.missing += [f"{images}/<action>/{video} is missing; copy it" for video in videos if video not in found]
    findings.counts += Counter({"sentences": len(sentences), "videos": len(found), "actions": len(actions)})
    return [f"{action}/{video}" for video, action in found.items()]


def check_one(root: Path, deep: bool, video: str, findings: Findings) -> None:
    """One video: as many frames as the mask file annotates, one of them decoded, or all, and their masks' shape."""
    folder, mask = root / "Rename_Images" / video, root / "puppet_mask" / video / "puppet_mask.mat"
    length = read_length(mask)
    stems = tuple(f"{k + 1:05d}" for k in range(length))  # later frames do not exist for anyone
    shape = check_frames(folder, stems, deep, findings, ".png")
    for frame in range(1, length + 1) if deep else (length,):
        read_mask(mask, frame, shape)
        findings.counts["masks read"] += 1
    named = (entry.name for entry in os.scandir(folder))
    further = sum(name.endswith(".png") and not is_litter(name) for name in named) - length
    findings.counts["frames without a mask"] += further
