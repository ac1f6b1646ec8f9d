"""Numbers of videos against single frames, slow loops, all assignments, vos-benchmark and the protocol's tables."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dtse_core.metrics import contour_accuracy, region_similarity
from dtse_core.scoring.video_metrics import (
    contours_near,
    hungarian,
    id_matched,
    j_and_f,
    mean_over_frames,
    merge_objects,
    pack,
    pair_scores,
    temporal_consistency,
    unpack,
)

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 11))  # frames, height, width


def squares(*corners, side=4, size=16):
    """An index map with square k at corner k, numbered from 1."""
    labels = np.zeros((size, size), np.uint8)
    for k, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = k
    return labels


def blobs(rng, frames, height, width, above=0.3):
    noise = torch.from_numpy(rng.standard_normal((frames, 1, height // 12 + 2, width // 12 + 2)))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")[:, 0].numpy() > above


# J and F of many frames


@given(sizes.flatmap(lambda s: st.tuples(*[arrays(bool, s)] * 3)), st.booleans())
def test_many_frames_score_as_each_does_alone(maps, use_void):
    masks, targets, voids = maps
    voids = [v if k % 2 else None for k, v in enumerate(voids)] if use_void else [None] * len(masks)
    alone = [(region_similarity(*frame), contour_accuracy(*frame)) for frame in zip(masks, targets, voids, strict=True)]
    assert np.array_equal(j_and_f(masks, targets, voids if use_void else None), alone)


@pytest.mark.parametrize("size", [(75, 100), (160, 241), (480, 854)])
def test_video_scores_equal_vos_benchmark(size):
    evaluator = pytest.importorskip("vos_benchmark.evaluator")
    rng = np.random.default_rng(sum(size))
    frames = 6 if size[0] < 400 else 2
    masks, targets, voids = (blobs(rng, frames, *size, above) for above in (0.3, 0.3, 1))
    for void in (None, voids):
        kept = np.ones_like(masks) if void is None else ~void
        oracle = evaluator.Evaluator()
        for mask, target in zip(masks & kept, targets & kept, strict=True):
            oracle.feed_frame(mask.astype(np.uint8), target.astype(np.uint8))
        expected = [values[1] / 100 for values in oracle.conclude()]
        assert j_and_f(masks, targets, void).mean(axis=0) == pytest.approx(expected, abs=1e-9)
        assert 0 < expected[1] < 1


def test_worked_example_of_j_and_f_in_one_call():
    square = squares((4, 4)) > 0
    moves = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 6), (1, 1)]
    half, empty, full = square & (np.arange(16) < 6), np.zeros((16, 16), bool), np.ones((16, 16), bool)
    masks = [np.roll(square, by, (0, 1)) for by in moves] + [half, empty, full, empty, full, empty, square]
    targets = [square] * 10 + [empty, full, full, empty]
    expected = [(1, 1), (12 / 20, 1), (8 / 24, 10 / 16), (4 / 28, 9 / 16), (0, 7 / 16), (0, 0), (9 / 23, 15 / 16)]
    expected += [(1 / 2, 11 / 14), (0, 0), (16 / 256, 0), (1, 1), (1, 1), (0, 1), (0, 0)]
    assert j_and_f(masks, targets) == pytest.approx(np.array(expected), abs=1e-12)


def test_masks_of_any_kind_are_read_as_foreground():
    rng = np.random.default_rng(0)
    masks, targets = blobs(rng, 3, 40, 60), blobs(rng, 3, 40, 60)
    given_as = torch.from_numpy(masks), [255 * t.astype(np.uint8) for t in targets]
    assert np.array_equal(j_and_f(*given_as), j_and_f(masks, targets))


@given(st.integers(1, 40), st.integers(0, 99))
def test_bits_come_back_as_masks_and_contours_meet_as_in_pairs(count, seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, 6, 7)) < rng.random((count, 1, 1))
    bits = pack(list(masks))
    assert np.array_equal(unpack(bits.ravel())[:, :count].T.reshape(masks.shape), masks)
    near = contours_near(bits, count)
    for i, j in itertools.islice(itertools.product(range(count), repeat=2), 60):
        one, two = near[i, i], near[j, j]
        p, r = near[i, j] / max(one, 1), near[j, i] / max(two, 1)
        expected = contour_accuracy(masks[i], masks[j])
        assert expected == pytest.approx(2 * p * r / (p + r) if p + r else float(one == two == 0), abs=1e-12)


# Expressions over frames


def test_frames_before_the_first_appearance_count_or_not():
    scores = np.array([[1, 1], [0.5, 0.25], [0, 0.5]])
    assert mean_over_frames(scores).tolist() == pytest.approx([0.5, 1.75 / 3])
    late = mean_over_frames(scores, [False, True, False], "from-first-appearance")
    assert late.tolist() == [0.25, 0.375]
    for visible in ([True, False, False], [False] * 3):
        assert np.array_equal(mean_over_frames(scores, visible, "from-first-appearance"), scores.mean(axis=0))


def test_a_sentence_without_target_asks_for_empty_masks():
    none, some = np.zeros((16, 16), bool), squares((4, 4)) > 0
    assert j_and_f([none, some], [none, none]).tolist() == [[1, 1], [0, 0]]


@given(sizes.flatmap(lambda s: arrays(bool, s)))
def test_temporal_consistency_equals_the_loop(masks):
    ious = []
    for a, b in itertools.pairwise(masks):
        both = sum(bool(p and q) for p, q in zip(a.flat, b.flat, strict=True))
        either = sum(bool(p or q) for p, q in zip(a.flat, b.flat, strict=True))
        ious.append(both / either if either else 1)
    assert temporal_consistency(masks) == pytest.approx(sum(ious) / len(ious) if ious else 1)


def test_flicker_lowers_temporal_consistency_below_that_of_the_truth():
    truth = [np.roll(squares((4, 4)) > 0, k, 1) for k in range(6)]
    flicker = [m if k % 2 else np.zeros_like(m) for k, m in enumerate(truth)]
    assert temporal_consistency(truth) == pytest.approx(12 / 20)
    assert temporal_consistency(flicker) == 0
    assert temporal_consistency([truth[0]] * 6) == 1


# Several objects in one map


@pytest.mark.parametrize(
    ("probabilities", "label"),
    [((0.7, 0.6), 1), ((0.49, 0.3), 0), ((0.5, 0.2), 1), ((0.6, 0.6), 1), ((0.05, 0.9), 2)],
)
def test_worked_example_of_merging(probabilities, label):
    maps = np.array(probabilities).reshape(2, 1, 1)
    assert merge_objects(maps, [1, 2]).tolist() == [[label]]
    assert merge_objects(torch.from_numpy(maps).float(), [5, 3]).tolist() == [[(0, 5, 3)[label]]]


@given(sizes.flatmap(lambda s: arrays(np.float32, s, elements=st.sampled_from([0, 0.05, 0.25, 0.5, 0.75, 1]))))
def test_merging_equals_argmax_with_a_background_of_a_tenth(probabilities):
    kept = np.where(probabilities < 0.5, 0, probabilities)
    expected = np.argmax([np.full(kept.shape[1:], 0.1), *kept], axis=0)
    merged = merge_objects(probabilities, range(1, len(kept) + 1))
    assert merged.dtype == np.uint8 and np.array_equal(merged, expected)
    over_time = np.stack([probabilities, 1 - probabilities], 1)  # (N, 2, H, W)
    assert np.array_equal(merge_objects(over_time, range(1, len(kept) + 1))[0], expected)


def index_maps(objects=3, void=True):
    values = st.sampled_from([*range(objects + 1), *([255] * void)])
    return sizes.flatmap(
        lambda s: st.tuples(arrays(np.uint8, s, elements=st.integers(0, objects)), arrays(np.uint8, s, elements=values))
    )


def slow_pair(labels, truths, label, truth):
    """J and F of one label against one object, frame by frame."""
    scores = []
    for p, g in zip(labels, truths, strict=True):
        frame = p == label, g == truth, g == 255
        scores.append((region_similarity(*frame), contour_accuracy(*frame)))
    return np.mean(scores, axis=0)


@given(index_maps())
def test_every_pair_of_label_and_object_scores_as_two_masks_do(maps):
    pairs = pair_scores(*maps)
    for label, truth in itertools.product(range(1, 5), repeat=2):  # 4 never shows
        assert pairs.table[label, truth] == pytest.approx(slow_pair(*maps, label, truth), abs=1e-12)
    assert np.array_equal(id_matched(pairs, [3, 1]), [pairs.table[3, 3], pairs.table[1, 1]])


@given(index_maps())
def test_hungarian_is_the_best_of_all_assignments(maps):
    labels, truths = maps
    pairs = pair_scores(labels, truths)
    objects = max((int(g) for g in truths[0].flat if g != 255), default=0)
    proposals = max(int(labels.max()), objects)  # missing ones are empty masks
    assert (pairs.proposals, pairs.objects) == (labels.max(), objects)
    best = 0.0
    for chosen in itertools.permutations(range(1, proposals + 1), objects):
        scores = [slow_pair(labels, truths, p, g) for g, p in enumerate(chosen, 1)]
        best = max(best, float(np.sum(scores)) / 2)
    assert hungarian(pairs).shape == (objects, 2)
    assert hungarian(pairs).sum() / 2 == pytest.approx(best, abs=1e-9)


def test_worked_example_of_the_swap():
    truth, swapped = [squares((2, 2), (10, 10))] * 3, [squares((10, 10), (2, 2))] * 3
    pairs = pair_scores(swapped, truth)
    assert hungarian(pairs).tolist() == [[1, 1], [1, 1]]
    assert id_matched(pairs, [1, 2]).tolist() == [[0, 0], [0, 0]]
    same = pair_scores(truth, truth)
    annotators = [same, same, pairs, same]  # set k = 2 swapped
    assert np.mean([id_matched(p, [1, 2]) for p in annotators]) == 0.75
    assert np.mean([hungarian(p) for p in annotators]) == 1


def test_the_first_frame_says_how_many_objects_hungarian_knows():
    two, three = squares((2, 2), (10, 10)), squares((2, 2), (10, 10), (2, 10))
    late = pair_scores([two, two], [two, three])
    assert hungarian(late).tolist() == [[1, 1], [1, 1]]
    assert id_matched(late, [1, 2, 3]).tolist() == [[1, 1], [1, 1], [0.5, 0.5]]
    spare = pair_scores([three, three], [two, two])
    assert hungarian(spare).tolist() == [[1, 1], [1, 1]]
    missing = pair_scores([squares((2, 2))] * 2, [two, two])
    assert hungarian(missing).tolist() == [[1, 1], [0, 0]]
    gone = pair_scores([squares((2, 2), (2, 10))] * 2, [two, squares((2, 2))])  # label 2 is wrong where it is
    assert hungarian(gone).tolist() == [[1, 1], [0, 0]]  # no empty mask in its place: as many labels as objects


def test_void_counts_for_no_object():
    truth, labels = squares((2, 2), (10, 10)), squares((2, 2), (10, 10))
    truth[4:, :8], labels[5:10, :5] = 255, 2
    assert hungarian(pair_scores([labels], [truth])).tolist() == [[1, 1], [1, 1]]


def test_objects_of_a_sequence_score_as_in_vos_benchmark():
    evaluator = pytest.importorskip("vos_benchmark.evaluator")
    rng = np.random.default_rng(3)
    truths, labels = (np.argmax([blobs(rng, 4, 90, 120, 2), *(blobs(rng, 4, 90, 120) for _ in range(9))], axis=0)
                      .astype(np.uint8) for _ in range(2))  # fmt: skip
    truths[:, :10] = 255
    oracle = evaluator.Evaluator()
    for label, truth in zip(labels, truths, strict=True):
        oracle.feed_frame(np.where(truth == 255, 0, label), np.where(truth == 255, 0, truth))
    js, fs = oracle.conclude()
    ids = sorted(js)
    assert len(ids) > 4 and set(ids) <= set(truths[0].flat)  # there from the first frame on
    expected = [(js[i] / 100, fs[i] / 100) for i in ids]
    assert id_matched(pair_scores(labels, truths), ids) == pytest.approx(np.array(expected), abs=1e-9)


# What is refused

MAP = squares((4, 4))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: j_and_f([], []), "found 0 masks"),
        (lambda: j_and_f([MAP], [MAP, MAP]), "1 masks, 2 targets"),
        (lambda: j_and_f([MAP], [MAP], []), "0 void maps"),
        (lambda: j_and_f([MAP], [MAP[:8]]), "one size"),
        (lambda: j_and_f([MAP, MAP[:8]], [MAP, MAP[:8]]), r"\(16, 16\) and \(8, 16\)"),
        (lambda: mean_over_frames(np.ones((2, 2)), None, "first"), "frames is 'first'"),
        (lambda: mean_over_frames(np.ones((2, 2)), [True], "from-first-appearance"), "each of 2 frames"),
        (lambda: merge_objects([MAP, MAP], [1]), "each of 2 maps; found \\[1\\]"),
        (lambda: merge_objects([MAP, MAP], [1, 1]), "label of its own"),
        (lambda: merge_objects([MAP], [255]), "1 to 254"),
        (lambda: merge_objects([], []), "0 maps"),
        (lambda: pair_scores([], []), "found 0 and 0"),
        (lambda: pair_scores([MAP], [MAP, MAP]), "found 1 and 2"),
        (lambda: pair_scores([MAP], [MAP[:8]]), "frame 0"),
        (lambda: pair_scores([MAP * 21], [MAP]), "label 21"),
    ],
)
def test_nonsense_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
