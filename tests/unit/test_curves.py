"""Learning curves: points against sums by hand, what is read back from the picture, and their place in a report."""

import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_comparison import made
from test_forest import pictures

from dtse_core.experiments.comparison import all_differences
from dtse_core.experiments.curves import ABOUT, MARKS, curve_points, curve_sentences, learning_curves
from dtse_core.experiments.forest import GROUPS, group_colors
from dtse_core.experiments.report import write_report
from dtse_core.video.overlay import RUNS

pytestmark = pytest.mark.usefixtures("style")
GROUPED = {"a": "LMDF", "b": "mine", "c": "VLMG"}
POINTS = [  # variant, steps, seconds, mean, lowest, highest, runs
    ("b", 100, 20.0, 0.2, 0.2, 0.2, 1),
    ("b", 1000, 200.0, 0.5, 0.3, 0.8, 3),
    ("a", 50, 25.0, 0.9, 0.9, 0.9, 1),
    ("a", 400, 200.0, 0.35, 0.35, 0.35, 2),
]


def row(variant, budget, seed, steps, step, iou, state="ok", against=""):
    score = {"steps": steps, "step_cpu_seconds": step, "metrics.mean_iou": iou}
    labels = {"variant": variant, "group": GROUPED.get(variant, "mine"), "budget": budget, "against": against}
    return {"run": f"{variant}{budget}{seed}", "SEED": seed, "state": state, **labels, **score}


@pytest.fixture
def runs() -> pd.DataFrame:
    """Two variants with two lengths each, two with one; a failed run and one without a score or steps do not count."""
    return pd.DataFrame(
        [
            row("b", "seconds", 2, 1000, 0.1, 0.9, state="failed"),
            row("a", "seconds", 0, 400, 0.5, 0.35),
            row("b", "seconds", 0, 1000, 0.3, 0.4),
            row("b", "seconds", 1, 1000, 0.2, 0.8),
            row("b", "seconds", 3, 1000, 0.2, 0.3),
            row("a", "seconds", 1, 400, 0.9, 0.35),
            row("c", "seconds", 0, 300, 0.5, 0.7),
            row("d", "seconds", 0, 300, 0.5, 0.7),
            row("d", "other", 0, 302, 0.5, 0.1),  # as long: no shorter run
            row("d", "nothing", 0, 0, 0.5, 0.1),
            row("a", "less", 7, 50, 0.8, 0.9, against="a"),
            row("b", "less", 7, 100, 0.4, 0.2, against="b"),
            row("c", "less", 7, np.nan, 0.5, 0.2, against="c"),
            row("c", "least", 7, 60, 0.5, np.nan, against="c"),
        ]
    )


def test_points_are_means_of_the_runs_that_ended_there_at_the_pace_of_the_fastest_run(runs):
    points = curve_points(runs)
    found = [tuple(p) for p in points.itertuples(index=False)]
    assert list(points) == ["variant", "steps", "seconds", "iou", "low", "high", "runs"]
    assert [(p[0], p[6]) for p in found] == [(p[0], p[6]) for p in POINTS]
    np.testing.assert_allclose([p[1:6] for p in found], [p[1:6] for p in POINTS])


def test_runs_of_one_budget_are_one_point_though_their_steps_differ(runs):
    runs["steps"] = runs["steps"].mask(runs["run"] == "bseconds1", 1300)
    (found,) = [p for p in curve_points(runs).itertuples() if p.variant == "b" and p.runs == 3]
    assert found.steps == pytest.approx(1100) and found.seconds == pytest.approx(220)  # at any speed: of the table


@pytest.mark.parametrize("column", ["steps", "step_cpu_seconds", "metrics.mean_iou"])
def test_without_what_a_point_needs_there_is_none(runs, column):
    points = curve_points(runs.drop(columns=column))
    assert len(points) == 0 and curve_sentences(points) == []


@pytest.mark.parametrize("seconds", [0.0, -0.1, np.inf])
def test_a_time_that_cannot_be_makes_no_point(runs, seconds):
    runs["step_cpu_seconds"] = runs["step_cpu_seconds"].mask(runs["variant"] == "a", seconds)
    assert set(curve_points(runs)["variant"]) == {"b"}


def test_each_variant_is_said_in_a_line(runs):
    assert curve_sentences(curve_points(runs)) == [
        ABOUT,
        "b: 20.0 (1 run) after 20 s, 100 steps; 50.0 (30.0 to 80.0 in 3 runs) after 200 s, 1,000 steps.",
        "a: 90.0 (1 run) after 25 s, 50 steps; 35.0 (35.0 to 35.0 in 2 runs) after 200 s, 400 steps.",
    ]
    small = runs.assign(step_cpu_seconds=2e-5, steps=runs["steps"] / 40)
    assert curve_sentences(curve_points(small))[2].startswith("a: 90.0 (1 run) after 2.5e-05 s, 1.2 steps;")


def test_lines_go_through_the_points_bars_reach_over_the_runs_and_a_single_run_is_hollow(runs):
    figure = learning_curves(curve_points(runs), {"elsewhere": "another"} | GROUPED)
    (ax,), (legend,) = figure.axes, figure.legends
    assert (
        ax.get_xscale() == "log"
        and ax.get_xlabel().startswith("seconds of processor time")
        and "IoU" in ax.get_ylabel()
    )
    assert [text.get_text() for text in legend.get_texts()] == ["b", "a"]  # by their ends
    assert [handle.get_color() for handle in legend.legend_handles] == [RUNS[2], GROUPS["LMDF"]]
    assert len({handle.get_marker() for handle in legend.legend_handles}) == 2
    drawn = {line.get_label(): np.stack(line.get_data(), axis=1) for line in ax.lines}
    for name in "ab":
        np.testing.assert_allclose(drawn[name], [(p[2], p[3]) for p in POINTS if p[0] == name])
    hollow = [line.get_xydata().tolist() for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert hollow == [[[20.0, 0.2]], [[25.0, 0.9]]]
    bars = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "None"]
    np.testing.assert_allclose(bars, [[(p[2], p[4]), (p[2], p[5])] for p in POINTS])
    plt.close(figure)


@pytest.mark.parametrize(("least", "most"), [(3, 3.3), (90, 900), (25, 9_000), (0.002, 40_000), (3e7, 3e8)])
def test_ticks_are_few_plain_numbers_that_do_not_touch(runs, least, most):
    points = curve_points(runs)
    points["seconds"] = np.interp(points["seconds"], [20, 200], [least, most])
    figure = learning_curves(points, GROUPED)
    figure.draw_without_rendering()
    ax = figure.axes[0]
    low, high = ax.get_xlim()
    texts = [t for t in ax.get_xticklabels() if t.get_text() and low <= t.get_position()[0] <= high]
    boxes = sorted((t.get_window_extent() for t in texts), key=lambda box: box.x0)
    assert 2 <= len(boxes) <= 12 and all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))
    assert all(float(t.get_text().replace(",", "")) == pytest.approx(t.get_position()[0], rel=1e-3) for t in texts)
    plt.close(figure)


def test_names_of_any_length_and_letters_are_drawn_without_a_warning(runs):
    names = {"a": "$x_1 ^ " * 20, "b": "W" * 60, "c": "_c", "d": ""}
    some = runs.assign(variant=runs["variant"].map(names), steps=runs["steps"].fillna(30) + 1, step_cpu_seconds=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = learning_curves(curve_points(some), dict.fromkeys(names.values(), ""))
        figure.savefig(io.BytesIO(), format="png")
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert len(texts) == 4 and not any("child" in text for text in texts)
    assert figure.axes[0].get_window_extent().width > 0.5 * figure.bbox.width
    plt.close(figure)


def of_many_models(count: int) -> pd.DataFrame:
    return pd.DataFrame([row(f"v{k}", f"{n}", 0, n, 0.1, 0.5 + k / 1000) for k in range(count) for n in (100, 200)])


def test_however_many_there_are_each_has_a_line():
    points = curve_points(of_many_models(31))
    figure = learning_curves(points, {f"v{k}": "" for k in range(31)})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"v{k}" for k in reversed(range(31))]
    handles = figure.legends[0].legend_handles
    assert len({(handle.get_marker(), handle.get_linestyle()) for handle in handles}) == 30
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().height < figure.bbox.height
    plt.close(figure)


def test_a_report_shows_curves_and_compares_nothing_of_them(tmp_path):
    runs, clips = made(3)
    runs["steps"] = 100
    again = runs[(runs["variant"] != "absent") & (runs["budget"] == "steps")]
    shorter = again.assign(run=again["run"] + "-", budget="half", steps=50, against=again["variant"])
    own = clips[clips["run"].isin(again["run"])]
    clips = pd.concat([clips, own.assign(run=own["run"] + "-")])

    def written():
        files = write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g")
        return [file.read_text(encoding="utf-8") for file in files]

    before = written()
    assert not any("Learning curves" in old for old in before)
    runs = pd.concat([runs, shorter])
    text, page = written()
    said = "".join(f"- {s}\n" for s in curve_sentences(curve_points(runs)))
    assert text.endswith(f"\n## Learning curves\n\n{said}") and "| worse | half | 3 of 3 |" in text
    assert text[text.index("## Primary") : text.index("\n## Learning")] == before[0][before[0].index("## Primary") :]
    (picture,) = pictures(page)["Learning curves"]
    assert min(picture) > 400
    assert {d.asked.budget for d in all_differences(runs, clips, "full")} == {"steps", "seconds"}


def test_no_two_curves_of_a_picture_in_a_report_look_alike(tmp_path, monkeypatch):
    drawn = []

    def spy(points, groups):
        drawn.append((list(points["variant"].unique()), group_colors(groups.values())))
        return plt.figure()

    monkeypatch.setattr("dtse_core.experiments.curves.learning_curves", spy)
    runs, (_, clips) = of_many_models(len(MARKS) + 3), made(3)
    write_report({"runs": runs, "clips": clips[:0]}, tmp_path, "v0", "g")
    assert [len(names) for names, _ in drawn] == [len(MARKS), 3] and len(set(MARKS)) == len(MARKS)
    assert drawn[0][1] == drawn[1][1]  # a group has one color in all of them
