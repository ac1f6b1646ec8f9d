"""Checks of the exercises of notebook 11; each tells a likely slip by its own hint."""

import numpy as np

from ..grading import grade


def check_exercise_11_1(fn):
    def corrected(p, step=1, keep=True, most=1.0, home=np.argsort):
        order = np.argsort(p)
        raised = p[order] * (len(p) - step * np.arange(len(p)))
        raised = np.minimum(np.maximum.accumulate(raised) if keep else raised, most)
        return raised[home(order)]

    slips = {
        "that multiplies all by n, which is Bonferroni's correction: the next takes n - 1": {"step": 0},
        "no value may fall below that of a smaller p: keep the largest so far": {"keep": False},
        "no p value is above 1": {"most": np.inf},
        "give them back in the order of p, not sorted": {"home": lambda order: slice(None)},
        "indexing with argsort(p) sorts; it does not undo the sorting": {"home": lambda order: order},
    }
    cases = [(np.array(p),) for p in ([0.04, 0.01, 0.03], [0.2, 0.6, 0.001, 0.012, 0.011], [0.9, 0.02, 0.8, 0.021])]
    return grade(fn, corrected, cases, slips)


def check_exercise_11_2(fn):
    def decide(low, high, margin, first=True, ends=0.0, both=True, sides=("higher", "lower")):
        within = -margin - ends <= low and high <= margin + ends if both else abs(low + high) / 2 <= margin
        words = [sides[0]] * (low > 0) + [sides[1]] * (high < 0)
        alike = ["equivalent"] * within
        return [*(alike + words if first else words + alike), "undecided"][0]

    slips = {
        "within the margin comes first: a tiny difference may exclude zero": {"first": False},
        "the ends of the margin belong to it": {"ends": -1e-6},
        "the whole interval must lie within the margin, not its middle alone": {"both": False},
        "above zero the variant scores higher": {"sides": ("lower", "higher")},
    }
    cases = [
        (-0.01, 0.02, 0.03),
        (0.005, 0.02, 0.03),
        (0.01, 0.2, 0.05),
        (-0.3, -0.1, 0.05),
        (-0.1, 0.12, 0.05),
        (-0.05, 0.05, 0.05),
    ]
    return grade(fn, decide, cases, slips)
