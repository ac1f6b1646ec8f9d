"""Predictions: of one frame of a stream, and of a whole video for one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..shared.files import OURS, require_ours, written_whole
from .files import frame_names, iterate_frames

MASKS = f"masks {OURS}"  # the mark of their folder

Video = str | Path | np.ndarray | Sequence[np.ndarray]


class Step(NamedTuple):
    """One frame of a stream, for S expressions."""

    index: int  # type: ignore[assignment]  # tuples have a method of this name
    frame: np.ndarray  # (H, W, 3) uint8, as it came in
    masks: np.ndarray  # (S, H, W) bool
    logits: np.ndarray  # (S, H, W) float32: above 0 in the mask
    confidence: np.ndarray  # (S,) mean probability over the mask, 0 if it is empty (D-15)

    @property
    def probabilities(self) -> np.ndarray:
        """(S, H, W) float32, computed when asked for."""
        return sigmoid(self.logits)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits to probabilities, in a form that cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * logits)


@dataclass(frozen=True)
class Segmentation:
    """What `segment` returns for one expression."""

    expression: str
    masks: np.ndarray  # (T, H, W) bool
    confidence: np.ndarray  # (T,) in [0, 1]
    video: Video  # where the frames came from; read again to draw the overlay
    fps: float

    def save(self, path: str | Path) -> Path:
        """Writes the video with the mask drawn on it: `.mp4`, `.mov`, `.mkv`, `.webm`, or `.gif` for short clips.

        Each frame is shown when and as wide as in the video. Raises `FileExistsError` for a file that is not ours,
        `ValueError` for the video itself and for any other suffix.
        """
        from .overlay import overlay, save_gif  # masks alone need nothing that draws or writes films
        from .writing import FILM, as_shown, write_video

        require_ours(path, FILM, inputs=[self.video])
        frames = (overlay(f, m) for f, m in zip(iterate_frames(self.video), self.masks, strict=True))
        times, aspect = as_shown(self.video)
        if Path(path).suffix.lower() == ".gif":
            save_gif(path, list(frames), caption=self.expression, fps=self.fps, times=times, aspect=aspect)
        else:
            write_video(path, frames, self.fps, mark=FILM, times=times, aspect=aspect)
        return Path(path)

    def save_masks(self, folder: str | Path) -> Path:
        """Writes a PNG a frame, 255 inside the mask and 0 outside: 00000.png, 00001.png ..., or as `frame_names` says.

        The folder appears when it is complete. Raises `FileExistsError` for one that holds anything else.
        """
        require_ours(folder, MASKS, folder=True, inputs=[self.video])
        with written_whole(folder, MASKS, folder=True) as part:
            for mask, name in zip(self.masks, frame_names(self.video), strict=False):
                save_mask(part / f"{name}.png", mask)
        return Path(folder)


def save_mask(path: Path, mask: np.ndarray) -> None:
    """One mask (H, W) as a gray PNG, folders made as needed: 255 inside, 0 outside."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
