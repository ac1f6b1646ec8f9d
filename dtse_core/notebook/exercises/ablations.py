"""Checks of the exercises of notebook 11; each tells a likely slip by its own hint."""

import numpy as np

from .. import lesson


def check_exercise_11_1(fn):
    rng = np.random.default_rng(11)
    clips = rng.uniform(0.2, 0.9, (1, 50))
    ours, theirs = (clips + rng.normal(0, 0.05, (4, 50)) + rng.normal(0, 0.03, (4, 1)) for _ in range(2))
    a, b = ours.mean(axis=1), theirs.mean(axis=1)
    mean, variance = a.mean() - b.mean(), a.var(ddof=1) + b.var(ddof=1)
    slips = {
        "a seed's number ties nothing: the errors of both models add up": (mean, (a - b).std(ddof=1) / 2),
        "a spread from S numbers divides by S - 1": (mean, np.sqrt((a.var() + b.var()) / 4)),
        "that is the spread; a mean of S numbers moves sqrt(S) times less": (mean, np.sqrt(variance)),
        "the clips of one seed share its weights: average over clips first": (
            mean,
            np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 200),
        ),
    }
    lesson.grade(fn(ours, theirs), (mean, np.sqrt(variance / 4)), slips)


def check_exercise_11_2(fn):
    cases = [(0.01, 0.2), (-0.3, -0.1), (-0.1, 0.4), (0.0, 0.2), (-0.2, 0.0)]
    answers = [fn(low, high) for low, high in cases]
    slips = {
        "an interval that begins or ends at zero does not exclude it": [1, -1, 0, 1, -1],
        "the middle of an interval decides nothing": [1, -1, 1, 1, -1],
        "an interval below zero decides, too: the variant is worse": [1, 0, 0, 0, 0],
    }
    lesson.grade(answers, [1, -1, 0, 0, 0], slips)
