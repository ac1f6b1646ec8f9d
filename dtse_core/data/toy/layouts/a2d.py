"""The toy world in the layout of A2D-Sentences: mp4, HDF5 and CSV. `write` calls it, `a2d` reads it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....shared.files import ANY
from ....video.writing import write_video
from ...a2d import ACTIONS, ACTORS
from ..scene import CENTER
from ..world import Scene
from .write import Clip, write_csv

TRAPS = {  # what is odd in the genuine files, by name
    "na_id": "a video whose id is NA",
    "dash_id": "a video whose id begins with -",
    "missed_video": "a video without sentences, listed as missed",
    "copy_row": "a row whose instance is '1 (copy)'",
    "loud_query": "queries in capitals with double spaces and a comma",
    "bare_video": "a video in the table that has neither sentences nor annotations, and is not listed as missed",
    "edge_frames": "in the first clip, annotations of its first and its last frame",
    "single_instance": "in the first clip, a frame that holds the referent alone, so its mask is (W, H)",
    "lone_other": "in the first clip, a frame whose only mask is of another instance",
    "lacking_instance": "in the first clip, a frame that holds every instance but the referent",
}
NAMES = {"na_id": ["NA"], "dash_id": ["-*"]}
ABSENT = {"bare_clip": "bare_video", "missed_clip": "missed_video"}  # videos that the table alone knows


def write_clip(part: Path, clip: Clip, frames: np.ndarray, ids: np.ndarray, traps: Sequence[str]) -> None:
    """One clip's video and annotations."""
    write_video(part / "Release" / "clips320H" / f"{clip.name}.mp4", frames, clip.scene.fps, mark=ANY)
    for frame, kept in annotated(clip, traps).items():
        shown = np.where(np.isin(ids[frame], kept), ids[frame], 0)
        write_annotation(_annotations(part) / clip.name / f"{frame + 1:05d}.h5", shown)


def annotated(clip: Clip, traps: Sequence[str]) -> dict[int, list[int]]:
    """The instances that each annotated frame holds if they can be seen; in the first clip of a split, traps too."""
    scene, everyone = clip.scene, [actor.instance for actor in clip.scene.actors]
    target = scene.target.instance
    others = [instance for instance in everyone if instance != target]
    odd = {
        "edge_frames": {0: everyone, scene.length - 1: everyone},
        "single_instance": {CENTER + 1: [target]},
        "lone_other": {CENTER + 2: others[:1]},
        "lacking_instance": {CENTER - 1: others},
    }
    kept = dict.fromkeys(scene.annotated, everyone)
    for trap in traps if clip.k == 0 else ():
        kept |= odd.get(trap, {})
    return kept


def write_annotation(path: Path, ids: np.ndarray) -> None:
    """One frame's annotation from its instance map (H, W), 0 for background: all instances that can be seen.

    Instances count from 0, as in the genuine files. As MATLAB leaves it: `reMask` (N, W, H) uint8, (W, H) where there
    is one instance; `reBBox` (4, N), x1 y1 x2 y2.
    """
    import h5py

    instances = [int(i) for i in np.unique(ids) if i]
    masks = np.stack([ids == i for i in instances]) if instances else np.zeros((0, *ids.shape), bool)  # (N, H, W)
    boxes = [(x.min() + 1, y.min() + 1, x.max() + 1, y.max() + 1) for y, x in map(np.nonzero, masks)]
    stored = masks.transpose(0, 2, 1).astype(np.uint8)
    stored = stored[0] if len(stored) == 1 else stored
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["instance"] = np.array(instances, np.int64) - 1
        file.create_dataset("reMask", data=stored, compression="gzip" if stored.size else None)
        file["reBBox"] = np.array(boxes, np.float64).reshape(-1, 4).T


def write_tables(part: Path, todo: list[Clip], _, traps: Sequence[str]) -> dict[str, list[list]]:
    """The files about all clips; returns `[instance, query, evidence, twin]` of every sentence by video."""
    videos, rows = [], [["video_id", "instance_id", "query"]]
    sentences: dict[str, list[list]] = {}
    for clip in todo:
        scene, world = clip.scene, clip.world
        frames, subset = (scene.length, len(annotated(clip, traps))), 0 if world.split == "train" else 1
        videos.append([clip.name, _label(scene), "0:00", "0:02", world.height, world.width, *frames, subset])
        rows += [[clip.name, s.instance - 1, s.text] for s in scene.sentences]
        sentences[clip.name] = [
            [s.instance - 1, s.text, s.evidence, s.twin - 1 if s.twin else None] for s in scene.sentences
        ]
    if "loud_query" in traps:
        for row, entry in zip(rows[1:3], [e for entries in sentences.values() for e in entries], strict=False):
            entry[1] = row[2] = f"{row[2].upper()} ,  that one"
    videos += [[name, *videos[0][1:]] for name, trap in ABSENT.items() if trap in traps]
    if "copy_row" in traps:
        rows.append([rows[1][0], "1 (copy)", rows[1][2]])
    write_csv(part / "Release" / "videoset.csv", videos)
    write_csv(_annotations(part).parent / "a2d_annotation.txt", rows)
    missed = "missed_clip\n" if "missed_video" in traps else ""
    (_annotations(part).parent / "a2d_missed_videos.txt").write_text(missed, encoding="utf-8")
    return sentences


def _annotations(root: Path) -> Path:
    return root / "text_annotations" / "a2d_annotation_with_instances"


def _label(scene: Scene) -> int:
    """A2D's code of what the first sentence's actor does."""
    target = scene.target
    return 10 * (ACTORS.index(target.kind) + 1) + ACTIONS.index(target.action) + 1
