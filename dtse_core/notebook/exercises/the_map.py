"""Checks of the exercises of notebook 01; each tells a likely slip by its own hint."""

from .. import lesson


def check_exercise_01_1(fn):
    def table(strides, first=lambda B, T: B * T):
        return [(first(4, 3), 10 * k, 320 // s, 160 // s) for k, s in zip((2, 3, 4, 5), strides, strict=True)]

    slips = {
        "Res5 keeps the size of Res4": table((4, 8, 16, 32)),
        "stem and first stage have stride 4 already": table((2, 4, 8, 8)),
        "the encoder sees B*T frames": table((4, 8, 16, 16), lambda B, T: B),
    }
    answer = [fn(k, 4, 3, 10 * k, 320, 160) for k in (2, 3, 4, 5)]
    lesson.grade(answer, table((4, 8, 16, 16)), slips)


def check_exercise_01_2(fn):
    slips = {
        "Res3 does not read the sentence: share it": (60, 60),
        "VLMG3 needs each frame with each sentence": (20, 23),
        "a frame is encoded once, not once per window": (60, 180),
    }
    lesson.grade(fn(20, 3), (20, 60), slips)
