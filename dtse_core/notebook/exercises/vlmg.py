"""Checks of the exercises of notebook 04; each tells a likely slip by its own hint."""

import torch

from ..grading import grade


def check_exercise_04_1(fn):
    def weights(scores, word_mask, score=lambda s, m: s.masked_fill(m == 0, float("-inf")), axis=-1, times=False):
        return score(scores, word_mask).softmax(axis) * (word_mask if times else 1)

    slips = {
        "padding still gets weight; use the mask": {"score": lambda s, m: s},
        "mask before the softmax: these rows sum to less than 1": {"score": lambda s, m: s, "times": True},
        "a score of 0 is a score like any other; use minus infinity": {"score": lambda s, m: s * m},
        "that is a softmax over pixels; words are the last axis": {"score": lambda s, m: s, "axis": 0, "times": True},
    }
    g = torch.Generator().manual_seed(4)
    cases = [
        (torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]]), torch.tensor([1, 1, 0])),
        (torch.randn(5, 4, generator=g), torch.tensor([1, 1, 0, 0])),
        (torch.randn(2, 6, generator=g), torch.tensor([1, 1, 1, 1, 1, 0])),
    ]
    grade(fn, weights, cases, slips)


def check_exercise_04_2(fn):
    def look(word, regions, power=0.5, mix=True, even=False):
        weights = (regions @ word / len(word) ** power * (not even)).softmax(0)
        return weights @ regions if mix else weights

    slips = {
        "divide the scores by sqrt(d)": {"power": 0},
        "divide by the square root of d, not by d": {"power": 1},
        "those are the weights; mix the regions by them": {"mix": False},
        "every region counts alike here; where is the word?": {"even": True},
    }
    g = torch.Generator().manual_seed(4)
    cases = [(torch.randn(d, generator=g), torch.randn(M, d, generator=g)) for d, M in ((4, 6), (9, 3), (2, 5))]
    grade(fn, look, cases, slips)


def check_exercise_04_3(fn):
    def entries(H, W, N, bins, cells=lambda bins, H, W: sum(k * k for k in bins), words=True, regions=True):
        return H * W * (N * words + cells(bins, H, W) * regions)

    slips = {
        "a grid of k x k has k * k cells, not k": {"cells": lambda bins, H, W: sum(bins)},
        "that lets pixels read pixels; A reads regions": {"cells": lambda bins, H, W: H * W},
        "that is A alone; add the words": {"words": False},
        "that is a alone; add the regions": {"regions": False},
    }
    grade(fn, entries, [(20, 40, 12, (1, 2, 4)), (8, 12, 5, (1, 3)), (10, 10, 9, (1, 3, 6, 8))], slips)
