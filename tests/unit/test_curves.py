"""Learning curves: points against sums by hand, what is read back from the picture, and their place in a report."""

import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_comparison import made
from test_forest import pictures

from dtse_core.experiments.comparison import all_differences, for_curves_alone, summary_rows
from dtse_core.experiments.curves import ABOUT, curve_points, curve_sentences, learning_curves
from dtse_core.experiments.forest import GROUPS
from dtse_core.experiments.report import write_report
from dtse_core.video.overlay import RUNS

pytestmark = pytest.mark.usefixtures("style")
POINTS = [  # variant, steps, seconds, mean, lowest, highest, seeds
    ("b", 100, 20.0, 0.2, 0.2, 0.2, 1),
    ("b", 1000, 200.0, 0.5, 0.4, 0.6, 2),
    ("a", 50, 25.0, 0.3, 0.3, 0.3, 1),
    ("a", 400, 200.0, 0.35, 0.3, 0.4, 2),
]


def row(variant, budget, seed, steps, step, iou, state="ok", against=""):
    score = {"steps": steps, "step_cpu_seconds": step, "metrics.mean_iou": iou}
    labels = {"variant": variant, "group": variant.upper(), "budget": budget, "against": against}
    return {"run": f"{variant}{budget}{seed}", "SEED": seed, "state": state, **labels, **score}


@pytest.fixture
def runs() -> pd.DataFrame:
    """Two variants with two lengths each, one with one; a failed run and one without a score do not count."""
    return pd.DataFrame(
        [
            row("b", "seconds", 0, 1000, 0.3, 0.4),
            row("b", "seconds", 1, 1000, 0.2, 0.6),
            row("b", "seconds", 2, 1000, 0.1, 0.9, state="failed"),
            row("a", "seconds", 0, 400, 0.5, 0.3),
            row("a", "seconds", 1, 400, 0.9, 0.4),
            row("c", "seconds", 0, 300, 0.5, 0.7),
            row("a", "less", 7, 50, 0.8, 0.3, against="a"),
            row("b", "less", 7, 100, 0.4, 0.2, against="b"),
            row("c", "less", 7, 60, np.nan, 0.2, against="c"),
        ]
    )


def test_points_are_means_of_the_runs_that_ended_there_at_the_pace_of_the_fastest_run(runs):
    points = curve_points(runs)
    found = [tuple(p) for p in points.itertuples(index=False)]
    assert list(points) == ["variant", "steps", "seconds", "iou", "low", "high", "seeds"]
    assert [(p[0], *p[6:]) for p in found] == [(p[0], *p[6:]) for p in POINTS]
    np.testing.assert_allclose([p[1:6] for p in found], [p[1:6] for p in POINTS])


@pytest.mark.parametrize("column", ["steps", "step_cpu_seconds", "metrics.mean_iou"])
def test_without_what_a_point_needs_there_is_none(runs, column):
    points = curve_points(runs.drop(columns=column))
    assert len(points) == 0 and curve_sentences(points) == []


def test_each_variant_is_said_in_a_line(runs):
    assert curve_sentences(curve_points(runs)) == [
        ABOUT,
        "b: 20.0 after 20 s (100 steps, 1 seed), 50.0 after 200 s (1,000 steps, 2 seeds).",
        "a: 30.0 after 25 s (50 steps, 1 seed), 35.0 after 200 s (400 steps, 2 seeds).",
    ]


def test_lines_go_through_the_points_bars_reach_over_the_seeds_and_a_single_seed_is_hollow(runs):
    figure = learning_curves(curve_points(runs), {"a": "LMDF", "b": "mine", "c": "VLMG"})
    (ax,), (legend,) = figure.axes, figure.legends
    assert ax.get_xscale() == "log" and [text.get_text() for text in legend.get_texts()] == ["b", "a"]  # by their ends
    assert [handle.get_color() for handle in legend.legend_handles] == [RUNS[1], GROUPS["LMDF"]]
    assert len({handle.get_marker() for handle in legend.legend_handles}) == 2
    drawn = {line.get_label(): np.stack(line.get_data(), axis=1) for line in ax.lines}
    for name in "ab":
        np.testing.assert_allclose(drawn[name], [(p[2], p[3]) for p in POINTS if p[0] == name])
    hollow = [line.get_xydata().tolist() for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert hollow == [[[20.0, 0.2]], [[25.0, 0.3]]]
    bars = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "None"]
    np.testing.assert_allclose(bars, [[(p[2], p[4]), (p[2], p[5])] for p in POINTS])
    plt.close(figure)


def test_names_of_any_length_and_letters_are_drawn_without_a_warning(runs):
    names = {"a": "$x_1 ^ " * 20, "b": "\x01\n" * 40, "c": "_c"}
    some = runs.assign(variant=runs["variant"].map(names), step_cpu_seconds=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = learning_curves(curve_points(some), dict.fromkeys(names.values(), ""))
        figure.savefig(io.BytesIO(), format="png")
    assert len({text.get_text() for text in figure.legends[0].get_texts()}) == 3
    plt.close(figure)


def test_runs_for_a_curve_alone_are_those_compared_with_themselves_at_a_further_budget(runs):
    runs["against"] = runs["against"].where(runs["run"] != "cseconds0", "c")  # its only other budget: it sets it
    assert list(runs["run"][for_curves_alone(runs)]) == ["aless7", "bless7", "cless7"]
    assert [r[:3] for r in summary_rows(runs)[1:]] == [["b", "seconds", "2 of 3"]] + [
        [name, "seconds", f"{seeds} of {seeds}"] for name, seeds in (("a", 2), ("c", 1))
    ]


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
    assert text == before[0].replace("12 of 15 runs", "21 of 24 runs") + f"\n## Learning curves\n\n{said}"
    (picture,) = pictures(page)["Learning curves"]
    assert min(picture) > 400
    assert {d.asked.budget for d in all_differences(runs, clips, "full")} == {"steps", "seconds"}


def test_many_curves_are_drawn_in_several_pictures(tmp_path, monkeypatch, runs):
    drawn = []
    monkeypatch.setattr("dtse_core.experiments.report.ROWS", 2)
    monkeypatch.setattr(
        "dtse_core.experiments.curves.learning_curves",
        lambda points, groups: drawn.append(list(points["variant"].unique())) or plt.figure(),
    )
    _, clips = made(3)
    write_report({"runs": runs.assign(step_cpu_seconds=0.1), "clips": clips[:0]}, tmp_path, "b", "g")
    assert drawn == [["b", "a"], ["c"]]
