"""Bootstrap intervals against a slow loop, and against how often they hold what they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtse_core.metrics import mean_iou, overall_iou, precision_at
from dtse_core.scoring.summary import bootstrap_interval


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
    five_times = bootstrap_interval(values.repeat(5), [f"v{k}" for k in range(20) for _ in range(5)])
    assert five_times == pytest.approx(once)


def test_same_seed_gives_the_same_interval_whatever_the_order():
    values, videos = np.random.default_rng(0).random(30), [f"v{k % 7}" for k in range(30)]
    low, high = bootstrap_interval(values, videos)
    assert low < values.mean() < high and isinstance(low, float)
    shuffled = np.random.default_rng(1).permutation(30)
    assert bootstrap_interval(values[shuffled], [videos[k] for k in shuffled]) == pytest.approx((low, high))
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
