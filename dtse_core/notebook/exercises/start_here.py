"""Checks of the exercises of notebook 00; each tells a likely slip by its own hint."""

from ...data.toy.world import ToyWorld, render
from ...metrics import region_similarity
from ...predict import ReferringVideoPredictor
from .. import lesson


def check_exercise_00_1(fn):
    sentence = fn()
    if sentence is None:
        lesson.grade(None, 3)
        return
    frames, objects = render(ToyWorld("twins").scene(23), range(25), 96, 144)
    predictor = ReferringVideoPredictor.from_pretrained("tiny", "cpu")
    masks = predictor.segment(frames, sentence).masks
    some = range(6, 19, 3)
    hits = [sum(region_similarity(masks[t], objects[t] == k) for t in some) / len(some) for k in (1, 2, 3)]
    found = 1 + hits.index(max(hits)) if max(hits) > 0.6 else 0
    slips = {
        "that marks the dog which heads to the right; its twin goes the other way": 1,
        "that marks the bird; name a dog": 2,
        "that marks no object well; name what it is, and where it is going": 0,
    }
    lesson.grade(found, 3, slips)


def check_exercise_00_2(fn):
    slips = {
        "the 3 colors come before the rows": (4, 5, 64, 96, 3),
        "clips come first, then frames": (5, 4, 3, 64, 96),
        "rows (H) come before columns (W)": (4, 5, 3, 96, 64),
        "frames come before the 3 colors": (4, 3, 5, 64, 96),
    }
    lesson.grade(fn(), (4, 5, 3, 64, 96), slips)
