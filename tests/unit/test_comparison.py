"""Comparisons: intervals that hold the truth as often as they say, and sentences that follow them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dtse_core.experiments.comparison import (
    Difference,
    all_differences,
    compare,
    conclusions,
    paired_interval,
    sentence,
    summary_rows,
    with_scores,
)


def drawn(rng, S, truth, of_seeds, of_clips, rest, C=60):
    """(S, C) differences with a known mean: of seeds, of clips, and of both together."""
    parts = of_seeds * rng.standard_normal((S, 1)), of_clips * rng.standard_normal((1, C))
    return truth + sum(parts) + rest * rng.standard_normal((S, C))


@pytest.mark.parametrize("S", [2, 3, 5])
@pytest.mark.parametrize("spread", [(0.05, 0.02, 0.2), (0.02, 0.2, 0.2)], ids=["seeds differ", "clips differ"])
def test_the_interval_holds_the_truth_at_least_as_often_as_it_says(S, spread):
    rng, truth = np.random.default_rng(0), 0.1
    ends = np.array([paired_interval(drawn(rng, S, truth, *spread), draws=1000, seed=k) for k in range(400)])
    held = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    assert held >= 0.93  # 0.95 less two standard errors


def test_resampled_seeds_would_not_hold_it():
    rng, truth, held = np.random.default_rng(0), 0.1, 0
    for _ in range(300):
        d = drawn(rng, 3, truth, 0.05, 0.02, 0.1).mean(axis=1)
        low, high = np.quantile(d[rng.integers(3, size=(500, 3))].mean(axis=1), [0.025, 0.975])
        held += low <= truth <= high
    assert held / 300 < 0.85  # why the seeds' part is drawn from Student's t


def test_without_a_difference_between_seeds_it_is_the_bootstrap_over_clips():
    d = np.random.default_rng(0).standard_normal(80)
    expected = stats.bootstrap((d,), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert np.allclose(paired_interval(np.stack([d, d, d])), expected, atol=0.03)


def test_without_a_difference_between_clips_it_is_the_t_interval_of_seeds():
    seeds = np.array([0.1, 0.2, 0.25, 0.4])
    expected = stats.t.interval(0.95, 3, seeds.mean(), stats.sem(seeds))
    assert np.allclose(paired_interval(np.repeat(seeds[:, None], 50, axis=1), draws=40_000), expected, atol=0.01)


def test_clips_of_one_video_are_drawn_together():
    d = np.repeat(np.random.default_rng(0).standard_normal(20), 10)[None].repeat(2, 0)  # ten equal clips a video
    low, high = paired_interval(d, np.repeat(np.arange(20), 10))
    alone = paired_interval(d[:, ::10])
    assert np.allclose((low, high), alone) and high - low > 2 * np.ptp(paired_interval(d))


@given(shift=st.floats(-1, 1), seed=st.integers(0, 100))
def test_a_shift_of_all_differences_shifts_the_interval(shift, seed):
    d = np.random.default_rng(seed).standard_normal((3, 10))
    ends = np.array(paired_interval(d, draws=200))
    assert np.allclose(paired_interval(d + shift, draws=200), ends + shift)


def test_one_seed_supports_nothing():
    assert paired_interval(np.ones((1, 9))) == (-np.inf, np.inf)


GAINS = {"full": 0.0, "worse": -0.2, "same": 0.0, "absent": 0.0}


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four variants whose true differences are GAINS; of `absent` nothing was run, at `seconds` `worse` alone."""
    rng, runs, clips = np.random.default_rng(0), [], []
    hard = rng.uniform(0.4, 0.7, 40)
    for variant, budget in [*((v, "steps") for v in GAINS), ("worse", "seconds")]:
        for seed in range(3):
            run, state = f"{variant}-{budget}-{seed}", "not run" if variant == "absent" else "ok"
            scores = {"metrics.mean_iou": 0.5, "twins_accuracy": 0.5, "step_cpu_seconds": 0.1}
            labels = {"variant": variant, "budget": budget, "against": ""}
            runs.append({"run": run, "SEED": seed, "state": state} | labels | scores)
            if state == "ok":
                gain = GAINS[variant] / (2 if budget == "seconds" else 1)
                iou = hard + gain + 0.01 * rng.standard_normal() + 0.02 * rng.standard_normal(40)
                names = [f"c{k}" for k in range(40)]
                some = {"run": run, "split": "test", "clip": names, "video": names, "iou": iou, "told_apart": np.nan}
                clips.append(pd.DataFrame(some | {"evidence": ["action", "direction"] * 20}))
                twins = {"split": "twins", "evidence": "action", "told_apart": rng.integers(0, 2, 40) / 1.0}
                clips.append(clips[-1].assign(**twins))
    return pd.DataFrame(runs), pd.concat(clips, ignore_index=True).sample(frac=1, random_state=0)


def test_a_comparison_finds_what_was_put_in(tables):
    d = compare(*tables, "worse", "full")
    assert d.low < -0.2 < d.high < 0 and (d.seeds, d.clips) == (3, 40) and d.decided
    assert abs(d.mean + 0.2) < 0.05
    kind = compare(*tables, "worse", "full", evidence="direction")
    assert (kind.part, kind.clips) == ("direction", 20) and kind.decided
    assert not compare(*tables, "same", "full").decided


def test_differences_are_paired_by_clip_and_seed(tables):
    runs, clips = tables
    table = clips[clips["split"] == "test"].merge(runs, on="run")
    table = table[table["budget"] == "steps"].set_index(["variant", "SEED", "clip"])["iou"]
    names = sorted(f"c{k}" for k in range(40))
    by_hand = np.array([[table["worse", s, name] - table["full", s, name] for name in names] for s in range(3)])
    d = compare(runs, clips, "worse", "full")
    assert (d.mean, d.low, d.high) == pytest.approx((by_hand.mean(), *paired_interval(by_hand)))


def test_the_reference_of_equal_steps_sets_the_budget_of_equal_seconds(tables):
    d = compare(*tables, "worse", "full", budget="seconds")
    assert d.decided and abs(d.mean + 0.1) < 0.05


def test_what_was_not_run_says_so_and_seeds_in_common_count(tables):
    runs, clips = tables
    d = compare(runs, clips, "absent", "full")
    assert not d.run and sentence(d).endswith("not run.")
    runs.loc[(runs["variant"] == "worse") & (runs["SEED"] > 0), "state"] = "failed"
    d = compare(runs, clips, "worse", "full")
    assert d.seeds == 1 and not d.decided and "not enough evidence" in sentence(d) and "one seed" in sentence(d)


def test_all_differences_cover_every_variant_part_and_budget(tables):
    found = {(d.variant, d.part, d.budget) for d in all_differences(*tables, "full")}
    parts = {"all", "twins", "action", "direction"}
    expected = {(v, p, "steps") for v in ("worse", "same", "absent") for p in parts}
    assert found == expected | {("worse", p, "seconds") for p in parts}


def test_a_label_names_another_reference(tables):
    runs, clips = tables
    runs.loc[runs["variant"] == "same", "against"] = "worse"
    [d] = [d for d in all_differences(runs, clips, "full") if d.variant == "same" and d.part == "all"]
    assert d.reference == "worse" and d.low > 0


def test_scores_on_different_clips_and_runs_counted_twice_are_refused(tables):
    runs, clips = tables
    some = clips[~((clips["run"] == "worse-steps-0") & (clips["clip"] == "c3"))]
    with pytest.raises(ValueError, match="seeds of worse were scored on different clips of test"):
        compare(runs, some, "worse", "full")
    some = clips[~(clips["run"].str.startswith("worse-steps") & (clips["clip"] == "c3"))]
    with pytest.raises(ValueError, match="worse and full were scored on different clips of test"):
        compare(runs, some, "worse", "full")
    twice = pd.concat([runs, runs[runs["run"] == "worse-steps-0"].assign(run="other")])
    with pytest.raises(ValueError, match="worse, equal steps, has two runs of seed 0"):
        compare(twice, clips, "worse", "full")


@pytest.mark.parametrize(
    ("ends", "words", "absent"),
    [
        ((0.01, 0.2), "higher by 0.100", "not enough"),
        ((-0.2, -0.01), "lower by 0.100", "not enough"),
        ((-0.01, 0.2), "not enough evidence", "higher"),
        ((0.0, 0.2), "not enough evidence", "higher"),
    ],
)
def test_a_sentence_claims_only_what_its_interval_supports(ends, words, absent):
    mean = 0.1 if ends[1] > 0.1 else -0.1
    said = sentence(Difference("a", "b", "iou", "direction", "steps", mean, *ends, 3, 50))
    assert words in said and absent not in said
    assert said.startswith("a against b, mean IoU on direction, equal steps: ") and "3 seeds, 50 clips" in said


def test_conclusions_leave_out_what_is_undecided_on_parts_and_say_what_is_missing():
    def found(variant, part, low, high, seeds=3):
        return Difference(variant, "full", "iou", part, "steps", (low + high) / 2, low, high, seeds, 50)

    said = conclusions(
        [
            found("a", "all", -0.1, 0.3),
            found("a", "action", -0.1, 0.3),
            found("a", "direction", 0.1, 0.3),
            found("b", "all", -np.inf, np.inf, 0),
            found("b", "action", -np.inf, np.inf, 0),
            found("c", "all", -np.inf, np.inf, 0),
        ]
    )
    assert said == [
        "a against full, mean IoU, equal steps: "
        "not enough evidence (+0.100; 95% interval -0.100 to +0.300, 3 seeds, 50 clips).",
        "a against full, mean IoU on direction, equal steps: "
        "higher by 0.200 (95% interval +0.100 to +0.300, 3 seeds, 50 clips).",
        "On parts of the clips: not enough evidence in 1 more comparisons.",
        "Not run: b (equal steps); c (equal steps).",
    ]


def test_scores_of_clips_from_their_counts():
    columns = {
        "intersection": [3, 0, 0],
        "union": [4, 0, 5],
        "on_target": [0.9, 0.2, None],
        "on_twin": [0.1, 0.2, None],
    }
    scored = with_scores(pd.DataFrame(columns | {"video_id": list("abc")}))
    assert scored["iou"].tolist() == [0.75, 1.0, 0.0]
    assert scored["told_apart"].tolist()[:2] == [1.0, 0.5] and np.isnan(scored["told_apart"][2])
    assert "video" in scored and "on_twin" not in scored


def test_the_table_says_how_many_seeds_ran(tables):
    head, *rows = summary_rows(tables[0])
    assert head == ["variant", "equal", "seeds", "mean IoU", "twins", "ms a step"]
    assert rows[0] == ["full", "steps", "3 of 3", "50.0", "50.0", "100"]
    assert rows[3] == ["absent", "steps", "0 of 3", "not run", "not run", "not run"]
