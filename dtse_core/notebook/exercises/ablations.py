"""Checks of the exercises of notebook 11; each tells a likely slip by its own hint."""

import numpy as np

from .. import lesson


def check_exercise_11_1(fn):
    rng = np.random.default_rng(11)
    clips = rng.uniform(0.2, 0.9, (1, 50))
    ours, theirs = (clips + rng.normal(0, 0.05, (4, 50)) + rng.normal(0, 0.03, (4, 1)) for _ in range(2))
    d = (ours - theirs).mean(axis=1)
    mean, apart = d.mean(), np.sqrt(sum(x.mean(axis=1).var(ddof=1) for x in (ours, theirs)) / 4)
    slips = {
        "take the difference first: the two share clips and seeds": (mean, apart),
        "a spread from S numbers divides by S - 1": (mean, d.std() / 2),
        "that is the spread; a mean of S numbers moves sqrt(S) times less": (mean, d.std(ddof=1)),
        "the clips of one seed share its weights: average over clips first": (
            mean,
            (ours - theirs).std(ddof=1) / np.sqrt(200),
        ),
    }
    lesson.grade(fn(ours, theirs), (mean, d.std(ddof=1) / 2), slips)


def check_exercise_11_2(fn):
    cases = [(0.01, 0.2), (-0.3, -0.1), (-0.1, 0.4), (0.0, 0.2), (-0.2, 0.0)]
    answers = [fn(low, high) for low, high in cases]
    slips = {
        "an interval that begins or ends at zero does not exclude it": [1, -1, 0, 1, -1],
        "the middle of an interval decides nothing": [1, -1, 1, 1, -1],
        "an interval below zero decides, too: the variant is worse": [1, 0, 0, 0, 0],
    }
    lesson.grade(answers, [1, -1, 0, 0, 0], slips)
