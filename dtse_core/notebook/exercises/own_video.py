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
    return grade(fn, steadiness, [(masks,), (rng.random((3, 4, 5)) < 0.5,), (rng.random((7, 2, 6)) < 0.7,)], slips)


def check_exercise_12_2(fn):
    def smoothed(p, before=1, after=2, own=True, divide=lambda some: len(some), axis=0):
        def near(p):
            spans = [range(max(t - before, 0), min(t + after, len(p))) for t in range(len(p))]
            some = [[p[k] for k in span if own or k != t] for t, span in enumerate(spans)]
            return np.stack([np.sum(frames, axis=0) / divide(frames) if frames else 0 * p[0] for frames in some])

        return np.moveaxis(near(np.moveaxis(p, axis, 0)), 0, axis)

    slips = {
        "divide by the number of frames that there are; at both ends it is two": {"divide": lambda some: 3},
        "the frame itself counts, too": {"own": False},
        "the frame after it counts, too": {"after": 1},
        "the frame before it counts, too": {"before": 0},
        "that is the sum; take the mean": {"divide": lambda some: 1},
        "time is the first axis": {"axis": 1},
    }
    rng = np.random.default_rng(12)
    sizes = (4, 1, 2), (3, 2, 3), (1, 2, 2), (6, 3, 3)
    return grade(fn, smoothed, [(rng.random(size).round(1),) for size in sizes], slips)
