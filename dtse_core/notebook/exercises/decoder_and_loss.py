"""Checks of the exercises of notebook 07; each tells a likely slip by its own hint."""

import math

import numpy as np

from ..grading import grade


def check_exercise_07_1(fn):
    def cost(z, truth, sign=-1, base=math.e, cost_of=None, stable=True):
        x = sign * z if truth else -sign * z
        if cost_of is not None:
            return cost_of(z, truth)
        return (float(np.logaddexp(0, x)) if stable else math.log(1 + math.exp(x))) / math.log(base)

    slips = {
        "the sign: the truth makes a high logit cheap": {"sign": 1},
        "the natural logarithm, please": {"base": 2},
        "a logit is not a probability: apply sigmoid first": {"cost_of": lambda z, truth: (z - truth) ** 2},
        "for z = -1000 it overflows: log(1 + e^x) is x for large x": {"stable": False},
    }
    grade(fn, cost, [(2.0, 0), (0.0, 1), (-1.0, 1), (1.5, 1), (-1000.0, 1)], slips)


def check_exercise_07_2(fn):
    def double(row, places=lambda n: (np.arange(2 * n) + 0.5) / 2 - 0.5):
        return np.interp(places(len(row)), np.arange(len(row)), row)

    slips = {
        "that repeats each number; mix neighbors": {"places": lambda n: np.arange(2 * n) // 2},
        "the middles lie at quarters, not at halves": {"places": lambda n: np.arange(2 * n) / 2},
        "that stretches corner to corner": {"places": lambda n: np.linspace(0, n - 1, 2 * n)},
    }
    grade(fn, double, [([0, 4, 8],), ([2.0, 6.0],), ([1.0, 0.0, 3.0, 5.0],)], slips)


def check_exercise_07_3(fn):
    def dice(p, t, loss=True, twice=2, extra=1, union=False):
        hit, areas = (p * t).sum(), p.sum() + t.sum()
        score = (twice * hit + extra) / (areas - hit * union + extra)
        return 1 - score if loss else score

    slips = {
        "that is dice itself; a loss falls": {"loss": False},
        "the overlap counts twice": {"twice": 1},
        "add one pixel above and below": {"extra": 0},
        "areas are added, that is the union": {"twice": 1, "union": True},
    }
    rng = np.random.default_rng(7)
    cases = [(np.array([0.9, 0.4, 0.0, 0.2]), np.array([1.0, 1, 0, 0]))]
    cases += [(rng.random(size), (rng.random(size) > 0.5) * 1.0) for size in ((3, 5), (8,))]
    grade(fn, dice, cases, slips)
