"""Checks of the exercises of notebook 06; each tells a likely slip by its own hint."""

import numpy as np
import torch

from ..grading import grade


def check_exercise_06_1(fn):
    def weights(dy, dx, sign=1, twist=1, rows_first=True):
        w = np.zeros((3, 3, 3))
        for channel, step in ((1, -sign), (2, sign * twist)):
            place = 1 + step * dy, 1 + step * dx
            w[(channel, *(place if rows_first else place[::-1]))] = 1
        return w

    slips = {
        "that is a dot that moves the other way: before, it was at (-dy, -dx)": {"sign": -1},
        "both weights read the same neighbor; after the frame it is on the other side": {"twist": -1},
        "rows come first: dy counts along the second axis": {"rows_first": False},
    }
    return grade(fn, weights, [(0, 1), (1, 0), (-1, 1), (0, -1)], slips)


def check_exercise_06_2(fn):
    def flat(k, over=(3, 4), like=True):
        mean = k.mean(over, keepdim=True)
        return mean.expand_as(k).clone() if like else mean

    slips = {
        "the mean is over positions alone; clips and channels keep their own filters": {"over": (0, 1, 3, 4)},
        "the mean is over positions, the last two axes, not over the weights of a filter": {"over": (2,)},
        "every position needs its copy: expand the mean to the shape of k": {"like": False},
    }
    gen = torch.Generator().manual_seed(0)
    sizes = ((1, 1, 9, 2, 3), (2, 3, 9, 4, 5), (2, 1, 25, 3, 3))
    return grade(fn, flat, [(torch.randn(size, generator=gen),) for size in sizes], slips)


def check_exercise_06_3(fn):
    def unordered(G_refs, times=None, one=False):
        mean = sum(G_refs) / (times or len(G_refs))
        return [mean] if one else [mean] * len(G_refs)

    slips = {
        "the list is as long as the one given: repeat the mean": {"one": True},
        "that is the sum, not the mean": {"times": 1},
    }
    gen = torch.Generator().manual_seed(0)
    sizes = ((2, (1, 1, 1, 2)), (3, (2, 3, 4, 5)), (4, (1, 2, 3, 3)))
    return grade(fn, unordered, [([torch.randn(s, generator=gen) for _ in range(n)],) for n, s in sizes], slips)
