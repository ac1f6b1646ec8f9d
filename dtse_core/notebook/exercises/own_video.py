"""Checks of the exercises of notebook 12; each tells a likely slip by its own hint."""

import numpy as np

from ..grading import grade


def check_exercise_12_1(fn):
    def steadiness(masks, empty=1.0, before=lambda t: t - 1, parts=-1):
        def iou(a, b):
            union = (a | b).sum()
            return (a & b).sum() / union if union else empty

        return sum(iou(masks[before(t)], masks[t]) for t in range(1, len(masks))) / (len(masks) + parts)

    slips = {
        "two empty masks agree: their IoU is 1": {"empty": 0.0},
        "compare neighbors in time, not each frame with the first": {"before": lambda t: 0},
        "there is one pair less than there are frames": {"parts": 0},
    }
    masks = np.zeros((5, 1, 4), bool)
    masks[0, 0, :2] = masks[1, 0, 1:3] = masks[2, 0, 1:4] = True
    rng = np.random.default_rng(12)
    grade(fn, steadiness, [(masks,), (rng.random((3, 4, 5)) < 0.5,), (rng.random((7, 2, 6)) < 0.7,)], slips)


def check_exercise_12_2(fn):
    def thinned(count, most, slack=0, spread=True, first=0):
        kept, every = [], 1
        for t in range(count):
            if t % every == 0:
                kept.append(t)
                if len(kept) > most + slack:
                    kept, every = kept[first::2], 2 * every if spread else 1
        return kept

    slips = {
        "too many: drop as soon as more than `most` are held": {"slack": 2},
        "too few: `most` frames may be held": {"slack": -1},
        "after dropping, new frames must be as far apart as the old": {"spread": False},
        "the first frame stays: drop the second, fourth ...": {"first": 1},
    }
    grade(fn, thinned, [(12, 4), (3, 3), (30, 5)], slips)
