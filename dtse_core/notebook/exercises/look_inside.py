"""Checks of the exercises of notebook 10; each tells a likely slip by its own hint."""

import numpy as np

from ..grading import grade


def check_exercise_10_1(fn):
    def ratio(a, share, per_area=True, turned=False, halves=True):
        weight = share if halves else (share > 0.5) * 1.0
        into, out = (a * weight).sum(), (a * (1 - weight)).sum()
        found = (into / weight.sum()) / (out / (1 - weight).sum()) if per_area else into / out
        return 1 / found if turned else found

    slips = {
        "sums grow with the area: divide by it": {"per_area": False},
        "outside over inside, it should be the other way": {"turned": True},
        "a place half covered counts half on each side": {"halves": False},
    }
    rng = np.random.default_rng(0)
    grade(fn, ratio, [(rng.random(size), rng.random(size) ** 3) for size in ((4, 6), (3, 3), (5, 8))], slips)


def check_exercise_10_2(fn):
    def precision_recall(mask, truth, over=lambda mask, truth: (mask.sum(), truth.sum())):
        both = (mask & truth).sum()
        return tuple(both / size for size in over(mask, truth))

    slips = {
        "precision divides by the mask, recall by the target": {"over": lambda m, t: (t.sum(), m.sum())},
        "that divides by the union: it is the IoU": {"over": lambda m, t: ((m | t).sum(),) * 2},
        "that divides by the whole frame": {"over": lambda m, t: (m.size, m.size)},
    }
    mask, truth = np.zeros((2, 6, 8), bool)
    mask[1:5, 1:6], truth[2:6, 3:5] = True, True
    rng = np.random.default_rng(10)
    others = [(rng.random((5, 7)) < 0.4, rng.random((5, 7)) < 0.7) for _ in range(2)]
    grade(fn, precision_recall, [(mask, truth), *others], slips)
