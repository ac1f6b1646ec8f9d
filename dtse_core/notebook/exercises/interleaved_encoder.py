"""Checks of the exercises of notebook 05; each tells a likely slip by its own hint."""

import torch

from .. import lesson


def check_exercise_05_1(fn):
    slips = {
        "later stages run on what VLMG returned, so they differ too": [3],
        "a stage's features are those after its VLMG": [4, 5],
        "stages before the first insertion have not heard the word": [2, 3, 4, 5],
    }
    lesson.grade(fn((3,)), [3, 4, 5], slips)


def check_exercise_05_2(fn):
    L = torch.arange(12.0).view(2, 3, 2) + 1
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    total = (L * mask[..., None]).sum(1)
    slips = {
        "that counts padding as words": L.mean(1),
        "divide by the number of real words, not by N": total / 3,
        "that is the sum; divide by the number of real words": total,
        "that is a mean over channels; words are axis 1": L.mean(2),
    }
    expected = total / mask.sum(1, keepdim=True)
    lesson.grade(fn(L, mask), expected, slips)


def check_exercise_05_3(fn):
    slips = {
        "Res3 has heard no sentence yet, group 1 has seen no frame": (40, 40, 40),
        "Res4 runs on what VLMG returned: per frame and sentence": (10, 4, 10),
        "Res3 depends on the frame alone, group 1 on the sentence": (4, 10, 40),
    }
    lesson.grade(fn(10, 4), (10, 4, 40), slips)
