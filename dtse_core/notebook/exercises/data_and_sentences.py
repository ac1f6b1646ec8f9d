"""Checks of the exercises of notebook 02; each tells a likely slip by its own hint."""

import numpy as np

from ..grading import grade


def check_exercise_02_1(fn):
    def pad(rows, width=max, at_end=True):
        N = width(map(len, rows))
        spare = [[0] * (N - len(row)) for row in rows]
        return np.array([row[:N] + s if at_end else s + row[:N] for row, s in zip(rows, spare, strict=True)])

    slips = {
        "padding goes to the end; [CLS] must stay in front": {"at_end": False},
        "nothing may be cut: the longest row sets the width": {"width": min},
    }
    cases = [([[1], [4, 5, 6], [7, 8]],), ([[2, 9, 4, 1], [3]],), ([[5], [6, 7]],)]
    grade(fn, pad, cases, slips)


def check_exercise_02_2(fn):
    slips = {
        "A2D and J-HMDB count from 1": {"indices": (30, 1, 12, 6)},
        "Ref-DAVIS17 counts from 0 already": {"indices": (29, 0, 11, 6)},
        "of Refer-YouTube-VOS, every fifth frame is listed": {"indices": (29, 0, 12, 30)},
    }
    grade(fn, lambda indices=(29, 0, 12, 6): indices, [()], slips)


def check_exercise_02_3(fn):
    def masks(stored, turn=lambda m: m.swapaxes(-1, -2), axis=True):
        m = turn(stored)
        return m[None] if m.ndim == 2 and axis else m

    slips = {
        "the object axis comes first, then rows, then columns": {"turn": lambda m: m},
        "the axis of objects is missing": {"axis": False},
        "reshape does not turn anything; swap the axes": {"turn": lambda m: m.reshape(*m.shape[:-2], *m.shape[:-3:-1])},
    }
    grade(fn, masks, [(np.arange(6).reshape(3, 2),), (np.arange(20).reshape(4, 5),), (np.eye(3, 7),)], slips)
