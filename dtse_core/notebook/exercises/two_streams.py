"""Checks of the exercises of notebook 03; each tells a likely slip by its own hint."""

import copy

import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel

from ..grading import grade


def check_exercise_03_1(fn):
    def additive(word_mask):
        return torch.zeros(word_mask.shape).masked_fill(word_mask == 0, -1e9)[:, None, None]

    def weights(word_mask, added=lambda m: (m == 0) * -1e9, last=True):
        extra = added(word_mask)[:, None, None] if last else added(word_mask)[:, None, :, None]
        return attention(word_mask, extra)

    def attention(word_mask, extra):  # of scores that are all 0: (B, 2, N, N)
        B, N = word_mask.shape
        return (torch.zeros(B, 2, N, N) + extra).softmax(-1)

    def given(word_mask):
        answer = fn(word_mask)
        return None if answer is None else attention(word_mask, answer)

    slips = {
        "that hides the words and shows the padding": {"added": lambda m: m * -1e9},
        "that adds 1 to words; padding needs a hugely negative score": {"added": lambda m: m},
        "keys are the last axis: put the new axes before it": {"last": False},
    }
    masks = [[1, 1, 0], [1, 0, 0]], [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], [[1, 1, 1, 1, 0]]
    right = grade(given, weights, [(torch.tensor(mask),) for mask in masks], slips)
    return fn if right is given else additive


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
        return every_second(blocks, kind, fn)

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


def check_exercise_03_3(fn):
    def late(depth, insertions, size=lambda k, depth, insertions: depth * (k == insertions - 1), again=False):
        sizes = [size(k, depth, insertions) for k in range(insertions)]
        return [((0 if again else sum(sizes[:k])), sum(sizes[: k + 1])) for k in range(insertions)]

    slips = {
        "that runs all layers before the first insertion": {"size": lambda k, depth, insertions: depth * (k == 0)},
        "that cuts them evenly; here the first groups are empty": {"size": lambda k, depth, n: depth // n},
        "the last group runs all the layers, not the last one alone": {"size": lambda k, depth, n: k == n - 1},
    }
    return grade(fn, late, [(12, 3), (3, 3), (7, 4)], slips)
