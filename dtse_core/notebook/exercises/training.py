"""Checks of the exercises of notebook 08; each tells a likely slip by its own hint."""

import math

from ..grading import grade


def check_exercise_08_1(fn):
    def cosine(n, steps, start=1, top=1.0, fall=lambda x: 0.5 * (1 + math.cos(x)), end=0, after=False):
        rise = steps // 5
        share = max(0, n - rise) / (steps - rise) if after else n / (steps - end)
        return min(top, (n + start) / rise) * fall(math.pi * share)

    slips = {
        "step 0 does not move: it is the first step": {"start": 0},
        "the first number is missing: it rises over the first fifth": {"start": math.inf},
        "the cosine begins at step 0, not where the rise ends": {"after": True},
        "after the first fifth the line stays at 1": {"top": math.inf},
        "half a cosine from 1 to 0 is (1 + cos) / 2": {"fall": math.cos},
        "all the while it is multiplied by half a cosine": {"fall": lambda x: 1.0},
        "the cosine reaches 0 at step `steps`, one after the last": {"end": 1},
    }
    return grade(fn, cosine, [(1, 30), (0, 30), (12, 30), (22, 30), (3, 50), (49, 50)], slips)


def check_exercise_08_2(fn):
    def learns(name, text="encoder.text.", vlmg="encoder.vlmg.", turned=False):
        return name.startswith((text, vlmg)) != turned

    def table(names, **slips):
        return [learns(name, **slips) for name in names]

    def given(names):
        answers = [fn(name) for name in names]
        return None if None in answers else [bool(answer) for answer in answers]

    slips = {
        "VLMG learns, too": {"vlmg": "encoder.text."},
        "the text stream learns, too": {"text": "encoder.vlmg."},
        "of the encoder the visual stream does not learn": {"text": "encoder."},
        "the other way round: true is what learns": {"turned": True},
    }
    names = (
        "encoder.text.bert.embeddings.word_embeddings.weight",
        "encoder.visual.resnet.embedder.embedder.convolution.weight",
        "encoder.vlmg.3.W_q.weight",
        "lmdf.3.gate.weight",
        "decoder.heads.0.bias",
    )
    cases = [(names,), (names[::-1],), ((*names[2:], names[0]),)]
    return fn if grade(given, table, cases, slips) is given else learns
