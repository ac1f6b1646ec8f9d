"""Summaries of samples against worked examples; intervals against a slow loop and against how often they hold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtse_core.metrics import mean_iou, overall_iou, precision_at
from dtse_core.scoring.records import Sample
from dtse_core.scoring.summary import bootstrap_interval, summarize, twins_accuracy
from dtse_core.scoring.tables import format_table


def sample(k, intersection, union, confidence=0.5, evidence=None):
    return Sample(f"v_{k:02}_f_1_i_1", "the dog", intersection, union, confidence, evidence)


SAMPLES = [sample(0, 8, 8, 0.9), sample(1, 6, 10, 0.8), sample(2, 4, 8, 0.7), sample(3, 0, 8, 0.0)]


def test_worked_example_of_the_protocol():
    expected = {"mean_iou": 0.525, "overall_iou": 18 / 34, "AP_mean_precision": 0.35, "mAP_coco": 360 / 1010}
    expected |= {"P@0.5": 0.75, "P@0.6": 0.5, "P@0.7": 0.25, "P@0.8": 0.25, "P@0.9": 0.25}
    assert summarize(SAMPLES)["metrics"] == pytest.approx(expected, abs=1e-12)
    assert summarize(SAMPLES, compare=">")["metrics"]["AP_mean_precision"] == pytest.approx(0.30)


def test_kinds_of_evidence_partition_the_samples():
    kinds = ["direction", "appearance", "action", "appearance", "direction", "appearance"]
    samples = [sample(k, k, 8, k / 8, evidence) for k, evidence in enumerate(kinds)]
    groups = summarize(samples)["by_evidence"]
    assert list(groups) == ["appearance", "action", "direction"]
    assert {k: g["count"] for k, g in groups.items()} == {"appearance": 3, "action": 1, "direction": 2}
    mean = sum(g["mean_iou"] * g["count"] for g in groups.values()) / 6
    assert mean == pytest.approx(summarize(samples)["metrics"]["mean_iou"])
    assert groups["action"]["mean_iou"] == 0.25


def test_what_does_not_apply_is_absent():
    result = summarize(SAMPLES)
    assert set(result) == {"metrics", "compare", "confidence_rank_correlation", "samples"}
    assert set(result["samples"][0]) == {"sample_id", "expression", "intersection", "union", "confidence"}
    assert "confidence_rank_correlation" not in summarize(SAMPLES[:1])


def test_twins_accuracy_is_the_share_that_is_told_apart_and_a_tie_counts_half():
    told, mistaken, tie = (replace(SAMPLES[0], on_target=p, on_twin=1 - p) for p in (0.75, 0.25, 0.5))
    hidden = replace(SAMPLES[0], on_target=0.75)
    for twins, expected in (([told, hidden], 1), ([mistaken], 0), ([tie], 0.5), ([told, told, mistaken, tie], 0.625)):
        assert twins_accuracy(twins) == summarize(SAMPLES, twins)["twins_accuracy"] == expected


def test_table_prints_percent_with_one_decimal():
    samples = [replace(s, evidence="action") for s in SAMPLES]
    result = summarize(samples) | {"twins_accuracy": 0.515, "baselines": {"largest_moving": 0.3333}}
    head, everything, action, baseline, twins = format_table(result).splitlines()
    assert "P@0.5 (>=)" in head
    assert head.index("AP (mean P)") < head.index("mAP_coco (top-1)")
    assert everything.split() == ["all", "4", "52.5", "52.9", "75.0", "50.0", "25.0", "25.0", "25.0", "35.0", "35.6"]
    assert action.split()[1:] == everything.split()[1:]
    assert baseline.split() == ["baseline:", "largest", "moving", "33.3"]
    assert twins == "twins told apart: 51.5 (chance 50.0)"
    assert "P@0.5 (mttr)" in format_table(summarize(SAMPLES, compare="mttr"))


# Intervals


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from("abcd")), min_size=1, max_size=12))
def test_interval_equals_the_loop_over_drawn_videos(rows):
    counts = np.array([(min(i, u), u) for i, u, _ in rows])
    videos = [v for *_, v in rows]
    names = sorted(set(videos))
    of_video = {n: counts[[v == n for v in videos]] for n in names}
    draws = np.random.default_rng(3).integers(len(names), size=(25, len(names)))
    again = [np.concatenate([of_video[names[k]] for k in draw]) for draw in draws]
    ious = [mean_iou(c[k : k + 1]) for c in [counts] for k in range(len(c))]
    hits = [precision_at(counts[k : k + 1], 0.5) for k in range(len(counts))]
    for values, metric in ((counts, overall_iou), (ious, mean_iou), (hits, lambda c: precision_at(c, 0.5))):
        low, high = bootstrap_interval(values, videos, samples=25, seed=3, level=0.8)
        expected = np.quantile([metric(c) for c in again], [0.1, 0.9])
        assert (low, high) == pytest.approx(tuple(expected), abs=1e-12)


def test_nine_intervals_in_ten_hold_the_mean_that_made_the_data():
    rng, held = np.random.default_rng(0), 0
    videos = np.repeat([f"v{k}" for k in range(40)], 5)
    for seed in range(300):
        values = rng.normal(0.5, 0.1, 40).repeat(5) + rng.normal(0, 0.05, 200)  # sentences of a video are alike
        low, high = bootstrap_interval(values, videos, samples=300, seed=seed, level=0.9)
        held += low <= 0.5 <= high
    assert 0.84 < held / 300 < 0.95


def test_sentences_of_one_video_are_not_new_evidence():
    values = np.random.default_rng(0).random(20)
    once = bootstrap_interval(values, [f"v{k}" for k in range(20)])
    many = bootstrap_interval(values.repeat(50), [f"v{k}" for k in range(20) for _ in range(50)])
    assert many == pytest.approx(once)


def test_same_seed_gives_the_same_interval_whatever_the_order():
    values, videos = np.random.default_rng(0).random(30), [f"v{k % 7}" for k in range(30)]
    low, high = bootstrap_interval(values, videos)
    assert low < values.mean() < high and isinstance(low, float)
    shuffled = np.random.default_rng(1).permutation(30)
    assert bootstrap_interval(values[shuffled], [videos[k] for k in shuffled]) == pytest.approx((low, high))
    assert bootstrap_interval(values, videos, samples=1000, seed=0, level=0.95) == (low, high)
    assert bootstrap_interval(values, videos, seed=1) != (low, high)
    wide = bootstrap_interval(values, videos, level=0.99)
    assert wide[0] < low and high < wide[1]


def test_one_video_and_no_foreground_have_no_width():
    assert bootstrap_interval([0.25, 0.75], ["v", "v"]) == (0.5, 0.5)
    assert bootstrap_interval([[0, 0], [0, 0]], ["v", "w"]) == (1, 1)


@pytest.mark.parametrize(
    ("values", "videos"), [([], []), ([0.5], []), ([[1, 2, 3]], ["v"]), (0.5 * np.ones((2, 2)), ["v"])]
)
def test_nonsense_is_refused(values, videos):
    with pytest.raises(ValueError, match="a video for each; found"):
        bootstrap_interval(values, videos)
