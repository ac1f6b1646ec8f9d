"""Checks of the exercises of notebook 11; each tells a likely slip by its own hint."""

import numpy as np

from ..grading import grade


def check_exercise_11_1(fn):
    def difference(ours, theirs, paired=False, ddof=1, of_mean=True, by_seed=True):
        a, b = (x.mean(axis=1) if by_seed else x.ravel() for x in (ours, theirs))
        spread = (a - b).var(ddof=1) if paired else a.var(ddof=ddof) + b.var(ddof=ddof)
        return a.mean() - b.mean(), np.sqrt(spread / (len(a) if of_mean else 1))

    slips = {
        "a seed's number ties nothing: the errors of both models add up": {"paired": True},
        "a spread from S numbers divides by S - 1": {"ddof": 0},
        "that is the spread; a mean of S numbers moves sqrt(S) times less": {"of_mean": False},
        "the clips of one seed share its weights: average over clips first": {"by_seed": False},
    }
    rng = np.random.default_rng(11)

    def grown(S, clips):
        each = rng.uniform(0.2, 0.9, (1, clips))
        return tuple(each + rng.normal(0, 0.05, (S, clips)) + rng.normal(0, 0.03, (S, 1)) for _ in range(2))

    grade(fn, difference, [grown(4, 50), grown(3, 20), grown(6, 10)], slips)


def check_exercise_11_2(fn):
    def verdict(low, high, decide=lambda low, high: (low > 0) - (high < 0)):
        return int(decide(low, high))

    slips = {
        "an interval that begins or ends at zero does not exclude it": {
            "decide": lambda low, high: (low >= 0) - (high <= 0)
        },
        "the middle of an interval decides nothing": {"decide": lambda low, high: np.sign(low + high)},
        "an interval below zero decides, too: the variant is worse": {"decide": lambda low, high: low > 0},
    }
    cases = [(0.01, 0.2), (-0.3, -0.1), (-0.1, 0.4), (0.0, 0.2), (-0.2, 0.0)]
    grade(fn, verdict, cases, slips)
