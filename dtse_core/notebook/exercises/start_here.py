"""Checks of the exercises of notebook 00; each tells a likely slip by its own hint."""

import numpy as np

from ...data.toy.world import ToyWorld, render
from ...predict import ReferringVideoPredictor
from ..grading import grade

SCENES = {"dog": 23, "bird": 113, "cat": 89}  # of look-alikes that walk in opposite directions


def check_exercise_00_1(fn):
    def ask(kind, side):
        return f"the {kind} heading to the {side}"

    def marked(kind, side, turn=("left", "right")):
        return turn[("left", "right").index(side)]

    def marked_by_yours(kind, side):
        sentence = fn(kind, side)
        return None if sentence is None else _marked(kind, sentence)

    slips = {
        "your sentence picks the one that walks to the other side": {"turn": ("right", "left")},
        "neither is marked well: name its kind, and say where it is heading": {"turn": ("neither", "neither")},
        "your sentence names another kind than `kind`": {"turn": ("another kind", "another kind")},
    }
    cases = [("dog", "left"), ("bird", "left"), ("cat", "right"), ("dog", "right")]
    return fn if grade(marked_by_yours, marked, cases, slips) is marked_by_yours else ask


def _marked(kind: str, sentence: str) -> str:
    """Where the one is heading that the shipped model marks, of two look-alikes of that kind; or what is wrong."""
    if any(other in str(sentence) for other in SCENES if other != kind):
        return "another kind"
    scene = ToyWorld("twins").scene(SCENES[kind])
    said = scene.sentences[0]
    three, ids = render(scene, (6, 12, 18), 64, 96)
    mask = ReferringVideoPredictor.from_pretrained("tiny", "cpu").segment(three, sentence).masks[1]
    first, second = (np.sum(mask & (ids[1] == k)) / np.sum(ids[1] == k) for k in (said.instance, said.twin))
    sides = ("left", "right") if "left" in said.text else ("right", "left")  # of target and twin
    return "neither" if max(first, second) < 0.5 else sides[bool(first < second)]


def check_exercise_00_2(fn):
    def frozen(frames, at=lambda T: T // 2, axis=0, mixed=False):
        one = frames.mean(axis, keepdims=True) if mixed else frames.take([at(frames.shape[axis])], axis)
        return np.repeat(one, frames.shape[axis], axis)

    slips = {
        "that is the first frame; the middle one is T // 2": {"at": lambda T: 0},
        "that is the last frame; the middle one is T // 2": {"at": lambda T: T - 1},
        "the middle one is T // 2, which is 1 only for three frames": {"at": lambda T: 1},
        "frames are axis 0": {"axis": 1},
        "that is the mean of all frames; copy one": {"mixed": True},
    }
    rng = np.random.default_rng(0)
    cases = [(rng.integers(0, 256, shape, np.uint8),) for shape in ((3, 2, 2, 3), (5, 4, 6, 3), (4, 3, 2, 3))]
    return grade(fn, frozen, cases, slips)


def check_exercise_00_3(fn):
    def gray(frames, axis=3, colors=(0, 1, 2), copies=3):
        mean = frames[..., list(colors)].mean(axis, keepdims=True)
        return np.broadcast_to(mean, frames.shape)[..., :copies]

    slips = {
        "that is the first color alone; take the mean of all three": {"colors": (0,)},
        "each pixel needs three numbers again: repeat the mean": {"copies": 1},
        "that is the mean over time; colors are axis 3": {"axis": 0},
        "that is the mean over rows; colors are axis 3": {"axis": 1},
        "that is the mean over columns; colors are axis 3": {"axis": 2},
    }
    rng = np.random.default_rng(3)
    cases = [(rng.integers(0, 256, shape, np.uint8),) for shape in ((2, 2, 2, 3), (3, 4, 6, 3), (1, 3, 2, 3))]
    return grade(fn, gray, cases, slips, tolerance=1)  # rounded or not
