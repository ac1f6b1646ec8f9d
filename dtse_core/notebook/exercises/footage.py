"""Checks of the exercises of notebook 13; each tells a likely slip by its own hint."""

import math

from ..grading import grade


def check_exercise_13_1(fn):
    def weights_of(videos, films=lambda videos: len(set(videos)), windows=lambda videos, v: videos.count(v)):
        return [1 / (films(videos) * windows(videos, video)) for video in videos]

    slips = {
        "that is the same weight for every window": {
            "films": len,
            "windows": lambda videos, v: 1,
        },
        "all weights together sum to 1: divide by the number of videos, too": {"films": lambda videos: 1},
        "a video's share is divided among its windows": {"windows": lambda videos, v: 1},
        "divide by the number of different videos, not of windows": {"films": len},
    }
    return grade(fn, weights_of, [(["cow", "cow", "cat"],), (["a", "b", "a", "c", "a"],), (["x"],)], slips)


def check_exercise_13_2(fn):
    def every(step, save, share, whole=math.ceil, seconds=False, both=0.0):
        return max(1, whole(save * (1 - both * share) / (share * (1 if seconds else step))))

    slips = {
        "round up: with one step fewer, saving takes more than its share": {"whole": math.floor},
        "that is a number of seconds; divide by those of a step": {"seconds": True},
        "the share is of the time of the steps, not of steps and saving together": {"both": 1.0},
    }
    return grade(fn, every, [(0.5, 3.0, 0.25), (0.3, 10.0, 0.1), (2.0, 1.0, 0.5), (0.16, 7.0, 0.02)], slips)
