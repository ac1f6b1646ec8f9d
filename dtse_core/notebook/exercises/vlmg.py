"""Checks of the exercises of notebook 04; each tells a likely slip by its own hint."""

import torch

from ...layers import coordinates
from ...vlmg import VLMG
from ..grading import grade


def check_exercise_04_1(fn):
    def even(weights, real=lambda a: (a > 0).to(a.dtype), by=lambda real: real.sum(-1, keepdim=True)):
        return real(weights) / by(real(weights))

    slips = {
        "padding weighs 0, as before": {"real": torch.ones_like},
        "divide by the number of real words, without padding": {"by": lambda real: real.shape[-1]},
        "each pixel's weights must sum to 1": {"by": torch.ones_like},
        "words are the last axis; that divides by the number of pixels": {"by": lambda real: real.sum(1, keepdim=True)},
    }
    g = torch.Generator().manual_seed(4)
    cases = [(torch.randn(B, HW, N, generator=g).softmax(-1),) for B, HW, N in ((1, 2, 3), (2, 5, 4), (3, 4, 6))]
    for row, (weights,) in enumerate(cases):
        weights[-1, :, weights.shape[-1] - row :] = 0  # the last sentence of a case is `row` words shorter
    return grade(fn, even, [(weights / weights.sum(-1, keepdim=True),) for (weights,) in cases], slips)


def check_exercise_04_2(fn):
    def mirrored(s, minus=True, exchange=((0, 2), (2, 0), (4, 4)), copy=True):
        turned = s.clone()
        for to, source in exchange:
            turned[:, to] = -s[:, source] if minus else s[:, source]
        return turned

    slips = {
        "a cell's right side, mirrored, is a left side: exchange them": {"exchange": ((0, 0), (2, 2), (4, 4))},
        "mirrored, x becomes -x": {"minus": False},
        "the center has a side, too": {"exchange": ((0, 2), (2, 0))},
        "that turns top and bottom": {"exchange": ((1, 3), (3, 1), (5, 5))},
    }
    cases = [(coordinates(*size, torch.empty(0)).flatten(1).mT,) for size in ((1, 2), (2, 3), (3, 1))]
    return grade(fn, mirrored, cases, slips)


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
