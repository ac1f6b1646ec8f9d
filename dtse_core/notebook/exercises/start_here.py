"""Checks of the exercises of notebook 00; each tells a likely slip by its own hint."""

from ...data.toy.world import ToyWorld, render
from ...metrics import region_similarity
from ...predict import ReferringVideoPredictor
from ..grading import grade


def check_exercise_00_1(fn):
    frames, objects = render(ToyWorld("twins").scene(23), range(25), 96, 144)

    def found():
        sentence = fn()
        if sentence is None:
            return None
        masks = ReferringVideoPredictor.from_pretrained("tiny", "cpu").segment(frames, sentence).masks
        some = range(6, 19, 3)
        hits = [sum(region_similarity(masks[t], objects[t] == k) for t in some) / len(some) for k in (1, 2, 3)]
        return 1 + hits.index(max(hits)) if max(hits) > 0.6 else 0

    slips = {
        "that marks the dog which heads to the right; its twin goes the other way": {"marked": 1},
        "that marks the bird; name a dog": {"marked": 2},
        "that marks no object well; name what it is, and where it is going": {"marked": 0},
    }
    grade(found, lambda marked=3: marked, [()], slips)


def check_exercise_00_2(fn):
    slips = {
        "the 3 colors come before the rows": {"shape": (4, 5, 64, 96, 3)},
        "clips come first, then frames": {"shape": (5, 4, 3, 64, 96)},
        "rows (H) come before columns (W)": {"shape": (4, 5, 3, 96, 64)},
        "frames come before the 3 colors": {"shape": (4, 3, 5, 64, 96)},
    }
    grade(fn, lambda shape=(4, 5, 3, 64, 96): shape, [()], slips)
