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
        "twice the intersection: the 2 is missing": {"value": lambda i, u: i / (i + u)},
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

    def outline_f(mask, target, r, edge=contour, widen=dilate, own=0, wide=0, crossed=0, mean=harmonic, empty=1.0):
        a, b = edge(mask), edge(target)
        if not (a.any() and b.any()):
            return empty * (a.any() == b.any())
        near = [widen(m, r) for m in ((a, b) if own else (b, a))]
        a, b = (widen(a, r), widen(b, r)) if wide else (a, b)
        sizes = (b.sum(), a.sum()) if crossed else (a.sum(), b.sum())
        return float(mean((a & near[0]).sum() / sizes[0], (b & near[1]).sum() / sizes[1]))

    slips = {
        "widen the other outline by r": {"widen": lambda m, r: m},
        "that is of the masks' pixels; F is of their outlines": {"edge": np.copy, "widen": lambda m, r: m},
        "call `contour` on both masks first: that widens the masks": {"edge": np.copy},
        "two empty outlines agree: F is 1": {"empty": 0.0},
        "F is twice the product over the sum": {"mean": lambda p, q: harmonic(p, q, 1)},
        "widen outlines, not masks: everything inside would count": {"widen": lambda m, r: dilate(filled(m), r)},
        "each outline lies near itself; widen the other one": {"own": 1},
        "count pixels of the outlines as they are; widen only what they are compared with": {"wide": 1},
        "divide by the length of the outline whose pixels you count": {"crossed": 1},
        "that is the mean of precision and recall; F is their harmonic mean": {"mean": lambda p, q: (p + q) / 2},
        "that is precision alone": {"mean": lambda p, q: p},
        "that is recall alone": {"mean": lambda p, q: q},
    }
    square, half, small = np.zeros((3, 16, 16), bool)
    square[4:8, 4:8] = half[4:8, 4:6] = small[10:12, 5:9] = True
    cases = [(np.roll(square, 2, 1), square, 1), (half, square, 0), (small, square, 4), (small & half, small & half, 1)]
    return grade(fn, outline_f, [*cases, (small, square, 1)], slips)


def filled(outline):
    """The box around an outline."""
    rows, columns = np.nonzero(outline)
    box = np.zeros_like(outline)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    return box
