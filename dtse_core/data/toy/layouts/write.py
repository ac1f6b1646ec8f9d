"""The toy world on disk, in a data set's genuine layout: `dtse world` writes it.

Each module beside this one knows the files of one layout; here is what they share. Beside a layout's own files
stands `toy_world.json`, which tells what these cannot: the finer splits, evidence and twins.

    {"settings": {"layout", "seed", "clips", "height", "width", "traps"},   what was asked for
     "splits": {split: [video, ...]},
     "sentences": {video: [[key, sentence, evidence, twin], ...]}}          key: the layout's own; twin null: none

Level 2 adds "level", "version", "kinds", "actors" and "depths" to the settings, has the kind of a sentence as its
evidence, and tells of every clip that was asked for, also of what the layout cannot say (nobody or several as the
target):

    "programs": {video: [{"text", "kind", "depth", "program", "targets"}, ...]}     and in slices "family", "control"
    "left_out": {"clips", "sentences"}                                              how many the layout lacks
    "edition": see `level2.edition`, as is SHA256SUMS beside this file
"""

import csv
import importlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ....shared.files import ANY, TABLES, files_below, read_json, written_whole
from ....shared.images import write_index_mask
from ....shared.processes import Run, processes
from ..level2.clips import DiagnosticClips, Film
from ..level2.edition import drawn, file_sum, of_split, told, write_sums
from ..level2.world import VERSION, WHOLE
from ..world import Scene, ToyWorld

LAYOUTS = (
    "a2d",
    "jhmdb",
    "ref_davis",
    "refer_youtube_vos",
    "mevis",
    "own",
    "refcoco",
)  # as `--layout` and `data.name` take them
STILL = ("appearance", "position", "relation", "ordinal", "comparison")  # kinds that one picture is enough for
HIDDEN = 15  # frames from which a late object is absent


class Clip(NamedTuple):
    """One clip to write: its name on disk, its place in a world, and what the layout can say of it."""

    name: str
    world: ToyWorld
    k: int
    scene: Scene | Film


def layout_module(layout: str) -> ModuleType:
    """The module that writes a layout.

    It has `TRAPS`; `NAMES`, those that a trap gives to the first clips, where * is the rest of the last clip's id;
    `write_clip`, which is given a clip's frames (n, H, W, 3) and ids (n, H, W) uint8 and returns what it adds to the
    tables; and `write_tables`, the files about all clips.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    return importlib.import_module(f".{layout}", __package__)


def write_toy(
    root: str | Path,
    clips: dict[str, int],
    layout: str = "a2d",
    seed: int = 0,
    height: int = 96,
    width: int = 144,
    traps: Sequence[str] = (),
    workers: int = 1,
    level: int = 1,
    asked: dict | None = None,
) -> bool:
    """Writes a toy world with `clips[split]` clips a split; returns False if it was already there.

    The same settings give the same bytes, whatever `workers`. `traps` adds what is odd in the genuine files, by the
    names in the layout's `TRAPS`; `("all",)` is every one. `asked` replaces settings of `WHOLE` in train, val
    and test of level 2. The folder appears when it is complete; another folder's content is never touched.
    Raises `FileExistsError` for a target that holds something else, `ValueError` for settings that cannot be.
    """
    module = layout_module(layout)
    traps = sorted(module.TRAPS) if list(traps) == ["all"] else sorted(traps)
    if unknown := [trap for trap in traps if trap not in module.TRAPS]:
        raise ValueError(f"unknown trap {unknown[0]!r}; {layout} has {', '.join(module.TRAPS)}, or all")
    if asked and level == 1:
        raise ValueError(f"{', '.join(asked)}: only for a world of level 2; add --level 2")
    world = {1: ToyWorld, 2: DiagnosticClips}[level]
    if unknown := [split for split in clips if split not in world.splits]:
        raise ValueError(f"unknown split {unknown[0]!r}; the toy world has {', '.join(world.splits)}")
    if min(clips.values(), default=0) < 0 or not any(clips.values()):
        raise ValueError(f"clips is {clips}; expected at least one clip, and no negative number")
    if min(height, width) < 16 or height % 2 or width % 2:
        raise ValueError(f"frames of {height}x{width} pixels; expected even numbers from 16 on")
    settings = {"layout": layout, "seed": seed, "clips": clips, "height": height, "width": width, "traps": traps}
    own = {1: {}, 2: WHOLE | (asked or {})}[level]
    settings |= {"level": level, "version": VERSION} if level > 1 else {}
    settings |= {name: list(values) for name, values in own.items()}
    root = Path(root)
    if _is_written(root, settings):
        return False
    worlds = [world(split, count, seed, height, width, **own) for split, count in clips.items()]
    try:
        with written_whole(root, ANY, folder=True) as part, processes(workers) as run:
            _fill(part, worlds, settings, module, run)
    except FileExistsError:
        if _is_written(root, settings):  # by another process, meanwhile
            return False
        raise
    return True


def _fill(part: Path, worlds: list[ToyWorld], settings: dict[str, Any], module: ModuleType, run: Run) -> None:
    """Writes the clips of all splits, and what is told about them, into an empty folder."""
    layout, traps, hashed = settings["layout"], settings["traps"], "level" in settings
    whole = list(run("scenes", clip_of, [(world, k) for world in worlds for k in range(world.length)]))
    able = [clip._replace(scene=replace(clip.scene, sentences=sayable(layout, clip.scene))) for clip in whole]
    if not (names := [clip.name for clip in able if clip.scene.sentences]):
        raise ValueError(
            f"{layout} has no room for these sentences, as each has several targets or none; write --layout mevis"
        )
    odd = iter([n.replace("*", names[-1][1:]) for trap in module.NAMES if trap in traps for n in module.NAMES[trap]])
    able = [clip._replace(name=next(odd, clip.name)) if clip.scene.sentences else clip for clip in able]
    done = list(run("clips", partial(write_clip, module.write_clip, part, traps, hashed), able))
    todo = [clip for clip in able if clip.scene.sentences]
    facts = [fact for clip, (fact, _) in zip(able, done, strict=True) if clip.scene.sentences]
    splits = {world.split: [clip.name for clip in todo if clip.world.split == world.split] for world in worlds}
    toy = {"settings": settings, "splits": splits, "sentences": module.write_tables(part, todo, facts, traps)}
    if hashed:
        toy |= told_whole(whole, todo, [hashes for _, hashes in done])
    (part / "toy_world.json").write_text(json.dumps(toy, indent=1) + "\n", encoding="utf-8")
    if hashed:
        write_sums(part, run("checksums", partial(file_sum, part), files_below(part)))


def told_whole(whole: list[Clip], todo: list[Clip], drawn: list[list[str]]) -> dict:
    """What the listing of level 2 adds, from all clips that were asked for, those written, and hashes of all."""
    said = [sum(len(clip.scene.sentences) for clip in clips) for clips in (whole, todo)]
    programs = {clip.name: [sentence.program for sentence in clip.scene.sentences] for clip in whole}
    rows = {clip.world.split: [] for clip in whole}
    for clip, hashes in zip(whole, drawn, strict=True):
        rows[clip.world.split].append([*hashes, *told(programs[clip.name])])
    return {
        "left_out": {"clips": len(whole) - len(todo), "sentences": said[0] - said[1]},
        "programs": programs,
        "edition": {split: of_split(clips) for split, clips in rows.items()},
    }


def clip_of(place: tuple[ToyWorld, int]) -> Clip:
    world, k = place
    scene = world.scene(k)
    return Clip(scene.video_id, world, k, scene)


def sayable(layout: str, scene: Scene | Film) -> tuple:
    """The sentences of a scene that a layout has room for: few know several targets and none."""
    if layout in ("mevis", "own"):
        return scene.sentences
    single = tuple(s for s in scene.sentences if len(s.instances) == 1)
    if layout == "refcoco":
        return tuple(s for s in single if s.evidence in STILL)
    return single[:1] if layout == "jhmdb" else single


def write_clip(write: Callable, part: Path, traps: Sequence[str], hashed: bool, clip: Clip) -> tuple[Any, list[str]]:
    """Draws a clip; returns what `write`, a layout's `write_clip`, does, and the hashes of what was drawn."""
    frames, ids = clip.world.draw(clip.scene, range(clip.scene.length))
    hashes = drawn((frames, ids)) if hashed else []  # first, as a trap may change the arrays
    return write(part, clip, frames, ids, traps) if clip.scene.sentences else None, hashes


def hide_first(clip: Clip, frames: np.ndarray, ids: np.ndarray) -> None:
    """Takes the first sentence's object out of the first frames, in place: behind a gray screen of its shape."""
    hidden = ids[:HIDDEN] == clip.scene.target.instance
    frames[:HIDDEN][hidden], ids[:HIDDEN][hidden] = 128, 0


def write_jpegs(folder: Path, frames: np.ndarray, stems: Sequence[str]) -> None:
    """Frames (n, H, W, 3) uint8 as `<stem>.jpg`."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for stem, frame in zip(stems, frames, strict=True):
        Image.fromarray(frame).save(folder / f"{stem}.jpg", quality=95)


def write_indices(folder: Path, ids: np.ndarray, stems: Sequence[str]) -> None:
    """Instance maps (n, H, W) uint8 as palette images `<stem>.png`: the index is the id."""
    for stem, one in zip(stems, ids, strict=True):
        write_index_mask(folder / f"{stem}.png", one)


def write_expressions(folder: Path, videos: dict) -> None:
    """`meta_expressions.json`, which Refer-YouTube-VOS and MeViS share."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}), encoding="utf-8")


def without_target(video: dict) -> dict:
    """A video's entry as it is published for the splits that a server scores: sentences, no answers."""
    return video | {"expressions": {n: {"exp": said["exp"]} for n, said in video["expressions"].items()}}


def write_csv(path: Path, rows: list[list]) -> None:
    """Rows as UTF-8, fields quoted where they must be, lines ending in a line feed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8")


def _is_written(root: Path, settings: dict) -> bool:
    """True if this very world is at `root`, False if nothing is. Raises `FileExistsError` for anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    toy = root / "toy_world.json"
    try:
        found = read_json(toy, most=TABLES)["settings"]
        if found == settings:
            return True
        there = f"a toy world with other settings ({_difference(found, settings)})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        there = "something else"
    raise FileExistsError(f"{root} already holds {there}; choose another folder, or delete it first")


def _difference(found: dict, settings: dict) -> str:
    """The settings that differ, each with the value that was found and the one that was asked for."""

    def flat(values: dict) -> dict:
        return (
            {"level": 1}
            | values
            | {f"clips of {split}": count for split, count in values["clips"].items()}
            | {"clips": None}
        )

    def said(values: dict, name: str) -> str:
        value = values.get(name, "absent")
        return (" ".join(map(str, value)) if isinstance(value, list) else str(value)) or "none"

    there, asked = flat(found), flat(settings)
    differ = [name for name in there | asked if name not in there or name not in asked or there[name] != asked[name]]
    return "; ".join(f"{name} {said(there, name)}, not {said(asked, name)}" for name in differ)
