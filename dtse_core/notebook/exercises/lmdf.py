"""Checks of the exercises of notebook 06; each tells a likely slip by its own hint."""

import numpy as np

from ..grading import grade


def check_exercise_06_1(fn):
    def reach(K, dilations, steps=lambda K: K - 1, first=1, rates=max):
        return rates(dilations) * steps(K) + first

    slips = {
        "K taps span K - 1 steps, not K": {"steps": lambda K: K},
        "each tap is one position: add the first one": {"first": 0},
        "they act side by side, not one after the other": {"rates": sum},
        "that is the smallest rate": {"rates": min},
    }
    grade(fn, reach, [(3, (1, 3, 5)), (5, (1, 2)), (3, (1,))], slips)


def check_exercise_06_2(fn):
    def put_back(dy, dx, sign=1, rows_first=True):
        i, j = 1 + sign * dy, 1 + sign * dx
        return np.eye(9)[3 * i + j if rows_first else 3 * j + i]

    slips = {
        "that moves it on: fetch from where it went": {"sign": -1},
        "rows come first: dy counts in threes": {"rows_first": False},
    }
    grade(fn, put_back, [(0, 1), (1, 0), (-1, 1), (0, 0)], slips)


def check_exercise_06_3(fn):
    def what_changed(G, sign=1, to=(1, 1), order=(0, 1, 2)):
        before, now, after = G
        found = now, sign * (before - G[to[0]]), sign * (after - G[to[1]])
        return np.stack([found[k] for k in order])

    slips = {
        "reference minus current, not the other way": {"sign": -1},
        "both differences are to the current frame": {"to": (1, 0)},
        "the current frame comes first": {"order": (1, 0, 2)},
    }
    rng = np.random.default_rng(0)
    grade(fn, what_changed, [(rng.random((3, *size)),) for size in ((4, 5), (2, 3), (6, 1, 2))], slips)
