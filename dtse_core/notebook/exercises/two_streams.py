"""Checks of the exercises of notebook 03; each tells a likely slip by its own hint."""

import copy

import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel

from ..grading import grade


def check_exercise_03_1(fn):
    def nearby(word_mask, reach):
        return extra(word_mask, reach)

    def extra(
        word_mask,
        reach,
        near=lambda d, reach: abs(d) <= reach,
        padding=True,
        added=lambda kept: ~kept * -1e9,
        heads=True,
    ):
        places = torch.arange(word_mask.shape[1])
        kept = near(places - places[:, None], reach).expand(len(word_mask), -1, -1)  # (B, N, N), keys last
        found = added(kept & (word_mask[:, None] > 0) if padding else kept)
        return found[:, None] if heads else found

    def attention(word_mask, extra):  # of scores that are all 0: (B, 2, N, N), where padding reads 0, or NaN if it came
        B, N = word_mask.shape
        weights = (torch.zeros(B, 2, N, N) + extra).softmax(-1)
        return weights.masked_fill((word_mask[:, None, :, None] == 0) & ~weights.isnan(), 0)

    def weights(word_mask, reach, **slip):
        return attention(word_mask, extra(word_mask, reach, **slip))

    def given(word_mask, reach):
        answer = fn(word_mask, reach)
        return None if answer is None else attention(word_mask, answer)

    slips = {
        "padding may be near, too: hide it along the last axis": {"padding": False},
        "that hides padding alone; words farther away than `reach` are still read": {"near": lambda d, reach: d < 99},
        "a word `reach` places away still counts": {"near": lambda d, reach: abs(d) < reach},
        "words after a word count as well as those before it": {"near": lambda d, reach: (d <= 0) & (d >= -reach)},
        "words before a word count as well as those after it": {"near": lambda d, reach: (d >= 0) & (d <= reach)},
        "that hides what may be read and shows the rest": {"added": lambda kept: kept * -1e9},
        "that adds 1 to what may be read; the rest needs a hugely negative score": {"added": lambda kept: kept * 1.0},
        "with -inf, a row that reads nothing is 0 / 0; take the lowest finite number": {
            "added": lambda kept: torch.zeros(kept.shape).masked_fill(~kept, -torch.inf)
        },
        "the axis of the heads is missing: (B, 1, N, N)": {"heads": False},
    }
    masks = [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]], [[1] * 6, [1, 1, 1, 1, 0, 0]], [[1, 1, 0]]
    cases = [(torch.tensor(mask), reach) for mask, reach in zip(masks, (1, 2, 0), strict=True)]
    return fn if grade(given, weights, cases, slips) is given else nearby


def check_exercise_03_2(fn):
    def dense(stage, dilation=2, dilated=lambda k: k > 0, stride=1):
        filters = [m for m in stage.modules() if isinstance(m, nn.Conv2d)]
        for m in filters:
            m.stride = (stride, stride) if m.stride != (1, 1) else (1, 1)
        for k, m in enumerate(m for m in filters if m.kernel_size == (3, 3)):
            if dilated(k):
                m.dilation = m.padding = (dilation, dilation)
        return stage

    def seen(blocks, kind, **options):
        return every_second(blocks, kind, lambda stage: dense(stage, **options))

    def given(blocks, kind):
        return every_second(blocks, kind, lambda stage: fitting(stage, fn))

    def fitting(stage, change):
        """The changed stage, if its maps are of one size, so that they can be added."""
        before = sides(stage)
        changed = change(stage)
        after = [] if changed is None else sides(changed)
        for kernel, side in after:
            if side not in (12, 6):
                raise ValueError(
                    f"a {kernel} x {kernel} filter makes a map of 12 x 12 one of {side} x {side}; "
                    "at dilation 2 a 3 x 3 filter needs padding 2, a 1 x 1 filter none"
                )
        if after != before and len({side for _, side in after}) == 2:
            raise ValueError("only some strides are 1; the shortcut, a 1 x 1 filter, has one, too")
        return changed

    def sides(stage):
        """Of each filter its own side, and that of what it makes of a map of 12 x 12."""
        filters = [m for m in stage.modules() if isinstance(m, nn.Conv2d)]
        return [(m.kernel_size[0], m(torch.zeros(1, m.in_channels, 12, 12)).shape[2]) for m in filters]

    def every_second(blocks, kind, change):
        """What a stage of so many blocks gives after `change`, at every second place."""
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(blocks)
            sizes = {"embedding_size": 4, "hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, blocks]}
            stage = ResNetModel(ResNetConfig(**sizes, layer_type=kind)).eval().encoder.stages[-1]
            changed = change(copy.deepcopy(stage))
            return None if changed is None else changed(torch.randn(1, 8, 6, 9))[..., ::2, ::2]

    slips = {
        "the filters after the first meet a denser map; dilate them": {"dilated": lambda k: False},
        "the first 3 x 3 filter sees the map that it always saw; leave it": {"dilated": lambda k: True},
        "the map is twice as dense, so the dilation is 2": {"dilation": 4},
        "the strides are still 2": {"stride": 2},
    }
    right = grade(given, seen, [(1, "basic"), (2, "basic"), (2, "bottleneck")], slips)
    return fn if right is given else dense
