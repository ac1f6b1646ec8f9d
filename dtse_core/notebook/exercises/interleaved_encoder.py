"""Checks of the exercises of notebook 05; each tells a likely slip by its own hint."""

import torch

from ..grading import grade


def check_exercise_05_1(fn):
    def differ(vlmg_stages, which=lambda k, stages: k >= min(stages)):
        return [k for k in (2, 3, 4, 5) if which(k, vlmg_stages)]

    slips = {
        "later stages run on what VLMG returned, so they differ too": {"which": lambda k, stages: k in stages},
        "a stage's features are those after its VLMG": {"which": lambda k, stages: k > min(stages)},
        "stages before the first insertion have not heard the word": {"which": lambda k, stages: True},
    }
    grade(fn, differ, [((3,),), ((4, 5),), ((3, 5),), ((5,),)], slips)


def check_exercise_05_2(fn):
    def sentence_vector(L, word_mask, masked=True, divide=lambda L, mask: mask.sum(1, keepdim=True), axis=1):
        total = (L * word_mask[..., None] if masked else L).sum(axis)
        return total / divide(L, word_mask)

    slips = {
        "that counts padding as words": {"masked": False, "divide": lambda L, mask: L.shape[1]},
        "divide by the number of real words, not by N": {"divide": lambda L, mask: L.shape[1]},
        "that is the sum; divide by the number of real words": {"divide": lambda L, mask: 1},
        "that is a mean over channels; words are axis 1": {
            "axis": 2,
            "masked": False,
            "divide": lambda L, mask: L.shape[2],
        },
    }
    g = torch.Generator().manual_seed(5)
    cases = [
        (torch.arange(12.0).view(2, 3, 2) + 1, torch.tensor([[1, 1, 1], [1, 1, 0]])),
        (torch.randn(3, 4, 5, generator=g), torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]])),
        (torch.randn(1, 6, 3, generator=g), torch.tensor([[1, 1, 1, 0, 0, 0]])),
    ]
    grade(fn, sentence_vector, cases, slips)


def check_exercise_05_3(fn):
    def runs(T, S, Res3=lambda T, S: T, group1=lambda T, S: S, Res4=lambda T, S: T * S):
        return Res3(T, S), group1(T, S), Res4(T, S)

    both = {"Res3": lambda T, S: T * S, "group1": lambda T, S: T * S}
    slips = {
        "Res3 has heard no sentence yet, group 1 has seen no frame": both,
        "Res4 runs on what VLMG returned: per frame and sentence": {"Res4": lambda T, S: T},
        "Res3 depends on the frame alone, group 1 on the sentence": {
            "Res3": lambda T, S: S,
            "group1": lambda T, S: T,
        },
    }
    grade(fn, runs, [(10, 4), (3, 7), (25, 2)], slips)
