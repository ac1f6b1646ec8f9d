"""The field's metrics, decided in integers: IoU, P@K, two kinds of AP, J and F.

A sample is one (video, annotated frame, sentence). The metrics of a set take either masks and
targets (sequences of (H, W) arrays, non-zero is foreground, at the annotation's original size) or
the integer counts that `overlap` makes of them, which is what an evaluation keeps. All return plain
floats in [0, 1]. An empty set raises `ValueError`; two empty masks agree: IoU = J = F = 1.
Built in notebook 09.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

Masks = Sequence[np.ndarray] | np.ndarray  # of a set, or its counts (N, 2)

P_AT = (0.5, 0.6, 0.7, 0.8, 0.9)  # the five P@K that papers print
AP_AT = tuple(k / 20 for k in range(10, 20))  # 0.50, 0.55 ... 0.95, for both kinds of AP


def overlap(masks: Masks, targets: Masks | None = None) -> np.ndarray:
    """Pixels in the intersection and in the union of each sample: (N, 2) int64.

    Counts given in place of masks (and no targets) come back as they are. Raises `ValueError` for an empty set, lists
    of different lengths, masks of different shapes, negative counts and an intersection larger than its union.
    """
    if targets is None:
        counts = np.asarray(masks)
        if counts.size and (counts.ndim != 2 or counts.shape[1] != 2 or counts.dtype.kind not in "iu"):
            raise ValueError(
                f"expected masks with targets, or integer counts (N, 2); found {counts.dtype} {counts.shape} alone"
            )
        if counts.size and (wrong := counts[(counts[:, 0] < 0) | (counts[:, 0] > counts[:, 1])]).size:
            raise ValueError("expected intersections and unions, in order; found {} of {} pixels".format(*wrong[0]))
    elif len(masks) != len(targets):
        raise ValueError(f"expected one mask for each target; found {len(masks)} masks and {len(targets)} targets")
    else:
        pairs = (mask_pair(mask, target) for mask, target in zip(masks, targets, strict=True))
        counts = np.array([(np.count_nonzero(m & t), np.count_nonzero(m | t)) for m, t in pairs])
    if counts.size == 0:
        raise ValueError("no samples: a metric of nothing is undefined (is the split empty?)")
    return counts.astype(np.int64)


def sample_ious(masks: Masks, targets: Masks | None = None) -> np.ndarray:
    """IoU of each sample, (N,) float64: I / U, and 1 where both masks are empty."""
    counts = overlap(masks, targets)
    return np.where(counts[:, 1] == 0, 1.0, counts[:, 0] / np.maximum(counts[:, 1], 1))


def mean_iou(masks: Masks, targets: Masks | None = None) -> float:
    """Mean of the samples' IoU: every object weighs the same."""
    return float(np.mean(sample_ious(masks, targets)))


def overall_iou(masks: Masks, targets: Masks | None = None) -> float:
    """All intersections over all unions, no epsilon: large objects dominate."""
    intersection, union = overlap(masks, targets).sum(axis=0)
    return float(intersection / union) if union else 1.0


def iou_side(ious: ArrayLike, threshold: float) -> np.ndarray:
    """On which side of the threshold each sample lies: -1 below, 0 exactly on it, 1 above.

    `ious` are counts (N, 2), compared in integers: I/U >= p/q is q*I >= p*U. Or they are floats
    (N,), where a difference of a few units in the last place is a tie. That decides as the integers
    do, because I/U and k/20 differ by at least 1/(20 U) or not at all: exact for any mask below
    10^13 pixels in float64 and 10^5 in float32.
    """
    ious = np.asarray(ious)
    if ious.ndim == 2:
        intersection, union = overlap(ious).T
        p, q = Fraction(threshold).limit_denominator(1000).as_integer_ratio()  # 0.6000000000000001 is 3/5
        return np.where(union == 0, np.sign(q - p), np.sign(q * intersection - p * union))
    if ious.size == 0:
        raise ValueError("no samples: a metric of nothing is undefined (is the split empty?)")
    if ious.ndim != 1 or not np.all((ious >= 0) & (ious <= 1)):
        raise ValueError(f"expected IoUs (N,) within [0, 1] or counts (N, 2); found shape {ious.shape}")
    last_place = np.finfo(ious.dtype if ious.dtype.kind == "f" else np.float64).eps
    gap = ious.astype(np.float64) - threshold
    return np.where(np.abs(gap) <= 4 * last_place, 0, np.sign(gap)).astype(int)


def precision_at(ious: ArrayLike, threshold: float, compare: str = ">=") -> float:
    """P@K: the share of samples whose IoU reaches the threshold; arguments as in `hits_at`."""
    return float(np.mean(hits_at(ious, threshold, compare)))


def hits_at(ious: ArrayLike, threshold: float, compare: str = ">=") -> np.ndarray:
    """Which samples reach the threshold, (N,) bool.

    `ious` are floats (N,) or counts (N, 2). `compare` is ">=", ">", or "mttr": that family's `>` on
    a float32 IoU with an epsilon, so that ties depend on size; it needs counts.
    """
    if compare == ">=":
        return iou_side(ious, threshold) >= 0
    if compare == ">":
        return iou_side(ious, threshold) > 0
    if compare == "mttr":
        intersection, union = overlap(np.asarray(ious)).astype(np.float32).T + np.float32(1e-6)
        return (intersection / union).astype(np.float64) > threshold
    raise ValueError(f'compare is {compare!r}; it must be ">=", ">" or "mttr"')


def mean_precision_ap(ious: ArrayLike, compare: str = ">=") -> float:
    """AP as the mean of the ten P@K, K = 0.50, 0.55 ... 0.95. It ignores confidence."""
    return float(np.mean([precision_at(ious, k, compare) for k in AP_AT]))


def coco_map(masks: Masks, scores: ArrayLike, targets: Masks | None = None, ids: Sequence[int] | None = None) -> float:
    """mAP as COCO defines it (type segm, one class, one target an image, area "all").

    `masks` and `targets`, or counts; `scores` (N,) rank the masks. `ids` (N,) are indices into
    `targets` where a target has several masks or none; by default mask i belongs to target i. Equal scores
    rank in the order given, so sort samples by id. An empty mask is submitted like any other, with
    the score 0 that `mask_confidence` gives it: leaving it out would remove a false positive.
    As in COCO, and unlike IoU elsewhere, an empty mask never matches an empty target.
    """
    n, total = len(masks), len(masks if targets is None else targets)
    score, of = np.asarray(scores, dtype=np.float64), np.arange(n) if ids is None else np.asarray(ids, dtype=int)
    if score.shape != (n,) or of.shape != (n,) or not np.isfinite(scores).all():
        raise ValueError(f"expected {n} finite scores and ids, one a mask; found {score.shape} and {of.shape}")
    if n and not 0 <= of.min() <= of.max() < total:
        raise ValueError(f"expected ids in 0 ... {total - 1}, the targets' indices; found {of.min()} ... {of.max()}")
    if n == 0 and total:
        return 0.0
    counts = overlap(masks, None if targets is None else [targets[i] for i in of])
    order = np.lexsort((-score, of))  # by target, best first
    order = order[np.arange(n) - np.searchsorted(of[order], of[order]) < 100]  # at most 100 masks a target
    order = order[np.argsort(-score[order], kind="stable")]
    counts, of = counts[order], of[order]
    precisions = []
    for threshold in AP_AT:
        hits = np.flatnonzero((iou_side(counts, threshold) >= 0) & (counts[:, 1] > 0))
        found = np.zeros(len(order))
        found[hits[np.unique(of[hits], return_index=True)[1]]] = 1  # a target is found once
        found = np.cumsum(found)
        precision = np.maximum.accumulate((found / np.arange(1, len(order) + 1))[::-1])[::-1]
        reach = np.searchsorted(found / total, np.linspace(0, 1, 101))  # 101 points of recall
        precisions.append(np.append(precision, 0.0)[reach].mean())
    return float(np.mean(precisions))


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """Spearman's correlation of two lists, equal values sharing their mean rank; None if a list is constant."""
    ranks = []
    for values in (a, b):
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(count) - (count - 1) / 2)[place])
    if any(np.ptp(r) == 0 for r in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def region_similarity(mask: ArrayLike, target: ArrayLike, void: ArrayLike | None = None) -> float:
    """J of one frame: IoU of two (H, W) masks over the pixels outside `void`; 1 if both are empty."""
    mask, target = mask_pair(mask, target, void)
    union = np.count_nonzero(mask | target)
    return np.count_nonzero(mask & target) / union if union else 1.0


def contour_accuracy(mask: ArrayLike, target: ArrayLike, void: ArrayLike | None = None) -> float:
    """F of one frame: harmonic mean of the shares of each contour near the other one.

    Near is within r = ceil(0.008 * diagonal) pixels. Both contours empty give 1, one gives 0. A mask
    that covers the whole frame has no contour: against an empty one J is 0 and F is 1.
    """
    mask, target = mask_pair(mask, target, void)
    height, width = mask.shape
    radius = math.isqrt(height**2 + width**2 - 1) // 125 + 1  # the ceiling, in integers: a diagonal of 125 gives 1
    box = bounding_box(mask | target)
    contours = [contour(m[box]) for m in (mask, target)]
    a, b = map(np.count_nonzero, contours)
    if not (a and b):
        return float(a == b)
    precision = np.count_nonzero(contours[0] & dilate(contours[1], radius)) / a
    recall = np.count_nonzero(contours[1] & dilate(contours[0], radius)) / b
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def bounding_box(foreground: np.ndarray) -> tuple[slice, slice]:
    """The foreground's box and one pixel around it, which holds the whole contour."""
    rows, columns = np.flatnonzero(foreground.any(axis=1)), np.flatnonzero(foreground.any(axis=0))
    y, x = (slice(max(i[0] - 1, 0), i[-1] + 2) if len(i) else slice(0, 0) for i in (rows, columns))
    return y, x


def contour(mask: np.ndarray) -> np.ndarray:
    """Marks pixels that differ from their right, lower or lower-right neighbor inside the frame.

    The mask is bool, or of integers that hold one mask in each bit: so is the result.
    """
    edge = np.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def dilate(points: np.ndarray, radius: int) -> np.ndarray:
    """Dilation with the disk dx^2 + dy^2 <= radius^2, row by row of the disk, the widest last; bits as in `contour`.

    Rows lie one behind the other with `radius` empty pixels between them, so that every shift is one of a flat array.
    """
    row = points.shape[1] + radius
    flat = np.pad(points, [(0, 0), (0, radius)]).ravel()
    out, wide, half = flat.copy(), flat.copy(), 0
    for dy in range(radius, -1, -1):
        while half < math.isqrt(radius**2 - dy**2):
            half += 1
            wide[half:] |= flat[:-half]
            wide[:-half] |= flat[half:]
        if (shift := dy * row) < flat.size:
            out[shift:] |= wide[: flat.size - shift]
            out[: flat.size - shift] |= wide[shift:]
    return out.reshape(-1, row)[:, : points.shape[1]]


def mask_pair(mask: ArrayLike, target: ArrayLike, void: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as bool (H, W), background where `void` is set.

    Raises `ValueError` if shapes differ, and for NaN and fractions in any of them, which say no more than *perhaps*.
    """
    mask, target = _inside(mask), _inside(target)
    _same_shape(mask, target)
    if void is None:
        return mask, target
    kept = ~_inside(void)
    _same_shape(kept, target)
    return mask & kept, target & kept


def _inside(mask: ArrayLike) -> np.ndarray:
    values = np.asarray(mask)
    if values.dtype.kind not in "biufO":
        raise ValueError(f"a mask holds {values.dtype}; it must hold real numbers or booleans")
    if values.dtype.kind in ("f", "O"):
        values = values.astype(np.float64)
        if np.isnan(values).any():
            raise ValueError("a mask holds NaN, which is neither inside nor outside")
        if (between := values[(values != np.floor(values)) | np.isinf(values)]).size:
            raise ValueError(f"a mask holds {between[0]:g}; compare it with a threshold first, as in mask > 0.5")
    return values.astype(bool)


def _same_shape(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"expected two maps (H, W) of one size; found {a.shape} and {b.shape}")
