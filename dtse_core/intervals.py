"""How far a measured number would move with other videos: bootstrap intervals."""

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    values, videos: Sequence[str], samples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Ends of the percentile bootstrap interval of a mean or of a ratio of sums.

    Whole videos are drawn with replacement, as many as there are: the sentences and frames of one video are not
    independent. `values` (N,) are averaged: IoUs, hits of P@K as 0 and 1, J or F of objects. `values` (N, 2) are
    counts as `overlap` makes them, of which all first are divided by all second: overall IoU, 1 where nothing is
    in either. `videos` names the video of each value. With one video both ends are the number itself.
    Raises `ValueError` for no values and for lengths that differ.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values) or len(videos) != len(values) or values.shape[1:] not in ((), (2,)):
        raise ValueError(
            f"expected values (N,) or (N, 2) with a video for each; found {values.shape} and {len(videos)} videos"
        )
    if values.ndim == 1:
        values = np.stack([values, np.ones_like(values)], axis=1)
    names, place = np.unique(np.asarray(videos), return_inverse=True)
    sums = np.zeros((len(names), 2))
    np.add.at(sums, place, values)
    drawn = np.random.default_rng(seed).integers(len(names), size=(samples, len(names)))
    above, below = np.moveaxis(sums[drawn].sum(axis=1), -1, 0)  # (samples,) each
    results = np.where(below > 0, above / np.where(below > 0, below, 1), 1.0)
    low, high = np.quantile(results, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
