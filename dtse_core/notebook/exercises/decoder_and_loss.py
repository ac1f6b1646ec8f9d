"""Checks of the exercises of notebook 07; each tells a likely slip by its own hint."""

import math

import numpy as np

from .. import lesson


def check_exercise_07_1(fn):
    cases = [(0.0, 1), (2.0, 0), (-1.0, 1), (1.5, 1), (-1000.0, 1)]

    def table(f):
        return [f(z, t) for z, t in cases]

    def soft(x):
        return float(np.logaddexp(0, x))

    def answer(z, t):
        try:
            return fn(z, t)
        except (OverflowError, ValueError):  # of math.exp and math.log
            return math.inf

    right = table(lambda z, t: soft(-z if t else z))
    slips = {
        "the sign: the truth makes a high logit cheap": table(lambda z, t: soft(z if t else -z)),
        "the natural logarithm, please": [cost / math.log(2) for cost in right],
        "a logit is not a probability: apply sigmoid first": table(lambda z, t: (z - t) ** 2),
        "for z = -1000 it overflows: log(1 + e^x) is x for large x": [*right[:-1], math.inf],
    }
    lesson.grade(table(answer), right, slips)


def check_exercise_07_2(fn):
    slips = {
        "that repeats each number; mix neighbors": [0, 0, 4, 4, 8, 8],
        "the middles lie at quarters, not at halves": [0, 2, 4, 6, 8, 8],
        "that stretches corner to corner": [0, 1.6, 3.2, 4.8, 6.4, 8],
    }
    lesson.grade(fn([0, 4, 8]), [0, 1, 3, 5, 7, 8], slips)


def check_exercise_07_3(fn):
    p, t = np.array([0.9, 0.4, 0.0, 0.2]), np.array([1.0, 1, 0, 0])
    hit, areas = (p * t).sum(), p.sum() + t.sum()
    slips = {
        "that is dice itself; a loss falls": (2 * hit + 1) / (areas + 1),
        "the overlap counts twice": 1 - (hit + 1) / (areas + 1),
        "add one pixel above and below": 1 - 2 * hit / areas,
        "areas are added, that is the union": 1 - (hit + 1) / (areas - hit + 1),
    }
    lesson.grade(fn(p, t), 1 - (2 * hit + 1) / (areas + 1), slips)
