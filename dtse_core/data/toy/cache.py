"""Toy clips kept as files: drawn once, then read.

One `.npz` a clip, uncompressed, in a folder whose name says of which world it is. Files appear whole, so that several
processes can fill and read one folder (`data.cache`).
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.files import ANY, written_whole
from ..clip import ReferringClip
from .level2.clips import DiagnosticClips
from .level2.world import VERSION as LEVEL_2
from .world import ToyWorld

VERSION = 1  # of what is kept: raise it when a toy world is drawn in another way
FRAMES, MASK = "4-D uint8", "2-D bool"
KINDS = {"frames": FRAMES, "current": "int", "mask": MASK, "expression": "str", "video_id": "str", "frame_id": "int"}
KINDS |= {"instance_id": "str", "evidence": "str", "twin_mask": MASK}  # of a kept clip's fields


class Kept:
    """Before a world among the bases of a class: its clips are drawn once and kept below the folder `cache`."""

    level, drawn = "", VERSION

    def __init__(self, cache: str | Path, *arguments, **named):
        super().__init__(*arguments, **named)
        window = f"{self.window}_{self.offset}{'_causal' if self.causal else ''}"
        name = f"toy{self.level}_{self.seed}_{self.split}_{self.height}x{self.width}_{window}_v{self.drawn}"
        self.folder = Path(cache).expanduser() / name

    def several(self, k: int, count: int) -> list[ReferringClip]:
        if not 0 <= k < self.length or count < 1:
            return super().several(k, count)  # which says so, or gives none
        name = self.folder / f"{k // 1000:03d}" / f"{k:06d}"
        files = [name.with_suffix(".npz"), *(name.with_name(f"{k:06d}_{i}_of_{count}.npz") for i in range(1, count))]
        clips = [_load(file) for file in files]
        if None in clips:
            clips = super().several(k, count)
            for file, clip in zip(files, clips, strict=True):
                _store(file, clip)
        return clips


class KeptToyWorld(Kept, ToyWorld):
    """A kept `ToyWorld`; arguments as there, after the folder."""


class KeptDiagnosticClips(Kept, DiagnosticClips):
    """Kept `DiagnosticClips`; arguments as there, after the folder."""

    level, drawn = "2", LEVEL_2


def _load(file: Path) -> ReferringClip | None:
    """A kept clip; None if there is none, or what is there is not a clip.

    Raises `ValueError` for a clip whose fields are of other kinds: whatever wrote it may have written others beside it.
    """
    try:
        with np.load(file, allow_pickle=False) as kept:
            fields = {name: value if value.ndim else value.item() for name, value in kept.items()}
        clip = ReferringClip(**fields)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    for name, value in fields.items():
        if (found := _kind(value)) != KINDS[name]:
            raise ValueError(
                f"{file} was not written by dtse: {name} is {found}, expected {KINDS[name]}; delete the folder "
                f"{file.parents[1]}, and its clips are drawn again"
            )
    return clip


def _kind(value: Any) -> str:
    return f"{value.ndim}-D {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


def _store(file: Path, clip: ReferringClip) -> None:
    with written_whole(file, ANY) as part, part.open("wb") as out:
        np.savez(out, **{name: value for name, value in vars(clip).items() if value is not None})
