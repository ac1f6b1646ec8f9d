"""The toy world in the layout of one's own data: JPEG, mp4, palette PNG and JSON. `write` calls it, `own` reads it.

As a person would annotate it, a few frames of each clip have masks.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....shared.files import ANY
from ....video.writing import write_video
from ...own import list_as_text
from .write import Clip, write_indices, write_jpegs

TRAPS = {  # what is odd in what people make, by name
    "video": "every second clip as a video, its masks named by the tool: frame_000012.png",
    "capitals": "names of files that end in .JPG and .PNG",
    "odd_names": "clips whose names hold spaces, letters beyond English and what patterns give a meaning",
    "no_target": "in the first clip, a sentence that refers to nothing, and one to all",
    "stray_files": "hidden files beside clips, frames and masks, as file managers leave them",
}
NAMES = {"odd_names": ["ein Café (1)", "a[b-c]{d}"]}
NOBODY, EVERYBODY = "the flying baby", "everyone"


def write_clip(part: Path, clip: Clip, frames: np.ndarray, ids: np.ndarray, traps: Sequence[str]) -> None:
    """One clip's frames and masks."""
    video = "video" in traps and clip.k % 2 == 1
    images, masks = part / "clips" / clip.name, part / "masks" / clip.name
    annotated = sorted(clip.scene.annotated)
    write_indices(masks, ids[annotated], [f"{'frame_0' if video else ''}{k:05d}" for k in annotated])
    if video:
        write_video(images.with_name(f"{clip.name}.mp4"), frames, clip.scene.fps, mark=ANY)
    else:
        write_jpegs(images, frames, [f"{k:05d}" for k in range(len(frames))])
    folders = [masks] if video else [images, masks]
    for file in [file for folder in folders for file in folder.iterdir()] if "capitals" in traps else ():
        file.rename(file.with_suffix(file.suffix.upper()))
    for folder in [*folders, part / "clips", part / "masks"] if "stray_files" in traps else ():
        (folder / ".DS_Store").touch()


def write_tables(part: Path, todo: list[Clip], _, traps: Sequence[str]) -> dict[str, list[list]]:
    """The file about all clips; returns `[objects, sentence, evidence, twin]` of every sentence by clip."""
    listed: dict[str, dict[str, list[dict]]] = {}
    for clip in todo:
        said = [{"object": _one_or_list(s.instances), "sentence": s.text} for s in clip.scene.sentences]
        if "no_target" in traps and clip.k == 0:
            everybody = sorted(actor.instance for actor in clip.scene.actors)
            said += [{"object": [], "sentence": NOBODY}, {"object": everybody, "sentence": EVERYBODY}]
        listed.setdefault(clip.world.split, {})[clip.name] = said
    (part / "sentences.json").write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return {
        clip.name: [[list_as_text(s.instances), s.text, s.evidence, s.twin or None] for s in clip.scene.sentences]
        for clip in todo
    }


def _one_or_list(instances: Sequence[int]) -> int | list[int]:
    return instances[0] if len(instances) == 1 else sorted(instances)
