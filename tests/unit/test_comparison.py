"""Comparisons: paired by clip, corrected where a plan named them, and sentences that say what the data support."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtse_core.experiments.comparison import (
    Comparison,
    Difference,
    all_differences,
    compare,
    conclusions,
    sentence,
    summary_rows,
    with_scores,
)
from dtse_core.experiments.plan import read_plan
from dtse_core.experiments.tables import NAMES
from dtse_core.experiments.verdicts import estimate, holm

GAINS = {"full": 0.0, "worse": -0.2, "same": 0.0, "absent": 0.0}


def made(seeds: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four variants whose true differences are GAINS; of `absent` nothing was run, at `seconds` `worse` alone."""
    rng, runs, clips = np.random.default_rng(0), [], []
    hard = rng.uniform(0.4, 0.7, 40)
    for variant, budget in [*((v, "steps") for v in GAINS), ("worse", "seconds")]:
        for seed in range(seeds):
            run, state = f"{variant}-{budget}-{seed}", "not run" if variant == "absent" else "ok"
            scores = {"metrics.mean_iou": 0.5, "twins_accuracy": 0.5, "step_cpu_seconds": 0.1}
            labels = {"variant": variant, "group": "", "budget": budget, "against": ""}
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


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return made(3)


def test_a_comparison_finds_what_was_put_in(tables):
    d = compare(*tables, Comparison("worse", "full"))
    assert d.low < -0.2 < d.high < 0 and (d.seeds, d.clips, d.videos) == ((3, 3), 40, 40) and d.verdict == "lower"
    assert abs(d.mean + 0.2) < 0.05
    assert compare(*tables, Comparison("same", "full")).verdict in ("undecided", "equivalent")
    kind = compare(*tables, Comparison("worse", "full", "direction"))
    assert kind.clips == 20 and abs(kind.mean + 0.2) < 0.05
    assert kind.verdict == "no verdict" and sentence(kind).endswith("; 3 seeds, 20 clips).")


def test_differences_are_paired_by_clip_and_not_by_seed(tables):
    runs, clips = tables
    runs.loc[(runs["variant"] == "worse"), "SEED"] += 7  # whatever its seeds are called
    runs.loc[runs["run"] == "full-steps-2", "state"] = "failed"
    runs = pd.concat([runs, runs[runs["run"] == "full-steps-1"].assign(run="again", SEED=5)])
    runs = pd.concat([runs, runs[runs["run"] == "full-steps-1"].assign(run="and again", SEED=6)])
    more = [clips[clips["run"] == "full-steps-1"].assign(run=run) for run in ("again", "and again")]
    more[0]["iou"] += 0.03
    clips = pd.concat([clips, *more])
    table = clips[clips["split"] == "test"].pivot(index="run", columns="clip", values="iou")
    ours = table.loc[[f"worse-steps-{k}" for k in range(3)]].to_numpy()
    theirs = table.loc[["full-steps-0", "full-steps-1", "again", "and again"]].to_numpy()
    found, d = estimate(ours, -theirs), compare(runs, clips, Comparison("worse", "full"))
    assert d.seeds == (3, 4) and "3 and 4 seeds, 40 clips" in sentence(d)
    assert (d.mean, d.low, d.high) == pytest.approx((found.mean, *found.interval()))
    assert (d.p_different, d.p_equivalent) == pytest.approx((found.p_different(), found.p_equivalent()))


def test_clips_of_one_video_count_together(tables):
    runs, clips = tables
    few = clips.assign(video="v" + (clips["clip"].str[1:].astype(int) // 2).astype(str))
    d = compare(runs, few, Comparison("worse", "full"))
    assert (d.clips, d.videos, d.verdict, d.low, d.high) == (40, 20, "no verdict", -1, 1)
    assert "fewer than 30 clips" in sentence(d) and "40 clips of 20 videos" in sentence(d)


def test_the_reference_of_equal_steps_sets_the_budget_of_equal_seconds(tables):
    d = compare(*tables, Comparison("worse", "full", budget="seconds"))
    assert d.verdict == "lower" and abs(d.mean + 0.1) < 0.05


def test_what_was_not_run_says_so_and_two_seeds_support_nothing(tables):
    runs, clips = tables
    d = compare(runs, clips, Comparison("absent", "full"))
    assert not d.run and d.verdict == "not run" and sentence(d).endswith("not run.")
    runs.loc[runs["run"] == "worse-steps-0", "state"] = "failed"
    d = compare(runs, clips, Comparison("worse", "full"))
    assert d.verdict == "no verdict" and (d.low, d.high) == (-1, 1)
    assert "no verdict with fewer than 3 seeds (-0.2" in sentence(d) and "2 and 3 seeds" in sentence(d)


def test_all_differences_cover_every_variant_part_and_budget(tables):
    found = {(d.asked.variant, d.asked.part, d.asked.budget) for d in all_differences(*tables, "full")}
    parts = {"all", "twins", "action", "direction"}
    expected = {(v, p, "steps") for v in ("worse", "same", "absent") for p in parts}
    assert found == expected | {("worse", p, "seconds") for p in parts}


def test_a_label_names_another_reference(tables):
    runs, clips = tables
    runs.loc[runs["variant"] == "same", "against"] = "worse"
    found = all_differences(runs, clips, "full")
    [d] = [d for d in found if d.asked.variant == "same" and d.asked.part == "all"]
    assert d.asked.reference == "worse" and d.low > 0


def test_what_a_plan_named_comes_first_and_is_corrected_for_its_number(tables):
    planned = [Comparison("worse", "full"), Comparison("same", "worse"), Comparison("same", "full")]
    every = all_differences(*tables, "full", planned)
    assert [d.asked for d in every if d.primary] == [d.asked for d in every[:3]] == planned
    assert sorted(d.asked for d in every) == sorted({*planned, *(d.asked for d in all_differences(*tables, "full"))})
    assert [d.p_different for d in every[:3]] == [1, 1, 1] and {d.verdict for d in every[:3]} == {"no verdict"}
    assert "no verdict with fewer than 5 seeds" in sentence(every[0])
    runs, clips = made(5)
    every, alone = all_differences(runs, clips, "full", planned), [compare(runs, clips, q) for q in planned]
    assert [d.p_different for d in every[:3]] == pytest.approx(holm([d.p_different for d in alone]))
    assert [d.p_equivalent for d in every[:3]] == pytest.approx(holm([d.p_equivalent for d in alone]))
    assert [d.verdict for d in every[:2]] == ["lower", "higher"] and "corrected, 5 seeds" in sentence(every[0])
    assert "corrected" not in sentence(every[3])


def test_a_plan_that_asks_for_what_there_is_not_is_refused(tables):
    for asked, fault in (
        (Comparison("sam", "full"), r"no variant 'sam' \(did you mean 'same'\?\)"),
        (Comparison("worse", "ful"), r"no reference 'ful' \(did you mean 'full'\?\)"),
        (Comparison("worse", "full", "twin"), r"no part 'twin' \(did you mean 'twins'\?\)"),
        (Comparison("worse", "full", budget="second"), r"no budget 'second' \(did you mean 'seconds'\?\)"),
    ):
        with pytest.raises(ValueError, match=fault):
            all_differences(*tables, "full", [asked])


def test_a_label_that_names_no_variant_is_refused_with_the_nearest(tables):
    runs, clips = tables
    wrong = runs.assign(against=runs["variant"].map({"worse": "fuller"}).fillna(""))
    with pytest.raises(
        ValueError, match=r"compares worse with 'fuller' \(did you mean 'full'\?\), and has no such variant"
    ):
        all_differences(wrong, clips, "full")


PLAN = """# The plan

| budget | steps |
|---|---|
| steps | 600 |

| variant | against | on | equal | why |
|:--|---|---|---|---|
| LMDF off | DTSE | twins | steps | motion |
| one insertion, Res3 | DTSE | all | 1,200 steps | |

Later: | variant | against |
"""


@pytest.mark.parametrize("below", ["\n", "\n## Next\n", "\r\n"])
def test_a_plan_beside_the_grid_names_primary_comparisons(tmp_path, below):
    assert read_plan(tmp_path / "grid.toml") == []
    text = PLAN.replace("\n\nLater", f"{below}\nLater")
    (tmp_path / "plan.md").write_text(text, encoding="utf-8", newline="")
    assert read_plan(tmp_path / "grid.toml") == [
        Comparison("LMDF off", "DTSE", "twins", "steps"),
        Comparison("one insertion, Res3", "DTSE", "all", "1,200 steps"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "| variant |",
            "| model |",
            r"plan.md has 0 tables with the head variant \| against \| on \| equal; write one",
        ),
        ("Later: | variant | against |", "| variant | against | on | equal |", "plan.md has 2 tables"),
        (
            "| LMDF off | DTSE | twins | steps |",
            "| LMDF off | DTSE | | steps |",
            r"row \| LMDF off .* lacks a cell",
        ),
        ("| steps | motion |", "|", r"the row \| LMDF off .* lacks a cell; mend or delete it"),
        (
            "| one insertion, Res3 | DTSE | all | 1,200 steps |",
            "| DTSE | LMDF off | twins | steps |",
            "is compared already",
        ),
        ("| LMDF off | DTSE | twins |", "| DTSE | DTSE | twins |", "is compared already"),
        ("| LMDF off | DTSE |", "|| DTSE |", "lacks a cell"),
        ("|:--|---|---|---|---|\n", "", r"below the head variant .* come a line \|---\|.* and rows"),
        ("| LMDF off | DTSE | twins | steps | motion |\n| one", "\n| one", r"below the head variant .* and rows"),
    ],
)
def test_a_damaged_plan_is_refused(tmp_path, old, new, fault):
    assert old in PLAN
    (tmp_path / "plan.md").write_text(PLAN.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=fault):
        read_plan(tmp_path / "grid.toml")


def test_of_a_slice_its_questions_are_compared_without_its_controls(tables):
    runs, clips = tables
    some = clips[clips["split"] == "test"].assign(split="scale")
    control = some["clip"].isin([f"c{k}" for k in range(8)])
    some = some.assign(evidence=np.where(control, "control", "comparison"), iou=some["iou"].mask(control, 1.0))
    found = compare(runs, pd.concat([clips, some]), Comparison("worse", "full", "scale"))
    whole = compare(runs, pd.concat([clips, some[~control]]), Comparison("worse", "full", "scale"))
    assert found.clips == 32 and found == whole


def test_names_as_categories_change_no_difference(tables):
    """`collect` has them so; some name no row that is left, as those of failed runs."""
    runs, clips = tables
    named = clips.astype(dict.fromkeys(NAMES, "category"))
    few = clips["run"] != "same-steps-1"
    plan = [Comparison("worse", "full", "twins"), Comparison("same", "full", "action")]
    for some in (clips, named), (clips[few], named[few]):
        one, other = (all_differences(runs, table, "full", plan) for table in some)
        assert repr(one) == repr(other) and len(one) == 16


def test_scores_on_different_clips_and_runs_counted_twice_are_refused(tables):
    runs, clips = tables
    some = clips[~((clips["run"] == "worse-steps-0") & (clips["clip"] == "c3"))]
    with pytest.raises(ValueError, match="seeds of worse were scored on different clips of test"):
        compare(runs, some, Comparison("worse", "full"))
    some = clips[~(clips["run"].str.startswith("worse-steps") & (clips["clip"] == "c3"))]
    with pytest.raises(ValueError, match="worse and full were scored on different clips of test"):
        compare(runs, some, Comparison("worse", "full"))
    twice = pd.concat([runs, runs[runs["run"] == "worse-steps-0"].assign(run="other")])
    with pytest.raises(ValueError, match="worse, equal steps, has two runs of seed 0"):
        compare(twice, clips, Comparison("worse", "full"))
    again = pd.concat([clips, clips[(clips["run"] == "worse-steps-0") & (clips["clip"] == "c3")]])
    with pytest.raises(ValueError, match="a run of worse was scored twice on c3 of test; give each clip its own name"):
        compare(runs, again, Comparison("worse", "full"))


def found(variant="a", part="direction", mean=0.1, p=0.5, p_equivalent=0.5, seeds=(3, 3), clips=50, videos=50):
    return Difference(Comparison(variant, "b", part), mean, -0.05, 0.25, p, p_equivalent, seeds, clips, videos)


@pytest.mark.parametrize(
    ("d", "words"),
    [
        (found(p=0.02), "higher by 0.100 (95% interval -0.050 to +0.250, p 0.020, 3 seeds, 50 clips)"),
        (found(mean=-0.1, p=1e-9), "lower by 0.100 (95% interval -0.050 to +0.250, p below 0.001, 3 seeds, 50 clips)"),
        (found(), "undecided (+0.100; 95% interval -0.050 to +0.250, p 0.500, 3 seeds, 50 clips)"),
        (
            found(p_equivalent=0.04),
            "equivalent, no difference larger than 0.03 (+0.100; 95% interval -0.050 to +0.250, p 0.040,",
        ),
        (found(p=0.01, seeds=(2, 5)), "no verdict with fewer than 3 seeds (+0.100; 2 and 5 seeds, 50 clips)"),
        (found(p=0.01, seeds=(1, 1)), "no verdict with fewer than 3 seeds (+0.100; 1 seed, 50 clips)"),
        (found(p=0.01, videos=29), "no verdict with fewer than 30 clips (+0.100; 3 seeds, 50 clips of 29 videos)"),
        (replace(found(p=0.02), primary=True), "no verdict with fewer than 5 seeds"),
        (replace(found(p=0.02, seeds=(5, 5)), primary=True), "p 0.020 corrected, 5 seeds, 50 clips"),
    ],
)
def test_a_sentence_says_what_its_tests_support(d, words):
    assert sentence(d).startswith("a against b, mean IoU on direction, equal steps: ") and words in sentence(d)


def test_conclusions_leave_out_what_is_undecided_on_parts_and_say_what_is_missing():
    absent = dict(mean=np.nan, p=1, p_equivalent=1, seeds=(0, 3), clips=0, videos=0)
    some = [
        found("a", "all"),
        found("a", "action"),
        found("a", "direction", p=0.04),
        found("a", "relation", p=0.001, seeds=(2, 3)),
        *(found("b", part, **absent) for part in ("all", "action")),
        found("c", "all", **absent),
    ]
    said = conclusions(some)
    assert said["Primary comparisons"] == ["No plan named a comparison before the runs."]
    assert said["Exploratory comparisons"] == [
        "4 comparisons, not named before the runs: 1 shows a difference, 0 if all are corrected for their number.",
        sentence(some[0]),
        sentence(some[2]),
        "On parts of the clips: undecided in 1 more comparison.",
        "On parts of the clips: no verdict in 1 more comparison.",
        "Not run: b (equal steps); c (equal steps).",
    ]
    planned = [replace(d, primary=True) for d in some[1:2] + some[4:5]]
    ahead = [replace(found(v, p=0.001, seeds=(5, 5), mean=mean), primary=True) for v, mean in (("d", -0.1), ("e", 0.1))]
    corrected, *said = conclusions([ahead[0], *planned, ahead[1], *some])["Primary comparisons"]
    assert corrected == "The p values are corrected for the number of these comparisons, the intervals are not."
    assert said == [sentence(d) for d in (*planned, ahead[1], ahead[0])]  # what speaks for the reference comes last


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
    runs = tables[0].assign(**{"slices.scale.mean_iou": np.where(tables[0]["variant"] == "full", 0.25, np.nan)})
    assert [row[5] for row in summary_rows(runs)] == ["scale", "25.0", "", "", "not run", ""]


def test_scores_are_means_and_a_step_costs_what_the_fastest_run_says(tables):
    runs = tables[0].copy()
    runs.loc[:2, ["metrics.mean_iou", "step_cpu_seconds"]] = [[0.4, 0.3], [0.7, 0.2], [0.9, 0.01]]
    runs.loc[2, "state"] = "failed"
    assert summary_rows(runs)[1] == ["full", "steps", "2 of 3", "55.0", "50.0", "200"]


def test_a_difference_too_small_to_matter_is_not_counted_as_one():
    small = Difference(Comparison("a", "b"), 0.01, 0.002, 0.018, 0.01, 0.001, (5, 5), 40, 40)
    large = replace(small, mean=0.2, low=0.1, high=0.3, p_equivalent=1.0)
    assert small.verdict == "equivalent" and large.verdict == "higher"
    assert ": 1 shows a difference, " in conclusions([small, large])["Exploratory comparisons"][0]
