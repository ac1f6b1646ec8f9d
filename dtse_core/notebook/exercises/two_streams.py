"""Checks of the exercises of notebook 03; each tells a likely slip by its own hint."""

import torch

from ..grading import grade


def check_exercise_03_1(fn):
    def sizes(side, strides=(4, 8, 16, 16), up=True):
        return [-(-side // s) if up else side // s for s in strides]

    slips = {
        "halves are rounded up: a border pixel is padded, not lost": {"up": False},
        "Res5 keeps stride 1, so its map is as large as Res4's": {"strides": (4, 8, 16, 32)},
        "the stem alone has stride 4, before Res2": {"strides": (2, 4, 8, 8)},
    }
    grade(fn, sizes, [(100,), (37,), (250,)], slips)


def check_exercise_03_2(fn):
    low = -1e9

    def weights(word_mask, added=lambda m: (m == 0) * low, last=True):
        extra = added(word_mask)[:, None, None] if last else added(word_mask)[:, None, :, None]
        return attention(word_mask, extra)

    def attention(word_mask, extra):  # of scores that are all 0: (B, 2, N, N)
        B, N = word_mask.shape
        return (torch.zeros(B, 2, N, N) + extra).softmax(-1)

    def given(word_mask):
        answer = fn(word_mask)
        return None if answer is None else attention(word_mask, answer)

    slips = {
        "that hides the words and shows the padding": {"added": lambda m: m * low},
        "that adds 1 to words; padding needs a hugely negative score": {"added": lambda m: m},
        "keys are the last axis: put the new axes before it": {"last": False},
    }
    masks = [[1, 1, 0], [1, 0, 0]], [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], [[1, 1, 1, 1, 0]]
    grade(given, weights, [(torch.tensor(mask),) for mask in masks], slips)


def check_exercise_03_3(fn):
    def groups(depth, insertions, early=True, inclusive=False, rest=True):
        size, spare = divmod(depth, insertions)
        sizes = [size + (k < spare if early else spare * (k == insertions - 1)) * rest for k in range(insertions)]
        ends = [sum(sizes[: k + 1]) for k in range(insertions)]
        return [(end - n, end - inclusive) for end, n in zip(ends, sizes, strict=True)]

    slips = {
        "the spare layers go to the earlier groups, one each": {"early": False},
        "stop is the first layer that is no longer run": {"inclusive": True},
        "some layers are never run": {"rest": False},
    }
    grade(fn, groups, [(8, 3), (12, 3), (11, 4)], slips)
