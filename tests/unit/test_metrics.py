"""Metrics against the worked examples of the protocol, slow loops, pycocotools and vos-benchmark."""

import contextlib
import io
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dtse_core.decoder import logits_to_mask, mask_confidence
from dtse_core.metrics import (
    AP_AT,
    coco_map,
    contour_accuracy,
    iou_side,
    mean_iou,
    mean_precision_ap,
    overall_iou,
    overlap,
    precision_at,
    rank_correlation,
    region_similarity,
    sample_ious,
)

COUNTS = np.array([[8, 8], [6, 10], [4, 8], [0, 8]])  # samples A, B, C, D of the worked example


def box(height, width, rows, columns):
    mask = np.zeros((height, width), bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def four_samples():
    target, shifted = box(4, 6, (0, 2), (0, 4)), box(4, 6, (0, 2), (1, 5))
    masks = [target, target, box(4, 6, (0, 2), (0, 2)), np.zeros((4, 6), bool)]
    return masks, [target, shifted, target, target]


def mask_pairs(least=1, most=12):
    sides = st.tuples(st.integers(least, most), st.integers(least, most))
    return sides.flatmap(lambda hw: st.tuples(arrays(bool, hw), arrays(bool, hw)))


def fractions():
    unions = st.one_of(st.integers(1, 60), st.integers(10**6, 10**7).map(lambda u: u // 20 * 20))
    near = st.tuples(unions, st.sampled_from(range(10, 20)), st.integers(-1, 1))
    return near.map(lambda x: (min(max(x[0] * x[1] // 20 + x[2], 0), x[0]), x[0]))


# IoU and its means


def test_worked_example_of_four_samples():
    masks, targets = four_samples()
    assert np.array_equal(overlap(masks, targets), COUNTS)
    assert overall_iou(masks, targets) == pytest.approx(18 / 34)
    assert mean_iou(masks, targets) == pytest.approx(0.525)
    assert overall_iou(COUNTS) == overall_iou(masks, targets)
    assert mean_iou(COUNTS) == mean_iou(masks, targets)


@given(mask_pairs())
def test_overlap_counts_what_a_loop_counts(pair):
    mask, target = pair
    loop = [0, 0]
    for y, x in np.ndindex(mask.shape):
        loop[0] += bool(mask[y, x] and target[y, x])
        loop[1] += bool(mask[y, x] or target[y, x])
    assert overlap([mask], [target]).tolist() == [loop]
    expected = loop[0] / loop[1] if loop[1] else 1.0
    assert sample_ious([mask], [target]) == [expected]
    assert region_similarity(mask, target) == overall_iou([mask], [target]) == expected


def test_masks_may_be_bytes_tensors_and_of_different_sizes():
    masks, targets = four_samples()
    mixed = [masks[0].astype(np.uint8) * 255, torch.from_numpy(masks[1]), masks[2].astype(float), masks[3]]
    assert np.array_equal(overlap(mixed, targets), COUNTS)
    big = [np.ones((3, 5), bool), np.ones((2, 2), bool)]
    assert overlap(big, big).tolist() == [[15, 15], [4, 4]]


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert sample_ious([empty, full, empty], [empty, empty, full]).tolist() == [1, 0, 0]
    assert overall_iou([empty], [empty]) == 1
    assert precision_at(overlap([empty], [empty]), 0.9, ">") == 1


# P@K and the AP that is its mean


@pytest.mark.parametrize(("threshold", "sides"), [(0, [0, 1, 1]), (0.5, [-1, 1, 1]), (1, [-1, 0, 0])])
def test_thresholds_at_the_ends_have_two_sides_too(threshold, sides):
    counts = np.array([[0, 3], [3, 3], [0, 0]])  # IoU 0, 1, and 1 of two empty masks
    for ious in (counts, sample_ious(counts), sample_ious(counts).astype(np.uint8), sample_ious(counts) == 1):
        assert iou_side(ious, threshold).tolist() == sides


@pytest.mark.parametrize(
    ("compare", "at", "ap"),
    [(">=", {0.5: 0.75, 0.55: 0.5, 0.6: 0.5, 0.65: 0.25, 0.95: 0.25}, 0.35),
     (">", {0.5: 0.5, 0.55: 0.5, 0.6: 0.25, 0.65: 0.25, 0.95: 0.25}, 0.30)],
)  # fmt: skip
def test_worked_example_of_precision(compare, at, ap):
    for given_as in (COUNTS, sample_ious(COUNTS), sample_ious(COUNTS).astype(np.float32), [1, 0.6, 0.5, 0]):
        assert {k: precision_at(given_as, k, compare) for k in at} == at
        assert mean_precision_ap(given_as, compare) == pytest.approx(ap, abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "k", "hits"),
    [((4, 8), 0.5, (1, 0, 1)), ((1000, 2000), 0.5, (1, 0, 0)),
     ((7, 10), 0.7, (1, 0, 1)), ((700, 1000), 0.7, (1, 0, 0))],
)  # fmt: skip
def test_ties_follow_the_table_of_three_comparisons(counts, k, hits):
    assert tuple(precision_at([counts], k, c) for c in (">=", ">", "mttr")) == hits


@pytest.mark.parametrize("k", np.arange(0.5, 1, 0.05))
def test_a_tie_is_a_hit_even_where_arange_overshoots(k):
    union = np.array([20, 40, 100, 2000, 200_000])
    counts = np.stack([union * round(k * 20) // 20, union], 1)
    for ious in (counts, counts[:, 0] / counts[:, 1], (counts[:3, 0] / counts[:3, 1]).astype(np.float32)):
        assert precision_at(ious, k) == 1
        assert precision_at(ious, k, ">") == 0


@given(fractions(), st.sampled_from(range(10, 20)))
def test_float_ious_decide_as_exact_fractions_do(counts, k):
    exact = Fraction(*counts) - Fraction(k, 20)
    side = (exact > 0) - (exact < 0)
    assert iou_side(np.array([counts]), k / 20) == side
    assert iou_side([counts[0] / counts[1]], k / 20) == side


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.randoms())
def test_order_of_samples_does_not_matter(intersections, random):
    counts = np.array([(i, 40) for i in intersections])
    shuffled = counts[random.sample(range(len(counts)), len(counts))]
    scores = {tuple(c): s for s, c in enumerate(np.unique(counts, axis=0))}  # equal masks, equal scores
    for metric in (mean_iou, overall_iou, mean_precision_ap, lambda c: coco_map(c, [scores[tuple(r)] for r in c])):
        assert metric(counts) == pytest.approx(metric(shuffled), abs=1e-12)


def test_strict_precision_never_exceeds_the_other_and_falls_with_k():
    counts = np.stack([np.arange(101), np.full(101, 100)], 1)
    for compare in (">=", ">"):
        values = [precision_at(counts, k, compare) for k in AP_AT]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == 10
        expected = [(101 - 5 * k - (compare == ">")) / 101 for k in range(10, 20)]
        assert values == pytest.approx(expected, abs=1e-12)


# AP as COCO defines it

WORST = (0.6, 0.7, 0.8, 0.9)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [((0.9, 0.8, 0.7, 0.6), 360 / 1010), ((0.5,) * 4, 360 / 1010), (WORST, 153.5 / 1010)],
)
def test_worked_example_of_coco_map(scores, expected):
    masks, targets = four_samples()
    assert coco_map(masks, scores, targets) == pytest.approx(expected, abs=1e-12)
    assert coco_map(COUNTS, scores) == pytest.approx(expected, abs=1e-12)


def test_leaving_out_an_empty_mask_or_adding_a_low_one_raises_coco_map():
    masks, targets = four_samples()
    without = coco_map(masks[:3], WORST[:3], targets, ids=[0, 1, 2])
    assert without == pytest.approx((76 + 34 + 34 + 7 * 26 / 3) / 1010, abs=1e-12)
    more = coco_map(masks + targets[1:], WORST + (0.001,) * 3, targets, ids=[0, 1, 2, 3, 1, 2, 3])
    assert more == pytest.approx(0.584866, abs=1e-6)


def pycocotools_map(masks, scores, targets, ids):
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rle = pytest.importorskip("pycocotools.mask")

    def dataset(arrays, images, scores):
        made = coco.COCO()
        made.dataset = {"images": [{"id": i, "height": 4, "width": 6} for i in range(len(targets))]}
        made.dataset |= {"categories": [{"id": 1}], "annotations": []}
        for array, image, score in zip(arrays, images, scores, strict=True):
            code = rle.encode(np.asfortranarray(array.astype(np.uint8)))
            one = {"id": len(made.dataset["annotations"]) + 1, "image_id": int(image), "category_id": 1, "iscrowd": 0}
            one |= {"segmentation": code, "area": int(rle.area(code)), "score": float(score)}
            made.dataset["annotations"].append(one)
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        truth = dataset(targets, range(len(targets)), [1] * len(targets))
        run = cocoeval.COCOeval(truth, dataset(masks, ids, scores), iouType="segm")
        run.params.useCats = 0
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats[0]


@st.composite
def submissions(draw):
    """Masks, scores, targets and ids: equal scores, empty masks and targets, several masks a target or none."""
    total, several = draw(st.integers(1, 6)), draw(st.booleans())
    targets = [draw(arrays(bool, (4, 6))) & draw(st.booleans()) for _ in range(total)]
    ids = sorted(draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=12))) if several else list(range(total))
    flips = arrays(bool, (4, 6), elements=st.sampled_from([False] * 5 + [True]))
    masks = [(targets[i] ^ draw(flips)) & draw(st.sampled_from([True, True, True, False])) for i in ids]
    scores = [draw(st.sampled_from([0, 0.25, 0.5, 1]) | st.floats(0, 1)) for _ in ids]
    return masks, scores, targets, ids


@given(submissions())
def test_coco_map_equals_pycocotools(submitted):
    assert coco_map(*submitted) == pytest.approx(pycocotools_map(*submitted), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_coco_map_of_many_samples_equals_pycocotools(seed):
    rng = np.random.default_rng(seed)
    targets = [rng.random((4, 6)) < rng.uniform(0.3, 0.7) for _ in range(30)]
    ids = np.arange(30) if seed < 2 else np.sort(rng.integers(0, 30, 50))
    masks = [targets[i] ^ (rng.random((4, 6)) < rng.uniform(0, 0.3)) for i in ids]
    scores = rng.integers(0, 8, len(ids)) / 8 if seed % 2 else rng.random(len(ids))  # with ties, without
    expected = pycocotools_map(masks, scores, targets, ids)
    assert coco_map(masks, scores, targets, ids) == pytest.approx(expected, abs=1e-9)
    assert 0 < expected < 1


@pytest.mark.parametrize("twentieths", range(9, 20))
def test_coco_map_counts_ties_as_pycocotools_does(twentieths):
    target = np.arange(100).reshape(4, 25) < 80
    mask = np.arange(100).reshape(4, 25) < 80 * twentieths // 20
    ours = coco_map([mask], [1.0], [target])
    assert ours == pytest.approx(pycocotools_map([mask], [1.0], [target], [0]), abs=1e-9)
    assert ours == pytest.approx((twentieths - 9) / 10)


def test_targets_that_no_mask_was_made_for_are_missed():
    target = box(4, 6, (0, 2), (0, 4))
    assert coco_map([], [], [target]) == coco_map(np.zeros((1, 4, 6)), [0], [target]) == 0
    assert coco_map([target], [1], [target, target], ids=[1]) == pytest.approx(51 / 101)  # half, at 101 recalls


def test_coco_map_looks_at_a_hundred_masks_of_a_target():
    target = box(4, 6, (0, 2), (0, 4))
    for wrong, found in ((99, True), (100, False)):  # before the right mask of the second target
        masks, ids = [~target] * (3 + wrong) + [target], [0] * 3 + [1] * (wrong + 1)
        scores = np.linspace(1, 0, len(ids))
        expected = pycocotools_map(masks, scores, [target, target], ids)
        assert coco_map(masks, scores, [target, target], ids) == pytest.approx(expected, abs=1e-12)
        assert (expected > 0) == found


# J and F

SQUARE = box(16, 16, (4, 8), (4, 8))


def moved(dy, dx):
    return np.roll(SQUARE, (dy, dx), axis=(0, 1))


EMPTY, FULL = np.zeros((16, 16), bool), np.ones((16, 16), bool)


@pytest.mark.parametrize(
    ("mask", "target", "j", "f"),
    [
        (SQUARE, SQUARE, 1, 1),
        (moved(0, 1), SQUARE, 12 / 20, 1),
        (moved(0, 2), SQUARE, 8 / 24, 10 / 16),
        (moved(0, 3), SQUARE, 4 / 28, 9 / 16),
        (moved(0, 4), SQUARE, 0, 7 / 16),
        (moved(0, 6), SQUARE, 0, 0),
        (moved(1, 1), SQUARE, 9 / 23, 15 / 16),
        (box(16, 16, (4, 8), (4, 6)), SQUARE, 1 / 2, 11 / 14),
        (EMPTY, SQUARE, 0, 0),
        (FULL, SQUARE, 16 / 256, 0),
        (EMPTY, EMPTY, 1, 1),
        (FULL, FULL, 1, 1),
        (EMPTY, FULL, 0, 1),
        (SQUARE, EMPTY, 0, 0),
    ],
)
def test_worked_example_of_j_and_f(mask, target, j, f):
    assert region_similarity(mask, target) == pytest.approx(j, abs=1e-12)
    assert contour_accuracy(mask, target) == pytest.approx(f, abs=1e-12)


RADII = {(75, 100): 1, (240, 320): 4, (256, 448): 5, (360, 640): 6, (480, 854): 8, (480, 910): 9, (600, 800): 8,
         (720, 1280): 12, (1080, 1920): 18}  # fmt: skip


@pytest.mark.parametrize(("size", "radius"), RADII.items())
def test_contours_meet_within_the_radius_and_not_beyond(size, radius):
    target = box(*size, (20, 30), (20, 30))
    for gap, near in ((radius, True), (radius + 1, False)):
        mask = box(*size, (20, 30), (30 + gap, 40 + gap))  # the facing columns of both contours are `gap` apart
        assert (contour_accuracy(mask, target) > 0) == near


def slow_f(mask, target, void=None):
    """The definition, pixel by pixel."""
    height, width = mask.shape
    if void is not None:
        mask, target = mask & ~void, target & ~void

    def contour(s):
        points = []
        for y, x in np.ndindex(height, width):
            last_row, last_column = y == height - 1, x == width - 1
            near = []
            if not last_column:
                near.append(s[y, x + 1])
            if not last_row:
                near.append(s[y + 1, x])
            if not last_row and not last_column:
                near.append(s[y + 1, x + 1])
            if any(n != s[y, x] for n in near):
                points.append((y, x))
        return points

    a, b, radius = contour(mask), contour(target), math.ceil(0.008 * math.hypot(height, width))
    if not a or not b:
        return float(len(a) == len(b))

    def share(these, those):
        return sum(any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in those) for y, x in these) / len(these)

    p, r = share(a, b), share(b, a)
    return 2 * p * r / (p + r) if p + r else 0.0


@given(mask_pairs(), st.booleans())
def test_f_equals_the_definition_on_small_masks(pair, use_void):
    void = np.random.default_rng(0).random(pair[0].shape) < 0.2 if use_void else None
    assert contour_accuracy(*pair, void) == pytest.approx(slow_f(*pair, void), abs=1e-12)


def test_f_equals_the_definition_at_a_radius_of_two():
    rng = np.random.default_rng(1)
    for _ in range(3):
        corner, sides = rng.integers(0, 110, 2), rng.integers(4, 20, 2)
        target = box(120, 130, (corner[0], corner[0] + sides[0]), (corner[1], corner[1] + sides[1]))
        mask = np.roll(target, rng.integers(-4, 5, 2), (0, 1))
        assert contour_accuracy(mask, target) == pytest.approx(slow_f(mask, target), abs=1e-12)


def smooth(rng, height, width):
    noise = torch.from_numpy(rng.standard_normal((1, 1, height // 16 + 2, width // 16 + 2)))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")[0, 0].numpy() > 0.3


@pytest.mark.parametrize("size", [(75, 100), (97, 61), (240, 320), (360, 640)])
def test_j_and_f_equal_vos_benchmark(size):
    evaluator = pytest.importorskip("vos_benchmark.evaluator")
    rng = np.random.default_rng(sum(size))
    for void in (None, smooth(rng, *size)):
        mask, target = smooth(rng, *size), smooth(rng, *size)
        kept = np.ones(size, bool) if void is None else ~void
        oracle = evaluator.Evaluator()
        oracle.feed_frame((mask & kept).astype(np.uint8), (target & kept).astype(np.uint8))
        j, f = (values[1] / 100 for values in oracle.conclude())
        assert region_similarity(mask, target, void) == pytest.approx(j, abs=1e-12)
        assert contour_accuracy(mask, target, void) == pytest.approx(f, abs=1e-12)
        assert 0 < f < 1


@given(mask_pairs())
def test_j_and_f_are_symmetric_and_within_bounds(pair):
    for metric in (region_similarity, contour_accuracy):
        value = metric(*pair)
        assert 0 <= value <= 1
        assert value == metric(*pair[::-1])
        assert isinstance(value, float)


# From logits to a mask


def test_thresholding_before_resizing_gives_another_mask_and_ours_is_after():
    logits = torch.tensor([[-1.0, 3.0]])
    after = logits_to_mask(logits, 1, 8)
    # Resized values at the pixel centres are -1, -1, -.5, .5, 1.5, 2.5, 3, 3 by hand.
    assert after.tolist() == [[False, False, False, True, True, True, True, True]]
    before = torch.nn.functional.interpolate((logits > 0).float()[None, None], (1, 8)).bool()[0, 0]
    assert before.tolist() != after.tolist()


def test_logits_of_a_batch_are_resized_one_by_one():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    masks = logits_to_mask(logits, 9, 7)
    assert masks.shape == (2, 3, 9, 7)
    assert torch.equal(masks[1, 2], logits_to_mask(logits[1, 2], 9, 7))
    assert torch.equal(logits_to_mask(logits, 4, 5), logits > 0)


def test_what_is_as_likely_inside_as_outside_is_background():
    assert not logits_to_mask(torch.zeros(2, 3), 4, 6).any()


def test_confidence_is_the_mean_probability_inside_the_mask():
    probabilities = np.array([[0.9, 0.7], [0.2, 0.1]])
    assert mask_confidence(probabilities, probabilities > 0.5) == pytest.approx(0.8)
    assert mask_confidence(torch.from_numpy(probabilities), torch.tensor([[0, 0], [1, 1]])) == pytest.approx(0.15)
    assert mask_confidence(probabilities, probabilities > 1) == 0


# What is refused


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: overall_iou([], []), "no samples"),
        (lambda: mean_iou(np.zeros((0, 2), int)), "no samples"),
        (lambda: precision_at([], 0.5), "no samples"),
        (lambda: mean_precision_ap([]), "no samples"),
        (lambda: coco_map([], [], []), "no samples"),
        (lambda: overlap(np.array([[3, 4], [5, 4]])), "found 5 of 4 pixels"),  # the union first
        (lambda: overall_iou(np.array([[-1, 4]], dtype=np.int16)), "found -1 of 4 pixels"),
        (lambda: overlap([np.ones((2, 2))], []), "1 masks and 0 targets"),
        (lambda: overlap([np.ones((2, 3))], [np.ones((3, 2))]), r"\(2, 3\) and \(3, 2\)"),
        (lambda: mean_iou([0.5, 0.7]), "masks with targets"),
        (lambda: precision_at([0.5], 0.5, "<"), "compare is '<'"),
        (lambda: precision_at([0.5], 0.5, "mttr"), "integer counts"),
        (lambda: precision_at([0.5, math.nan], 0.5), "within"),
        (lambda: precision_at([52.0], 0.5), "within"),
        (lambda: coco_map(COUNTS, [0.1, 0.2, 0.3, math.nan]), "finite scores"),
        (lambda: coco_map(COUNTS, [0.1, 0.2]), "4 finite scores"),
        (lambda: coco_map(COUNTS, WORST, ids=[0, 1]), "4 finite scores and ids"),
        (lambda: coco_map([SQUARE], [1], [SQUARE], ids=[1]), "ids in 0 ... 0, the targets' indices; found 1 ... 1"),
        (lambda: coco_map([SQUARE], [1], [SQUARE], ids=[-1]), "found -1 ... -1"),
        (lambda: region_similarity(SQUARE, SQUARE[:8]), "one size"),
        (lambda: region_similarity(SQUARE[None], SQUARE[None]), r"two maps \(H, W\) of one size"),
        (lambda: contour_accuracy(SQUARE, SQUARE, np.zeros((8, 8))), "one size"),
        (lambda: mask_confidence(np.zeros((2, 2)), np.zeros((2, 3))), "one size"),
    ],
)
def test_nonsense_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_rank_correlation_equals_scipys_with_ties(pairs):
    stats = pytest.importorskip("scipy.stats")
    a, b = zip(*pairs, strict=True)
    ours = rank_correlation(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


@pytest.mark.parametrize("soft", [0.5, 1e-6, 254.9, float("inf")])
@pytest.mark.parametrize("metric", [overlap, region_similarity, contour_accuracy])
def test_a_mask_of_probabilities_is_refused_and_one_of_whole_numbers_is_not(metric, soft):
    """Anything above 0 would count as foreground: a resized mask would be too large, a probability map a full frame."""
    square = np.zeros((6, 6))
    square[2:4, 2:4] = 255
    given = (lambda m: ([m], [square])) if metric is overlap else (lambda m: (m, square))
    metric(*given(square))
    vague = square.copy()
    vague[0, 0] = soft
    with pytest.raises(ValueError, match=r"compare it with a threshold first"):
        metric(*given(vague))


@pytest.mark.parametrize(
    ("vague", "said"),
    [
        (np.full((6, 6), 0.5, dtype=object), "compare it with a threshold first"),
        (np.full((6, 6), 0.5 + 0j), "holds complex128; it must hold real numbers or booleans"),
        (np.full((6, 6), "0"), "it must hold real numbers or booleans"),
    ],
    ids=["object", "complex", "text"],
)
def test_no_kind_of_array_hides_what_is_neither_inside_nor_outside(vague, said):
    with pytest.raises(ValueError, match=said):
        region_similarity(vague, np.ones((6, 6)))


@pytest.mark.parametrize("soft", [0.5, 1e-6, float("nan")])
@pytest.mark.parametrize("metric", [region_similarity, contour_accuracy])
def test_a_void_map_is_as_definite_as_a_mask(metric, soft):
    """A resized one would leave out more than it was drawn for."""
    square = np.zeros((6, 6))
    square[2:4, 2:4] = 255
    void = np.zeros((6, 6))
    void[0, 0] = 1.0
    assert metric(square, square, void) == 1
    void[0, 0] = soft
    with pytest.raises(ValueError, match="a mask holds"):
        metric(square, square, void)
