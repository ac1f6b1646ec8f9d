"""The toy world in the layout of J-HMDB-Sentences: PNG, MATLAB and CSV. `write` calls it, `jhmdb` reads it.

A video has one referent there: that of the scene's first sentence.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ...jhmdb import scored_frames
from .write import Clip, write_csv

TRAPS = {  # what is odd in the genuine files, by name; the first clips of each split show them
    "short_mask": "a video with five frames more than its mask has",
    "fifteen": "a video of fifteen frames, the fewest there are",
    "glob_name": "a video whose name holds [ ] { }, which have a meaning in file patterns",
    "sample_list": "a list of samples as MTTR publishes it, its paths prefixed ./jhmdb_sentences/",
    "stray_files": "hidden files beside folders and frames, as file managers leave them",
}
NAMES = {"glob_name": ["a[b-c]{d}"]}
SAMPLE_LIST = "jhmdb_sentences_samples_metadata.json"


def write_clip(part: Path, clip: Clip, frames: np.ndarray, ids: np.ndarray, traps: Sequence[str]) -> None:
    """One clip's frames and mask."""
    images, length = part / "Rename_Images" / _place(clip), annotated(clip, traps)
    images.mkdir(parents=True)
    for k, frame in enumerate(frames[: 15 if length == 15 else None]):
        Image.fromarray(frame).save(images / f"{k + 1:05d}.png")
    if "stray_files" in traps:
        (images / ".DS_Store").touch()
        (images.parent.parent / ".DS_Store").touch()
    masks = ids[:length] == clip.scene.target.instance  # (T, H, W)
    write_mask(part / "puppet_mask" / _place(clip) / "puppet_mask.mat", masks)


def write_mask(path: Path, masks: np.ndarray) -> None:
    """Masks (T, H, W) as `part_mask` (H, W, T) of a classic MATLAB file, whose head holds no date."""
    from scipy.io import savemat

    path.parent.mkdir(parents=True)
    savemat(path, {"part_mask": masks.transpose(1, 2, 0).astype(np.uint8)}, do_compression=True)
    with path.open("r+b") as file:  # the same masks give the same bytes
        file.write(b"MATLAB 5.0 MAT-file, written for the toy world".ljust(116))


def write_tables(part: Path, todo: list[Clip], _, traps: Sequence[str]) -> dict[str, list[list]]:
    """The files about all clips; returns `[0, query, evidence, 0]` of every sentence by video."""
    said = {clip.name: clip.scene.sentences[0] for clip in todo}
    write_csv(part / "jhmdb_annotation.txt", [["video_id", "query"], *([v, s.text] for v, s in said.items())])
    if "sample_list" in traps:
        entries = []
        for clip in todo:
            length, prefix = annotated(clip, traps), "./jhmdb_sentences"
            mask = f"{prefix}/puppet_mask/{_place(clip)}/puppet_mask.mat"
            for frame in (k - 1 for k in scored_frames(length)):  # others than those of `deterministic`
                image = f"{prefix}/Rename_Images/{_place(clip)}/{frame:05d}.png"
                entries.append([clip.name, image, mask, length, said[clip.name].text])
        (part / SAMPLE_LIST).write_text(json.dumps(entries), encoding="utf-8")
    return {video: [[0, sentence.text, sentence.evidence, 0]] for video, sentence in said.items()}


def annotated(clip: Clip, traps: Sequence[str]) -> int:
    """Frames of a clip that have a mask."""
    if "fifteen" in traps and clip.k == 1:
        return 15
    return clip.scene.length - (5 if "short_mask" in traps and clip.k == 0 else 0)


def _place(clip: Clip) -> str:
    """`<action>/<video>`: the action is the referent's."""
    return f"{clip.scene.target.action}/{clip.name}"
