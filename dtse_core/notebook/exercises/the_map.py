"""Checks of the exercises of notebook 01; each tells a likely slip by its own hint."""

from ..grading import grade


def check_exercise_01_1(fn):
    def shape(stage, B, T, C, H, W, strides=(4, 8, 16, 16), frames=True):
        s = strides[stage - 2]
        return (B * T if frames else B), C, H // s, W // s

    slips = {
        "Res5 keeps the size of Res4": {"strides": (4, 8, 16, 32)},
        "stem and first stage have stride 4 already": {"strides": (2, 4, 8, 8)},
        "the encoder sees B*T frames": {"frames": False},
    }
    grade(fn, shape, [(k, 4, 3, 10 * k, 320, 160) for k in (2, 3, 4, 5)], slips)


def check_exercise_01_2(fn):
    def runs(F, S, first=lambda F, S: F, second=lambda F, S: F * S):
        return first(F, S), second(F, S)

    slips = {
        "Res3 does not read the sentence: share it": {"first": lambda F, S: F * S},
        "VLMG3 needs each frame with each sentence": {"second": lambda F, S: F + S},
        "a frame is encoded once, not once per window": {"first": lambda F, S: 3 * F, "second": lambda F, S: 3 * F * S},
    }
    grade(fn, runs, [(20, 3), (7, 1), (16, 5)], slips)
