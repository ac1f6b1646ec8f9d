"""Metrics of whole videos: J and F of many frames at once, the two matchings of Ref-DAVIS17, and stability over time.

Equal to `region_similarity` and `contour_accuracy` frame by frame, and several times as fast: a pixel's byte holds one
bit for each of several masks, so that one pass finds all their contours and widens them.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ..metrics import bounding_box, contour, dilate, mask_pair, region_similarity

TOGETHER = 4  # frames in one pass: four predictions and four targets are the eight bits of a byte
IDS = 256  # values of an index map: 0 is background, 255 void
VOID = 255
MOST_PROPOSALS = 20  # the DAVIS unsupervised task accepts no more


def j_and_f(masks: Sequence, targets: Sequence, voids: Sequence | None = None) -> np.ndarray:
    """J and F of each frame, (T, 2) float64: `region_similarity` and `contour_accuracy`.

    Shapes: `masks`, `targets` and `voids` (pixels that do not count; an entry may be None) are T maps (H, W) of one
    size, as an array or a list. Raises `ValueError` for no frames and for sizes or lengths that differ.
    """
    voids = [None] * len(masks) if voids is None else voids
    if not len(masks) or not len(masks) == len(targets) == len(voids):
        raise ValueError(
            f"expected a target and a void map for each mask; found {len(masks)} masks, {len(targets)} targets and "
            f"{len(voids)} void maps"
        )
    scores = np.empty((len(masks), 2))
    for start in range(0, len(masks), TOGETHER):
        some = slice(start, start + TOGETHER)
        pairs = [mask_pair(*frame) for frame in zip(masks[some], targets[some], voids[some], strict=True)]
        scores[some, 0] = [region_similarity(mask, target) for mask, target in pairs]
        near = contours_near(pack([mask for mask, _ in pairs] + [target for _, target in pairs]), 2 * len(pairs))
        a, b = np.arange(len(pairs)), np.arange(len(pairs)) + len(pairs)
        scores[some, 1] = f_measure(near[a, b], near[a, a], near[b, a], near[b, b])
    return scores


def pack(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Bool masks (H, W) as one map of integers: bit k is mask k."""
    kind = np.min_scalar_type((1 << len(masks)) - 1).type
    bits = np.zeros(masks[0].shape, kind)
    for k, mask in enumerate(masks):
        if mask.shape != bits.shape:
            raise ValueError(f"frames of a video are of one size; found {bits.shape} and {mask.shape}")
        bits |= mask * kind(1 << k)  # a product: numpy is slow at shifts
    return bits


def contours_near(bits: np.ndarray, count: int) -> np.ndarray:
    """How many contour pixels of mask i lie near the contour of mask j: (count, count), whole contours on the diagonal.

    `bits` (H, W) holds mask k in bit k.
    """
    height, width = bits.shape
    radius = math.isqrt(height**2 + width**2 - 1) // 125 + 1  # as in `contour_accuracy`
    edge = contour(bits[bounding_box(bits)])
    wide = dilate(edge, radius)
    points = np.flatnonzero(edge != 0)
    a, b = (unpack(m.ravel()[points])[:, :count].astype(np.float32) for m in (edge, wide))
    return (a.T @ b).astype(np.float64)  # counts below 2^24 are exact


def unpack(values: np.ndarray) -> np.ndarray:
    """The bits of n integers, lowest first: (n, bits) of 0 and 1."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    return np.unpackbits(little, bitorder="little").reshape(len(values), 8 * values.itemsize)


def f_measure(near_a, a, near_b, b) -> np.ndarray:
    """F of two contours of `a` and `b` pixels, of which `near_a` and `near_b` lie near the other one; broadcasts."""
    precision, recall = near_a / np.maximum(a, 1), near_b / np.maximum(b, 1)
    total = precision + recall
    f = 2 * precision * recall / np.where(total > 0, total, 1)
    return np.where((a == 0) & (b == 0), 1.0, f)


def mean_over_frames(
    scores: np.ndarray, visible: Sequence[bool] | None = None, frames: Literal["all", "from-first-appearance"] = "all"
) -> np.ndarray:
    """J and F of one expression from those of its frames (T, 2): (2,).

    `from-first-appearance` leaves out the frames before the first in which `visible` says that the target is there;
    one that never appears counts in all of them. Which of the two the Refer-YouTube-VOS server used is unknown.
    """
    if frames not in ("all", "from-first-appearance"):
        raise ValueError(f'frames is {frames!r}; it must be "all" or "from-first-appearance"')
    if frames == "all":
        return scores.mean(axis=0)
    if visible is None or len(visible) != len(scores):
        raise ValueError(f"from-first-appearance needs to know for each of {len(scores)} frames if the target shows")
    return scores[np.argmax(visible) :].mean(axis=0)  # argmax of all False is 0


def temporal_consistency(masks: Sequence) -> float:
    """How steady the masks (T, H, W) of one object are: the mean IoU of each frame's mask with the next one's.

    It asks nothing of the truth: a mask frozen or empty throughout has 1, a moving object less than 1. It tells
    flicker from motion only beside the same number of the ground truth. A single frame has 1.
    """
    pairs = [region_similarity(a, b) for a, b in zip(masks[:-1], masks[1:], strict=True)]
    return float(np.mean(pairs)) if pairs else 1.0


# Ref-DAVIS17: several objects in one map of labels


def merge_objects(probabilities: Sequence, ids: Sequence[int]) -> np.ndarray:
    """One label map of several objects' probabilities, (H, W) or (T, H, W) uint8.

    `probabilities` are N maps, `ids` their labels. Below 0.5 an object is not there; of several the most probable
    one wins, and the first of equals. (Background counts as 0.1, which is below every object that is there.)
    """
    if (
        not len(ids)
        or len(ids) != len(probabilities)
        or len(set(ids)) < len(ids)
        or not set(ids) <= set(range(1, VOID))
    ):
        raise ValueError(f"expected a label of its own, 1 to 254, for each of {len(probabilities)} maps; found {ids}")
    best = np.full(np.shape(probabilities[0]), 0.1)
    labels = np.zeros(best.shape, np.uint8)
    for probability, label in zip(probabilities, ids, strict=True):
        probability = np.asarray(probability)
        wins = (probability >= 0.5) & (probability > best)
        best[wins], labels[wins] = probability[wins], label
    return labels


class PairScores(NamedTuple):
    """What every label of a sequence would score against every object: both protocols are read from it."""

    table: np.ndarray  # (256, 256, 2): mean J and F over frames, by label and by object id
    proposals: int  # the largest label predicted
    objects: int  # the largest id in the first ground-truth frame: the DAVIS unsupervised task counts no others


def pair_scores(labels: Sequence, truths: Sequence) -> PairScores:
    """Scores of one sequence from its index maps, T predicted ones and T of the ground truth, each (H, W) uint8.

    Pixels that are 255 (void) in the ground truth count nowhere. Raises `ValueError` for no frames, for sizes or
    lengths that differ and for labels above 20.
    """
    if not len(truths) or len(labels) != len(truths):
        raise ValueError(f"expected a label map for each ground-truth frame; found {len(labels)} and {len(truths)}")
    total, proposals, objects = np.zeros((IDS, IDS, 2)), 0, 0
    for k, (label, truth) in enumerate(zip(labels, truths, strict=True)):
        label, truth = np.asarray(label, np.uint8), np.asarray(truth, np.uint8)
        if label.shape != truth.shape:
            raise ValueError(f"frame {k}: labels are {label.shape}, the ground truth {truth.shape}")
        if label.max() > MOST_PROPOSALS:
            raise ValueError(f"frame {k}: label {label.max()} found; the protocol knows 1 to {MOST_PROPOSALS}")
        void = truth == VOID
        truth = np.where(void, 0, truth)
        proposals, objects = max(proposals, int(label.max())), objects if k else int(truth.max())
        total += _frame_pairs(np.where(void, 0, label), truth)
    return PairScores(total / len(truths), proposals, objects)


def _frame_pairs(label: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """J and F of one frame for each label against each object, (256, 256, 2), background among both."""
    counts = np.bincount((label.astype(np.intp) * IDS + truth).ravel(), minlength=IDS * IDS).reshape(IDS, IDS)
    sizes, true_sizes = counts.sum(axis=1), counts.sum(axis=0)
    union = sizes[:, None] + true_sizes - counts
    j = np.where(union == 0, 1.0, counts / np.maximum(union, 1))

    shown, true_shown = (1 + np.flatnonzero(s[1:]) for s in (sizes, true_sizes))
    n, m = len(shown), len(true_shown)
    if n + m > 64:
        raise ValueError(f"{n} labels and {m} objects in one frame; expected 64 at most")
    bit = 1 << np.arange(n + m, dtype=np.uint64)
    code, true_code = np.zeros((2, IDS), np.min_scalar_type((1 << n + m) - 1))
    code[shown], true_code[true_shown] = bit[:n], bit[n:]
    near = contours_near(code[label] | true_code[truth], n + m)

    lengths, true_lengths, near_truth, near_label = np.zeros(IDS), np.zeros(IDS), np.zeros(j.shape), np.zeros(j.shape)
    lengths[shown], true_lengths[true_shown] = np.split(near.diagonal(), [n])
    near_truth[np.ix_(shown, true_shown)], near_label[np.ix_(shown, true_shown)] = near[:n, n:], near[n:, :n].T
    return np.stack([j, f_measure(near_truth, lengths[:, None], near_label, true_lengths)], axis=-1)


def id_matched(pairs: PairScores, ids: Sequence[int]) -> np.ndarray:
    """J and F of the objects in `ids` against the label of the same number, (n, 2): a swap costs everything."""
    return pairs.table[list(ids), list(ids)]


def hungarian(pairs: PairScores) -> np.ndarray:
    """J and F of each object under the best assignment of labels, (objects, 2): the DAVIS unsupervised task.

    It maximizes the sum of (J + F) / 2. Labels that were not predicted are empty masks, spare ones cost nothing.
    """
    from scipy.optimize import linear_sum_assignment

    rows = max(pairs.proposals, pairs.objects)
    table = pairs.table[1 : rows + 1, 1 : pairs.objects + 1]
    chosen, objects = linear_sum_assignment(table.mean(axis=-1), maximize=True)
    scores = np.zeros((pairs.objects, 2))
    scores[objects] = table[chosen, objects]
    return scores
