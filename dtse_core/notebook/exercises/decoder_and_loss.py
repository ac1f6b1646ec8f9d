"""Checks of the exercises of notebook 07; each tells a likely slip by its own hint."""

import torch
import torch.nn.functional as F

from ..grading import grade


def check_exercise_07_1(fn):
    def cost(z, t, weight, background=False, target=lambda t: t, log=F.logsigmoid, mean=False, sign=1):
        each = -weight * target(t) * log(sign * z) - (weight if background else 1) * (1 - target(t)) * log(-sign * z)
        return each.mean() if mean else each

    slips = {
        "that weighs the background, too": {"background": True},
        "the target is the other way round: t is 1 on the object": {"target": lambda t: 1 - t},
        "for z = -200 it takes the logarithm of 0: use F.softplus or F.logsigmoid": {
            "log": lambda z: torch.sigmoid(z).log()
        },
        "-ln sigma(z) is softplus(-z), and z is large on the object": {"sign": -1},
        "one cost for each pixel, please: the mean comes later": {"mean": True},
    }
    draw = torch.Generator().manual_seed(71)
    cases = [
        (torch.tensor([0.0, 2.0, -1.0]), torch.tensor([1.0, 0.0, 1.0]), 3.0),
        (torch.randn(2, 3, generator=draw), torch.tensor([[1.0, 0.0, 0.25], [0.0, 1.0, 0.5]]), 0.5),
        (torch.tensor([-200.0, 200.0, -200.0]), torch.tensor([1.0, 0.0, 0.0]), 2.0),
    ]
    return grade(fn, cost, cases, slips)


def check_exercise_07_2(fn):
    def joined(U5, U4, U3, low, mode="bilinear", order=(0, 1, 2, 3), size=3, corners=None):
        maps = U5, U4, U3, low
        target = maps[size].shape[2:]
        return torch.cat([F.interpolate(maps[k], target, mode=mode, align_corners=corners) for k in order], 1)

    slips = {
        "bilinear, please: that repeats each position": {"mode": "nearest"},
        "U5 comes first, low last": {"order": (3, 2, 1, 0)},
        "low has no part in it": {"order": (0, 1, 2)},
        "without align_corners: the border is repeated": {"corners": True},
        "bring all to the size of low, the largest": {"size": 0},
    }
    draw = torch.Generator().manual_seed(72)
    sizes = ((2, 2, 3), (2, 2, 3), (3, 4, 6), (1, 8, 12)), ((1, 1, 1),) * 2 + ((1, 2, 2), (2, 3, 4))
    cases = [tuple(torch.randn(B, *s, generator=draw) for s in some) for B, some in ((1, sizes[1]), (2, sizes[0]))]
    return grade(fn, joined, [*cases, tuple(torch.randn(3, *s, generator=draw) for s in sizes[1])], slips)


def check_exercise_07_3(fn):
    def band(truth, r, inside=True, outside=True, frame=0.0):
        def near(x):
            padded = F.pad(x.float(), (r, r, r, r), value=frame)
            return F.max_pool2d(padded, 2 * r + 1, stride=1) > 0

        return (near(truth) if outside else truth) & (near(~truth) if inside else ~truth)

    slips = {
        "pixels of the object near the outline belong to the band, too": {"inside": False},
        "pixels of the background near the outline belong to the band, too": {"outside": False},
        "beyond the frame there is neither: the frame's border is no outline": {"frame": 1.0},
    }
    small = torch.zeros(1, 5, 7, dtype=torch.bool)
    small[:, 1:4, 3:] = True
    draw = torch.Generator().manual_seed(73)
    blobs = [F.interpolate(torch.randn(2, 1, 3, 4, generator=draw), (12, 16), mode="bilinear")[:, 0] > 0 for _ in "ab"]
    return grade(fn, band, [(small, 1), (blobs[0], 2), (blobs[1], 3)], slips)
