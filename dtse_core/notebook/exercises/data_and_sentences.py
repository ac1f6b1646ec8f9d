"""Checks of the exercises of notebook 02; each tells a likely slip by its own hint."""

import numpy as np

from .. import lesson


def check_exercise_02_1(fn):
    slips = {
        "padding goes to the end; [CLS] must stay in front": np.array([[0, 0, 1], [4, 5, 6], [0, 7, 8]]),
        "nothing may be cut: the longest row sets the width": np.array([[1], [4], [7]]),
    }
    expected = np.array([[1, 0, 0], [4, 5, 6], [7, 8, 0]])
    lesson.grade(fn([[1], [4, 5, 6], [7, 8]]), expected, slips)


def check_exercise_02_2(fn):
    slips = {
        "A2D and J-HMDB count from 1": (30, 1, 12, 6),
        "Ref-DAVIS17 counts from 0 already": (29, 0, 11, 6),
        "of Refer-YouTube-VOS, every fifth frame is listed": (29, 0, 12, 30),
    }
    lesson.grade(fn(), (29, 0, 12, 6), slips)


def check_exercise_02_3(fn):
    stored = np.arange(6).reshape(3, 2)  # W = 3, H = 2
    slips = {
        "the object axis comes first, then rows, then columns": stored[None],
        "the axis of objects is missing": stored.T,
        "reshape does not turn anything; swap the axes": stored.reshape(1, 2, 3),
    }
    lesson.grade(fn(stored), stored.T[None], slips)
