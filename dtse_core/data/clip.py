"""`ReferringClip`, one sample of every data set, and `ReferringVideo`, one sentence over a whole video."""

from dataclasses import dataclass

import numpy as np

EVIDENCE = ("appearance", "position", "relation", "action", "direction")


@dataclass(frozen=True)
class ReferringClip:
    """A window of frames, a sentence, and the mask of what it refers to in the current frame.

    Shapes: `frames` (T, H, W, 3) uint8 RGB; `mask` and `twin_mask` (H0, W0) bool at the
    annotation's original size: scoring resizes what was predicted, never the truth.
    """

    frames: np.ndarray
    current: int  # index of the current frame in `frames`: explicit, never inferred
    mask: np.ndarray
    expression: str
    video_id: str
    frame_id: int  # the current frame as the data set numbers it
    instance_id: str  # empty: the data set has one object a video
    evidence: str | None = None  # toy world: appearance, position, relation, action or direction
    twin_mask: np.ndarray | None = None  # toy world: the twin that differs from the target in motion alone

    @property
    def sample_id(self) -> str:
        """`v_<video>_f_<frame>_i_<instance>`, ending with the frame where there are no instances (J-HMDB).

        Unique with the expression.
        """
        return f"v_{self.video_id}_f_{self.frame_id}" + (f"_i_{self.instance_id}" if self.instance_id else "")


@dataclass(frozen=True)
class ReferringVideo:
    """One sentence over a whole video: what the video protocols score, J and F on every listed frame.

    It names things and holds no pixels: `dataset.frame_paths(video)` lists the frames' files,
    `dataset.read_target(video, k)` reads the mask of frame k.
    """

    video_id: str
    expression_id: str  # as the data set's files name it
    expression: str
    frames: tuple[str, ...]  # names of the listed frames without suffix, in order of time
    object_ids: tuple[str, ...] = ()  # what the sentence refers to; empty: nothing, or not published
    evidence: str | None = None  # toy world


def window_indices(current: int, length: int, window: int, offset: int, causal: bool = False) -> tuple[list[int], int]:
    """Frame indices of a window, clamped to the clip, and the slot of the current frame (D-3).

    >>> window_indices(10, 30, window=3, offset=6)
    ([4, 10, 16], 1)
    >>> window_indices(2, 30, window=3, offset=6, causal=True)
    ([0, 0, 2], 2)
    """
    if not 0 <= current < length:
        raise ValueError(f"current frame {current} lies outside a clip of {length} frames")
    slot = window - 1 if causal else window // 2
    wanted = [current + (k - slot) * offset for k in range(window)]
    return [min(max(i, 0), length - 1) for i in wanted], slot
