"""Checks of the exercises of notebook 06; each tells a likely slip by its own hint."""

import numpy as np

from .. import lesson


def check_exercise_06_1(fn):
    cases = [(3, (1, 3, 5)), (5, (1, 2)), (3, (1,))]
    answer = [fn(K, dilations) for K, dilations in cases]
    slips = {
        "K taps span K - 1 steps, not K": [16, 11, 4],
        "each tap is one position: add the first one": [10, 8, 2],
        "they act side by side, not one after the other": [19, 13, 3],
        "that is the smallest rate": [3, 5, 3],
    }
    lesson.grade(answer, [11, 9, 3], slips)


def check_exercise_06_2(fn):
    cases = [(0, 1), (1, 0), (-1, 1), (0, 0)]
    answer = [fn(dy, dx) for dy, dx in cases]

    def weights(place):
        return np.array([np.eye(9)[place(dy, dx)] for dy, dx in cases])

    slips = {
        "that moves it on: fetch from where it went": weights(lambda dy, dx: 3 * (1 - dy) + 1 - dx),
        "rows come first: dy counts in threes": weights(lambda dy, dx: 3 * (1 + dx) + 1 + dy),
    }
    lesson.grade(answer, weights(lambda dy, dx: 3 * (1 + dy) + 1 + dx), slips)


def check_exercise_06_3(fn):
    G = np.random.default_rng(0).random((3, 4, 5))
    before, now, after = G
    slips = {
        "reference minus current, not the other way": np.stack([now, now - before, now - after]),
        "both differences are to the current frame": np.stack([now, before - now, after - before]),
        "the current frame comes first": np.stack([before - now, now, after - now]),
    }
    lesson.grade(fn(G), np.stack([now, before - now, after - now]), slips)
