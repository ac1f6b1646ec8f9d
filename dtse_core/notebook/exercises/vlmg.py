"""Checks of the exercises of notebook 04; each tells a likely slip by its own hint."""

import torch
import torch.nn.functional as F

from ...vlmg import VLMG
from ..grading import grade


def check_exercise_04_1(fn):
    def hard(weights, best=lambda a: a.argmax(-1), keep=False, axis=-1):
        one = F.one_hot(best(weights), weights.shape[axis]).to(weights.dtype)
        return one.mT * (weights if keep else 1) if axis == 1 else one * (weights if keep else 1)

    slips = {
        "the word keeps its old weight; its weight is 1": {"keep": True},
        "that is the word with the least weight": {"best": lambda a: a.argmin(-1)},
        "that is the best pixel of each word; words are the last axis": {"best": lambda a: a.argmax(1), "axis": 1},
    }
    g = torch.Generator().manual_seed(4)
    cases = [(torch.randn(B, HW, N, generator=g).softmax(-1),) for B, HW, N in ((1, 2, 3), (2, 5, 4), (3, 4, 6))]
    return grade(fn, hard, cases, slips)


def check_exercise_04_2(fn):
    def largest(x, bins, pool=F.adaptive_max_pool2d, last=True, turn=False):
        grids = [pool(x, n).mT.flatten(2) if turn else pool(x, n).flatten(2) for n in bins]
        found = torch.cat(grids, 2)
        return found.mT if last else found

    slips = {
        "that is the mean of each cell": {"pool": F.adaptive_avg_pool2d},
        "channels come last: (B, M, C)": {"last": False},
        "cells are listed row by row, not column by column": {"turn": True},
    }
    g = torch.Generator().manual_seed(4)
    cases = [(torch.arange(16.0).view(1, 1, 4, 4), (1, 2))]
    cases += [(torch.randn(2, 3, 5, 7, generator=g), (1, 2, 4)), (torch.randn(1, 4, 6, 3, generator=g), (3,))]
    return grade(fn, largest, cases, slips)


def check_exercise_04_3(fn):
    def scaled(block, factor, V=True, L=True, power=1, add=False):
        for gate, on in ((block.gate_V, V), (block.gate_L, L)):
            gate.data.copy_((gate.data + factor if add else gate.data * factor**power) if on else gate.data)
        return block

    def both(gates, factor, **options):
        return of(gates, lambda block: scaled(block, factor, **options))

    def given(gates, factor):
        return of(gates, lambda block: fn(block, factor))

    def of(gates, change):
        """The two gates, four numbers each, of a block after `change`."""
        block = VLMG(4, 4, width=4, heads=1, bins=(1,))
        block.gate_V.data[:], block.gate_L.data[:] = torch.tensor(gates)
        found = change(block)
        return None if found is None else torch.stack([found.gate_V, found.gate_L]).detach()

    slips = {
        "that is gate_V alone": {"L": False},
        "that is gate_L alone": {"V": False},
        "the gates are multiplied by the factor, not divided": {"power": -1},
        "multiply; that adds the factor": {"add": True},
    }
    ones, more = [[1.0] * 4] * 2, [[0.5, -1.0, 2.0, 1.0], [3.0, 0.25, -2.0, 1.0]]
    right = grade(given, both, [(ones, 0.5), (more, 2.0), (more, -0.25)], slips)
    return fn if right is given else scaled
