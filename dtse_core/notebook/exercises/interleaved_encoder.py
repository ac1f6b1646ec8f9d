"""Checks of the exercises of notebook 05; each tells a likely slip by its own hint."""

import torch
from torch import nn

from ...vlmg import VLMG
from ..grading import grade


def check_exercise_05_1(fn):
    def only(vlmg, stages, which=lambda n, stages: n not in stages, gates=("gate_V", "gate_L")):
        for name, block in vlmg.items():
            for gate in gates:
                getattr(block, gate).data *= not which(int(name), stages)
        return vlmg

    def opened(names, stages, **options):
        return of(names, lambda vlmg: only(vlmg, stages, **options))

    def given(names, stages):
        return of(names, lambda vlmg: fn(vlmg, stages))

    def of(names, change):
        """Whether g_V and g_L are open, a row for each block, after `change`."""
        found = change(nn.ModuleDict({n: VLMG(2, 2, width=2, heads=1, bins=(1,), gate_init=1.0) for n in names}))
        return None if found is None else [[float(b.gate_V.data[0]), float(b.gate_L.data[0])] for b in found.values()]

    slips = {
        "that closes the insertions that are to stay open": {"which": lambda n, stages: n in stages},
        "words still take in what pixels found: close gate_L, too": {"gates": ("gate_V",)},
        "pixels still take in the words: close gate_V, too": {"gates": ("gate_L",)},
        "that closes all of them": {"which": lambda n, stages: True},
    }
    right = grade(given, opened, [("345", [3]), ("2345", [2, 5]), ("345", []), ("45", [4, 5])], slips)
    return fn if right is given else only


def check_exercise_05_2(fn):
    def told(word_mask, T, frames, others=lambda t, frames: t not in frames, of=lambda row, T: row % T, keep=1):
        mask = word_mask.clone()
        for row in range(len(mask)):
            if others(of(row, T), frames):
                mask[row, keep:] = 0
        return mask

    slips = {
        "the frames of the list keep their words, the others lose them": {"others": lambda t, frames: t in frames},
        "row b * T + t is frame t: its number is the remainder of row / T": {"of": lambda row, T: row // T},
        "[CLS] stays in every row: a softmax needs a word": {"keep": 0},
        "the list counts frames in each clip, not rows of the batch": {"of": lambda row, T: row},
    }
    masks = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    cases = [
        (masks[:B].repeat_interleave(T, 0), T, frames) for B, T, frames in ((2, 3, [1]), (2, 3, [0, 2]), (1, 2, []))
    ]
    return grade(fn, told, cases, slips)


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
