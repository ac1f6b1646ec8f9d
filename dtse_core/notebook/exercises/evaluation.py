"""Checks of the exercises of notebook 09; each tells a likely slip by its own hint."""

import numpy as np

from ..grading import grade


def check_exercise_09_1(fn):
    def mean_j(videos, by_video=False):
        parts = [sum(v) / len(v) for v in videos] if by_video else [j for v in videos for j in v]
        return sum(parts) / len(parts)

    slips = {"that is the mean over videos; let each object count": {"by_video": True}}
    grade(fn, mean_j, [([[0.2], [0.8, 0.8, 0.8]],), ([[0.5, 0.1], [0.9]],), ([[1.0, 0.0, 0.5], [0.3], [0.4]],)], slips)


def check_exercise_09_2(fn):
    def merge(probabilities, floor=True, first=1, reached=lambda p: p >= 0.5):
        best = probabilities.argmax(0) + first
        return np.where(reached(probabilities.max(0)), best, 0) if floor else best

    slips = {
        "the background is missing: it stands before the first sentence": {"floor": False, "first": 0},
        "a pixel where no sentence reaches 0.5 is background": {"floor": False},
        "0.5 itself is not below 0.5": {"reached": lambda p: p > 0.5},
    }
    pixels = [(0.7, 0.6), (0.49, 0.3), (0.5, 0.2), (0.6, 0.6), (0.05, 0.9)]
    rng = np.random.default_rng(9)
    others = [(rng.random((S, 3, 4)).round(1),) for S in (3, 1)]
    grade(fn, merge, [(np.array(pixels).T[:, None],), *others], slips)
