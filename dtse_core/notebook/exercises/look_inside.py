"""Checks of the exercises of notebook 10; each tells a likely slip by its own hint."""

import torch

from ...vlmg import VLMG
from ..grading import grade


def check_exercise_10_1(fn):
    def ordered(sentence, order=sorted, between=" "):
        return between.join(order(sentence.split()))

    slips = {
        "words come in alphabetical order, not letters": {
            "order": lambda words: sorted(" ".join(words)),
            "between": "",
        },
        "a word that occurs twice stays twice": {"order": lambda words: sorted(set(words))},
        "that is the order from z to a": {"order": lambda words: sorted(words, reverse=True)},
        "that is the sentence from its end; sort the words": {"order": lambda words: words[::-1]},
        "that is the order of their lengths": {"order": lambda words: sorted(words, key=len)},
    }
    sentences = "the dog that is white", "the cat to the left of the red car", "a small ball rolling to the right"
    return grade(fn, ordered, [(text,) for text in sentences], slips)


def check_exercise_10_2(fn):
    def closed(vlmg, names=("gate_V", "gate_L"), value=0.0):
        with torch.no_grad():
            for name in names or dict(vlmg.named_parameters()):
                vlmg.get_parameter(name).fill_(value)
        return vlmg

    def passes(seed, close=fn, **options):
        """What the module that was closed makes of features and words, and the weights that it keeps, one tensor."""
        torch.manual_seed(seed)
        vlmg = close(VLMG(8, 16, width=8, heads=2, gate_init=1.0), **options)
        if vlmg is None:
            return None
        after = vlmg(torch.randn(1, 8, 6, 8), torch.randn(1, 5, 16), torch.ones(1, 5, dtype=torch.long))[:2]
        kept = [p for name, p in vlmg.named_parameters() if not name.startswith("gate")]
        return torch.cat([one.detach().flatten() for one in (*after, *kept)])

    def expected(seed, **options):
        return passes(seed, closed, **options)

    slips = {
        "the frame still changes: close gate_V too": {"names": ("gate_L",)},
        "the words still change: close gate_L too": {"names": ("gate_V",)},
        "a gate of one is open": {"value": 1.0},
        "close the gates alone: the other weights stay": {"names": None},
    }
    right = grade(passes, expected, [(0,), (1,), (2,)], slips) is passes
    return fn if right else closed
