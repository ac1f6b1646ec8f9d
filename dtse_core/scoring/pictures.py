"""The worst and the best cases as pictures: frame, truth and prediction under the sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ..data.clip import ReferringClip
from ..metrics import region_similarity
from ..shared.console import bars_hidden
from ..shared.files import OURS, written_whole
from ..shared.images import read_images
from ..video.film import film_strip, use_style
from .mask_reader import MaskReader
from .records import Sample, VideoScore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = f"pictures {OURS}"  # the mark of their folder
CASES = 10  # of either kind


def draw_cases(folder: str | Path, records: Sequence, dataset, masks: MaskReader) -> int:
    """Writes `worst_01_<case>.png` ... and `best_01_<case>.png` ... into `folder`; returns how many.

    `records` are in the data set's order. A video is drawn at its typical frame, and ranks by J&F.
    """
    import matplotlib.pyplot as plt

    use_style()

    scores = [r for r in records if isinstance(r, Sample | VideoScore)]
    order = np.argsort([_value(s) for s in scores], kind="stable")
    names = {f"worst_{place:02}": k for place, k in enumerate(order[:CASES], 1)}
    names |= {f"best_{place:02}": k for place, k in enumerate(order[::-1][:CASES], 1)}
    with written_whole(folder, PICTURES, folder=True) as part:
        for name, k in tqdm(names.items(), "pictures", disable=bars_hidden()):
            clip, mask = _case(scores[k], int(k), dataset, masks)
            figure = show_prediction(clip, mask)
            figure.savefig(part / f"{name}_{clip.sample_id}.png", bbox_inches="tight")
            plt.close(figure)
    return len(names)


def _value(score: Sample | VideoScore) -> float:
    if isinstance(score, Sample):
        return score.intersection / score.union if score.union else 1.0
    return (score.J + score.F) / 2


def _case(score: Sample | VideoScore, k: int, dataset, masks: MaskReader) -> tuple[ReferringClip, np.ndarray]:
    """The clip and its predicted mask (H, W)."""
    if isinstance(score, Sample):
        clip = dataset[k]
        return clip, masks.sample(clip)[0]
    key = score.video_id, score.expression_id
    video = next(v for v in dataset.videos if (v.video_id, v.expression_id) == key)
    k = video.frames.index(score.typical_frame)
    frame = read_images([dataset.frame_paths(video)[k]])
    target, _ = dataset.read_target(video, k)
    number = int(video.frames[k])
    clip = ReferringClip(frame, 0, target, video.expression, video.video_id, number, video.expression_id)
    return clip, masks.frame_mask(dataset, video, k, target.shape)


def show_prediction(clip: ReferringClip, mask: np.ndarray) -> "Figure":
    """The sentence, the true mask, and a predicted one (H, W) with its IoU."""
    titles = "frame", "true mask", f"prediction: IoU {region_similarity(mask, clip.mask):.2f}"
    return film_strip([clip.frames[clip.current]] * 3, [None, clip.mask, mask], titles, sentence=clip.expression)
