"""Checks of the exercises of notebook 01; each tells a likely slip by its own hint."""

import torch
from torch import nn

from ...vlmg import VLMG
from ..grading import grade


def check_exercise_01_1(fn):
    def backward(frames, axis=1):
        return frames.flip(axis)

    slips = {
        "that reverses the clips; time is axis 1": {"axis": 0},
        "that is a mirror image; time is axis 1": {"axis": 4},
        "that reverses the colors; time is axis 1": {"axis": 2},
    }
    g = torch.Generator().manual_seed(1)
    cases = [(torch.rand(shape, generator=g),) for shape in ((2, 3, 3, 2, 2), (1, 3, 3, 4, 6), (3, 5, 3, 1, 2))]
    return grade(fn, backward, cases, slips)


def check_exercise_01_2(fn):
    def gates(model):
        return torch.cat([gate for box in model.encoder.vlmg.values() for gate in (box.gate_V, box.gate_L)]).detach()

    def unplug(model, which=("gate_V",), value=0.0, count=9):
        with torch.no_grad():
            for box in list(model.encoder.vlmg.values())[:count]:
                for name in which:
                    getattr(box, name).fill_(value)
        return model

    def given(model):
        found = fn(model)
        return None if found is None else gates(found)

    slips = {
        "that is the gate of the words; the picture's is gate_V": {"which": ("gate_L",)},
        "gate_L is the gate of the words; leave it": {"which": ("gate_V", "gate_L")},
        "every module has a gate, not only the first": {"count": 1},
        "a gate of 1 lets everything through": {"value": 1.0},
    }
    right = grade(given, lambda model, **slip: gates(unplug(model, **slip)), [(_guided(n),) for n in (3, 2, 4)], slips)
    return fn if right is given else unplug


def _guided(insertions: int) -> nn.Module:
    """What of a model has gates: so many insertions, their gates half open."""
    model = nn.Module()
    model.encoder = nn.Module()
    boxes = {str(3 + k): VLMG(5, 6, width=4, heads=2, bins=(1, 2), gate_init=0.5) for k in range(insertions)}
    model.encoder.vlmg = nn.ModuleDict(boxes)
    return model


def check_exercise_01_3(fn):
    def pixels(stage, i, j, strides=(4, 8, 16, 16), last=0, turned=False, sizes=False):
        s = strides[stage - 2]
        i, j = (j, i) if turned else (i, j)
        return (i * s, s, j * s, s) if sizes else (i * s, (i + 1) * s - last, j * s, (j + 1) * s - last)

    slips = {
        "Res5 keeps the size of Res4": {"strides": (4, 8, 16, 32)},
        "stem and first stage have stride 4 already": {"strides": (2, 4, 8, 8)},
        "rows come before columns": {"turned": True},
        "the second and the fourth number are the ones after the last": {"last": 1},
        "the second and the fourth number are ends, not lengths": {"sizes": True},
    }
    return grade(fn, pixels, [(3, 1, 4), (2, 3, 5), (4, 0, 2), (5, 2, 3)], slips)
