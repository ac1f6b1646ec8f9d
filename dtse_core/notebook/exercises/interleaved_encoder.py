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
    def strongest(L, word_mask, hide=lambda L, m: L.masked_fill(m == 0, -torch.inf), axis=1, mean=False):
        hidden = hide(L, word_mask[..., None])
        return hidden.mean(axis) if mean else hidden.amax(axis)

    slips = {
        "padding takes part; hide it before the maximum": {"hide": lambda L, m: L},
        "0 is larger than a negative number; hide padding behind minus infinity": {"hide": lambda L, m: L * m},
        "that is a mean": {"hide": lambda L, m: L, "mean": True},
        "that is a maximum over channels; words are axis 1": {"axis": 2},
    }
    g = torch.Generator().manual_seed(5)
    cases = [
        (torch.tensor([[[-1.0, 2.0], [-3.0, 1.0], [5.0, 5.0]]]), torch.tensor([[1, 1, 0]])),
        (torch.randn(3, 4, 4, generator=g) - 1, torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]])),
        (torch.randn(1, 6, 3, generator=g) - 1, torch.tensor([[1, 1, 1, 0, 0, 0]])),
    ]
    return grade(fn, strongest, cases, slips)


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
