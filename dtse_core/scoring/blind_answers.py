"""What a data set gives away without its sentences: answers that a model must beat before its score means anything."""

import numpy as np
from tqdm import tqdm

from ..data.clip import ReferringClip
from ..metrics import region_similarity
from ..shared.console import bars_hidden
from ..shared.versions import library


def constant_baselines(dataset) -> dict[str, float]:
    """Mean IoU of answers that read no sentence: everything, nothing, and the largest thing that moves."""
    ious = []
    for k in tqdm(range(len(dataset)), "baselines", unit=" samples", disable=bars_hidden()):
        clip = dataset[k]
        answers = np.ones_like(clip.mask), np.zeros_like(clip.mask), largest_moving(clip)
        ious.append([region_similarity(answer, clip.mask) for answer in answers])
    if not ious:
        raise ValueError("no samples: the data set is empty")
    return dict(zip(("everything", "nothing", "largest_moving"), np.mean(ious, axis=0).tolist(), strict=True))


def largest_moving(clip: ReferringClip) -> np.ndarray:
    """The largest region (H, W) in which the current frame differs from every other frame of the window.

    From each single reference alone the place where the object *was* would count as well.
    """
    ndimage = library("scipy.ndimage", "this baseline")
    frames = clip.frames.astype(np.int16)
    others = [f for k, f in enumerate(frames) if k != clip.current and (f != frames[clip.current]).any()]
    if not others:
        return np.zeros_like(clip.mask)
    change = np.min([np.abs(frames[clip.current] - f).max(axis=-1) for f in others], axis=0)
    radius = max(1, round(0.04 * min(change.shape)))  # closes the unchanged inside of flat things
    disk = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    moving = ndimage.binary_closing(np.pad(change > 32, radius), disk)[radius:-radius, radius:-radius]
    labels, count = ndimage.label(ndimage.binary_opening(ndimage.binary_fill_holes(moving)))
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]) if count else np.zeros_like(clip.mask)
