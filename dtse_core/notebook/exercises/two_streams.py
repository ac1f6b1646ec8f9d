"""Checks of the exercises of notebook 03; each tells a likely slip by its own hint."""

import torch

from .. import lesson


def check_exercise_03_1(fn):
    slips = {
        "halves are rounded up: a border pixel is padded, not lost": [25, 12, 6, 6],
        "Res5 keeps stride 1, so its map is as large as Res4's": [25, 13, 7, 4],
        "the stem alone has stride 4, before Res2": [50, 25, 13, 13],
    }
    lesson.grade(fn(100), [25, 13, 7, 7], slips)


def check_exercise_03_2(fn):
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])

    def weights(extra):
        return (torch.zeros(2, 2, 3, 3) + extra).softmax(-1)

    low = torch.zeros(2, 3).masked_fill(mask == 0, -1e9)
    slips = {
        "that hides the words and shows the padding": weights(
            torch.zeros(2, 3).masked_fill(mask == 1, -1e9)[:, None, None]
        ),
        "that adds 1 to words; padding needs a hugely negative score": weights(mask[:, None, None]),
        "keys are the last axis: put the new axes before it": weights(low[:, None, :, None]),
    }
    answer = fn(mask)
    answer = None if answer is None else weights(answer)
    lesson.grade(answer, weights(low[:, None, None]), slips)


def check_exercise_03_3(fn):
    slips = {
        "the spare layers go to the earlier groups, one each": [(0, 2), (2, 4), (4, 8)],
        "stop is the first layer that is no longer run": [(0, 2), (3, 5), (6, 7)],
        "some layers are never run": [(0, 2), (2, 4), (4, 6)],
    }
    lesson.grade(fn(8, 3), [(0, 3), (3, 6), (6, 8)], slips)
