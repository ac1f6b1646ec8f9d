"""Checks a folder of your own clips: the sentences, every mask, and one frame of each clip. See `check`."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...shared.images import image_shape, read_index_mask, require_alike, require_shape
from ...video.files import frame_files, iterate_frames, read_frames, video_info
from ..listing import require_tree
from ..own import HOME, TREE, Said, find_clips, find_masks, mask_files, read_sentences
from .findings import Expected, Findings

PARTS = ("sentences.json", "clips", "masks")
GENUINE: dict[str, Expected] = {}  # it has the numbers that you give it
TOY = {"train clips": "train", "other clips": "held out"}
MANY = 16  # objects of a clip without a sentence: more come from smoothed edges as a rule
Job = tuple[Path, Path, list[Said]]  # a clip, its masks, what is said of it


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[Job]:
    """Reads the sentences and returns a job a clip."""
    path, clips, masks = (root / name for name in PARTS)
    require_tree(HOME, "own", TREE, root, path, clips, masks)
    splits, jobs = read_sentences(path), []
    for split, said in splits.items():
        findings.counts["train clips" if split == "train" else "other clips"] += len(said)
        for clip, sentences in said.items():
            with findings.collecting():
                jobs.append((find_clips(clips, [clip])[clip], find_masks(masks, [clip])[clip], sentences))
                findings.counts["sentences"] += len(sentences)
    for split, needed in (("train", "to learn from"), ("test", "to score")):
        if not splits.get(split):
            findings.notes.append(f"{path} lists no clip of {split!r}: there is nothing {needed}")
    if len(splits.get("train", ())) == 1 and "val" not in splits:
        findings.notes.append(f"{path} lists one clip of 'train' and none of 'val': a training needs another of either")
    return jobs


def check_one(root: Path, deep: bool, job: Job, findings: Findings) -> None:
    """One clip: its size, one frame or all, and that every mask fits and the objects of sentences are shown."""
    clip, folder, sentences = job
    info, files = video_info(clip), mask_files(folder, clip)
    if clip.is_dir():
        require_alike({file: image_shape(file) for file in frame_files(clip)})
    shape, named = (info.height, info.width), {number for objects, _ in sentences for number in objects}
    seen: set[int] = set()
    for frame, path in files.items():
        if frame >= info.length:
            raise ValueError(f"{path} is of frame {frame}, but {clip} ends with {info.length - 1}; rename it")
        numbers = read_index_mask(path)
        require_shape(path, numbers.shape, shape)
        seen |= set(np.unique(numbers).tolist()) - {0}
    findings.counts["masks"] += len(files)
    findings.counts["frames without a mask"] += info.length - len(files)
    frames: Iterable = iterate_frames(clip) if deep else read_frames(clip, [list(files)[len(files) // 2]])
    findings.counts["decoded frames"] += sum(1 for _ in frames)
    if unseen := sorted(named - seen):
        raise ValueError(
            f"{folder} never shows object {unseen[0]}, to which a sentence refers; its masks show "
            f"{', '.join(map(str, sorted(seen))) or 'nothing'}: correct 'object' in sentences.json, or the masks"
        )
    findings.counts["objects in masks without a sentence"] += len(seen - named)
    if len(seen - named) > MANY:
        findings.notes.append(
            f"{folder} shows {len(seen - named)} objects of which nothing is said; if edges are smoothed, the "
            "numbers in between count as objects: export masks without anti-aliasing"
        )
