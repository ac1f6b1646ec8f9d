"""Checks of the exercises of notebook 09; each tells a likely slip by its own hint."""

import numpy as np

from ...metrics import contour, dilate
from ..grading import grade


def check_exercise_09_1(fn):
    def mean_dice(counts, value=lambda i, u: 2 * i / (i + u), empty=1.0, by_sample=True):
        parts = [value(i, u) if u else empty for i, u in counts]
        return sum(parts) / len(parts) if by_sample else float(value(*counts.sum(0)))

    slips = {
        "that is the IoU": {"value": lambda i, u: i / u},
        "two empty masks agree: their Dice is 1": {"empty": 0.0},
        "average over samples; the sums are those of one large sample": {"by_sample": False},
        "Dice divides by I + U, not by 2 U": {"value": lambda i, u: i / (2 * u)},
        "Dice divides by I + U, not by U": {"value": lambda i, u: 2 * i / u},
    }
    cases = [([[8, 8], [6, 10], [4, 8], [0, 8]],), ([[3, 4], [0, 0]],), ([[0, 5], [7, 9], [1, 2]],)]
    return grade(fn, mean_dice, [(np.array(counts),) for (counts,) in cases], slips)


def check_exercise_09_2(fn):
    def harmonic(p, q, factor=2):
        return factor * p * q / (p + q) if p + q else 0.0

    def outline_f(mask, target, r, edge=contour, grown=True, widen=dilate, mean=harmonic, empty=1.0):
        a, b = edge(mask), edge(target)
        if not (a.any() and b.any()):
            return empty * (a.any() == b.any())
        wide = [widen(m, r) if grown else m for m in (a, b)]
        return float(mean((a & wide[1]).sum() / a.sum(), (b & wide[0]).sum() / b.sum()))

    slips = {
        "widen the other outline by r": {"grown": False},
        "that is of the masks' pixels; F is of their outlines": {"edge": np.copy, "grown": False},
        "two empty outlines agree: F is 1": {"empty": 0.0},
        "F is twice the product over the sum": {"mean": lambda p, q: harmonic(p, q, 1)},
        "widen outlines, not masks: everything inside would count": {"widen": lambda m, r: dilate(filled(m), r)},
        "that is the mean of precision and recall; F is their harmonic mean": {"mean": lambda p, q: (p + q) / 2},
        "that is precision alone": {"mean": lambda p, q: p},
        "that is recall alone": {"mean": lambda p, q: q},
    }
    square, half, small = np.zeros((3, 16, 16), bool)
    square[4:8, 4:8] = half[4:8, 4:6] = small[10:12, 5:9] = True
    cases = [(np.roll(square, 2, 1), square, 1), (half, square, 0), (small, square, 3), (small & half, small & half, 1)]
    return grade(fn, outline_f, cases, slips)


def filled(outline):
    """The box around an outline."""
    rows, columns = np.nonzero(outline)
    box = np.zeros_like(outline)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    return box
