"""Checks of the exercises of notebook 04; each tells a likely slip by its own hint."""

import torch

from .. import lesson


def check_exercise_04_1(fn):
    scores = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]])
    mask = torch.tensor([1, 1, 0])
    hidden = scores.masked_fill(mask == 0, float("-inf"))
    slips = {
        "padding still gets weight; use the mask": scores.softmax(-1),
        "mask before the softmax: these rows sum to less than 1": scores.softmax(-1) * mask,
        "a score of 0 is a score like any other; use minus infinity": (scores * mask).softmax(-1),
        "that is a softmax over pixels; words are the last axis": scores.softmax(0) * mask,
    }
    lesson.grade(fn(scores, mask), hidden.softmax(-1), slips)


def check_exercise_04_2(fn):
    g = torch.Generator().manual_seed(4)
    word = torch.randn(4, generator=g)
    regions = torch.randn(6, 4, generator=g)
    scores = regions @ word
    slips = {
        "divide the scores by sqrt(d)": scores.softmax(0) @ regions,
        "divide by the square root of d, not by d": (scores / 4).softmax(0) @ regions,
        "those are the weights; mix the regions by them": (scores / 2).softmax(0),
        "every region counts alike here; where is the word?": regions.mean(0),
    }
    lesson.grade(fn(word, regions), (scores / 2).softmax(0) @ regions, slips)


def check_exercise_04_3(fn):
    slips = {
        "a grid of k x k has k * k cells, not k": 800 * (12 + 7),
        "that lets pixels read pixels; A reads regions": 800 * (12 + 800),
        "that is A alone; add the words": 800 * 21,
        "that is a alone; add the regions": 800 * 12,
    }
    lesson.grade(fn(20, 40, 12, (1, 2, 4)), 800 * (12 + 21), slips)
