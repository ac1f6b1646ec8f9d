"""Checks of the exercises of notebook 08; each tells a likely slip by its own hint."""

import math

import numpy as np

from ..grading import grade


def check_exercise_08_1(fn):
    def rate(step, steps, warmup, start=1, top=1.0, cosine=lambda x: 0.5 * (1 + math.cos(x))):
        return min(top, (step + start) / warmup) * cosine(math.pi * step / steps)

    slips = {
        "step 0 does not move: it is the first step": {"start": 0},
        "after the warm-up the line goes on rising": {"top": math.inf},
        "half a cosine from 1 to 0 is (1 + cos) / 2": {"cosine": math.cos},
    }
    cases = [(step, 1000, 100) for step in (0, 50, 99, 500, 999)]
    grade(fn, rate, [*cases, (3, 20, 8), (12, 20, 8)], slips)


def check_exercise_08_2(fn):
    def clip_gradients(gradients, limit, joint=True, by_value=False, always=False):
        squares = [(g**2).sum() for g in gradients]
        norms = [np.sqrt(sum(squares))] * len(squares) if joint else np.sqrt(squares)
        scaled = [g * (limit / n if always or n > limit else 1) for g, n in zip(gradients, norms, strict=True)]
        return flat([np.clip(g, -limit, limit) for g in gradients] if by_value else scaled)

    def flat(gradients):
        return None if gradients is None else np.concatenate([np.ravel(g) for g in gradients])

    slips = {
        "one factor for all: measure their joint norm": {"joint": False},
        "that clips values; scale, so the direction stays": {"by_value": True},
        "a gradient below the limit stays as it is": {"always": True},
    }
    a, b = np.array([3.0, 0.0]), np.array([[4.0], [12.0]])
    cases = [([a, b], 6.5), ([a / 13, b / 13], 6.5), ([b, a, -2 * a], 1.0)]
    grade(lambda gradients, limit: flat(fn(gradients, limit)), clip_gradients, cases, slips)
