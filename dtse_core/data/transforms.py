"""From a clip to what the model sees: resizing, normalizing, flipping. Notebook: 02_data_and_sentences."""

import dataclasses
import re

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .clip import ReferringClip

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which the pretrained streams expect (D-2)


def resize_frames(frames: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Frames as the model sees them: (T, H, W, 3) uint8 RGB -> (T, 3, h, w) float32 with ImageNet's mean and std.

    The aspect ratio is not kept (D-2); bilinear, and antialiased where it shrinks.
    """
    x = torch.from_numpy(frames.astype(np.float32, order="C")).permute(0, 3, 1, 2)  # (T, 3, H, W)
    x = _resize(x, size) / 255  # (T, 3, h, w)
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> Tensor:
    """A training target: (H, W) bool -> (h, w) float32 from 0 to 1, resized with the filter of the frames.

    So both stay aligned. At a border it is a weighted mean of the mask around a pixel, not the share of it that the
    object covers. Scores are always taken at the original size.
    """
    return _resize(torch.from_numpy(mask.astype(np.float32, order="C"))[None, None], size)[0, 0].clamp(0, 1)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return interpolate(x, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)


def flip_clip(clip: ReferringClip) -> ReferringClip:
    """The clip in a mirror: all frames and both masks, and left and right swapped in the sentence."""
    frames, mask, twin = (
        None if array is None else np.ascontiguousarray(np.flip(array, axis))
        for array, axis in ((clip.frames, 2), (clip.mask, 1), (clip.twin_mask, 1))
    )
    expression = swap_left_right(clip.expression)
    return dataclasses.replace(clip, frames=frames, mask=mask, twin_mask=twin, expression=expression)


def crop_clips(clips: list[ReferringClip], least: float, rng: np.random.Generator) -> list[ReferringClip]:
    """Clips of one window, cut out of it at one place: at least `least` of each side, and all of every target.

    The aspect ratio stays, unless a target is too high or too wide for it.
    """
    shape = np.array(clips[0].mask.shape)
    found = np.argwhere(np.any([clip.mask for clip in clips], axis=0))  # (pixels, 2)
    first, last = (found.min(0), found.max(0) + 1) if len(found) else (shape, np.zeros(2, int))
    side = np.maximum(np.ceil(rng.uniform(least, 1) * shape).astype(int), last - first)
    low, high = np.maximum(last - side, 0), np.minimum(first, shape - side)
    (y, x), (h, w) = rng.integers(low, high + 1), side

    def cut(array: np.ndarray) -> np.ndarray:
        return array[..., y : y + h, x : x + w]

    return [
        dataclasses.replace(
            clip,
            frames=clip.frames[:, y : y + h, x : x + w],
            mask=cut(clip.mask),
            twin_mask=None if clip.twin_mask is None else cut(clip.twin_mask),
        )
        for clip in clips
    ]


_SWAP = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}
_SIDE = re.compile(rf"\b({'|'.join(_SWAP)})(?=(?i:most|wards?|hand|side)?\b)")


def swap_left_right(sentence: str) -> str:
    """Swaps left and right as whole words, or with -most, -ward(s), -hand and -side; twice gives the input back.

    >>> swap_left_right("the bright car on the left-hand side")
    'the bright car on the right-hand side'
    """
    return _SIDE.sub(lambda match: _SWAP[match[1]], sentence)
