"""The toy world on disk, in the genuine layout of A2D-Sentences: `data_scripts/make_toy_world.py` writes it.

Beside A2D's own files stands `toy_world.json`, which tells what these cannot: every clip that is not for training
counts as test there.

    {"settings": {"layout", "seed", "clips", "height", "width", "quirks"},   what was asked for
     "splits": {split: [video, ...]},
     "sentences": {video: [[instance, query, evidence, twin], ...]}}         twin 0: none
"""

import csv
import io
import json
import os
import shutil
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..commands import bars_hidden
from .toy_world import SPLITS, Scene, ToyWorld, render
from .video import write_video

ACTORS = ("adult", "baby", "ball", "bird", "car", "cat", "dog")  # A2D's label: 10 * actor + action, from 1
ACTIONS = ("climbing", "crawling", "eating", "flying", "jumping", "rolling", "running", "walking")
MARK = ".dtse-part"  # stands in an unfinished folder until it is renamed


class Clip(NamedTuple):
    """One clip to write: its name on disk and its place in a world."""

    name: str
    world: ToyWorld
    k: int


def write_a2d(
    root: str | Path,
    clips: dict[str, int],
    seed: int = 0,
    height: int = 96,
    width: int = 144,
    quirks: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> bool:
    """Writes a toy world with `clips[split]` clips a split; returns False if it was already there.

    The same settings give the same bytes, whatever `workers`. `quirks` adds what is odd in the genuine files: ids
    that are `NA` or begin with `-`, a video without sentences, a `1 (copy)` row, a query in capitals with double
    spaces and a comma. The folder appears when it is complete; another folder's content is never touched.
    Raises `FileExistsError` for a target that holds something else, `ValueError` for settings that cannot be.
    """
    if unknown := [split for split in clips if split not in SPLITS]:
        raise ValueError(f"unknown split {unknown[0]!r}; the toy world has {', '.join(SPLITS)}")
    if min(clips.values(), default=0) < 0 or not any(clips.values()):
        raise ValueError(f"clips is {clips}; expected at least one clip, and no negative number")
    if min(height, width) < 16 or height % 2 or width % 2:
        raise ValueError(f"frames of {height}x{width} pixels; expected even numbers from 16 on")
    settings = {
        "layout": "a2d",
        "seed": seed,
        "clips": clips,
        "height": height,
        "width": width,
        "quirks": quirks,
    }
    root = Path(root)
    if _is_written(root, settings):
        return False
    todo = [
        Clip(world.scene(k).video_id, world, k)
        for world in (ToyWorld(split, count, seed, height, width) for split, count in clips.items())
        for k in range(world.length)
    ]
    if quirks:
        todo[:2] = [clip._replace(name=n) for clip, n in zip(todo, ("NA", f"-{todo[-1].name[1:]}"), strict=False)]
    with _part(root) as part:
        _write_clips(todo, part, workers, progress)
        _write_tables(todo, part, settings)
    return True


def _write_clips(todo: list[Clip], part: Path, workers: int, progress: bool) -> None:
    from tqdm import tqdm

    write, bar = (
        partial(_write_clip, part),
        partial(tqdm, total=len(todo), unit=" clips", disable=not progress or bars_hidden()),
    )
    if workers <= 1:
        for _ in bar(map(write, todo)):
            pass
        return
    # Spawned, as a fork may copy a held lock; deaf to Ctrl-C, which the parent answers for all.
    with ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        for _ in bar(pool.map(write, todo, chunksize=4)):  # an exception here cancels what has not begun
            pass


def _write_clip(part: Path, clip: Clip) -> None:
    scene, size = clip.world.scene(clip.k), (clip.world.height, clip.world.width)
    frames, ids = render(scene, range(scene.length), *size)
    write_video(part / "Release" / "clips320H" / f"{clip.name}.mp4", frames, scene.fps)
    for frame in scene.annotated:
        write_annotation(_annotations(part) / clip.name / f"{frame + 1:05d}.h5", ids[frame])


def write_annotation(path: Path, ids: np.ndarray) -> None:
    """One frame's annotation from its instance map (H, W), 0 for background: all instances that can be seen.

    As MATLAB leaves it: `reMask` (N, W, H) uint8, (W, H) where there is one instance; `reBBox` (4, N), x1 y1 x2 y2.
    """
    import h5py

    instances = [int(i) for i in np.unique(ids) if i]
    masks = np.stack([ids == i for i in instances]) if instances else np.zeros((0, *ids.shape), bool)  # (N, H, W)
    boxes = [(x.min() + 1, y.min() + 1, x.max() + 1, y.max() + 1) for y, x in map(np.nonzero, masks)]
    stored = masks.transpose(0, 2, 1).astype(np.uint8)
    stored = stored[0] if len(stored) == 1 else stored
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["instance"] = np.array(instances, np.int64)
        file.create_dataset("reMask", data=stored, compression="gzip" if stored.size else None)
        file["reBBox"] = np.array(boxes, np.float64).reshape(-1, 4).T


def _write_tables(todo: list[Clip], part: Path, settings: dict) -> None:
    videos, rows = [], [["video_id", "instance_id", "query"]]
    splits: dict[str, list[str]] = {split: [] for split in settings["clips"]}
    sentences: dict[str, list[list]] = {}
    for name, world, k in todo:
        scene = world.scene(k)
        frames, subset = (scene.length, len(scene.annotated)), 0 if world.split == "train" else 1
        videos.append([name, _label(scene), "0:00", "0:02", world.height, world.width, *frames, subset])
        rows += [[name, s.instance, s.text] for s in scene.sentences]
        splits[world.split].append(name)
        sentences[name] = [[s.instance, s.text, s.evidence, s.twin] for s in scene.sentences]
    missed = ""
    if settings["quirks"]:
        missed = "missed_clip"
        videos.append([missed, *videos[0][1:]])
        rows.append([rows[1][0], "1 (copy)", rows[1][2]])
        for row in rows[1:3]:
            row[2] = f"{row[2].upper()} ,  that one"
        for row, entry in zip(rows[1:3], [e for entries in sentences.values() for e in entries], strict=False):
            entry[1] = row[2]
    _write_csv(part / "Release" / "videoset.csv", videos)
    _write_csv(_annotations(part).parent / "a2d_annotation.txt", rows)
    (_annotations(part).parent / "a2d_missed_videos.txt").write_text(missed + "\n" if missed else "")
    toy = {"settings": settings, "splits": splits, "sentences": sentences}
    (part / "toy_world.json").write_text(json.dumps(toy, indent=1) + "\n")


def _annotations(root: Path) -> Path:
    return root / "text_annotations" / "a2d_annotation_with_instances"


def _label(scene: Scene) -> int:
    """A2D's code of what the first sentence's actor does."""
    target = next(actor for actor in scene.actors if actor.instance == scene.sentences[0].instance)
    return 10 * (ACTORS.index(target.kind) + 1) + ACTIONS.index(target.motion.action) + 1


def _write_csv(path: Path, rows: list[list]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def _is_written(root: Path, settings: dict) -> bool:
    """Is this very world at `root`? Anything else there is an error."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    toy = root / "toy_world.json"
    try:
        found = json.loads(toy.read_text())["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found == settings:
        return True
    there = f"a toy world with other settings ({found})" if found else "something else"
    raise FileExistsError(f"{root} already holds {there}; choose another folder, or delete it first")


@contextmanager
def _part(root: Path):
    """A sibling folder that becomes `root` if all goes well, and vanishes otherwise."""
    part = root.with_name(root.name + ".part")
    if part.exists() and not (part / MARK).is_file():
        raise FileExistsError(f"{part} is in the way and was not left by an interrupted run; move it")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        (part / MARK).touch()
        yield part
        (part / MARK).unlink()
        if root.is_dir():
            root.rmdir()  # empty, as `_is_written` has seen
        os.rename(part, root)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
