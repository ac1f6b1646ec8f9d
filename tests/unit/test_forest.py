"""The picture of a report: what is read back from the drawn lines is what the differences say."""

import base64
import io
import re
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_comparison import made

from dtse_core.experiments.comparison import Comparison, Difference, all_differences
from dtse_core.experiments.forest import GROUPS, forest, group_colors
from dtse_core.experiments.report import write_report
from dtse_core.video.overlay import RUNS

pytestmark = pytest.mark.usefixtures("style")
FOUND = Difference(Comparison("off", "on"), -0.2, -0.3, -0.1, 0.001, 1.0, (3, 3), 40, 40)
GAIN = replace(FOUND, asked=Comparison("more", "on"), mean=0.2, low=0.1, high=0.25)
ALIKE = replace(FOUND, asked=Comparison("same", "on", "direction"), mean=0.01, low=-0.01, high=0.03, p_equivalent=0.01)
OPEN = replace(FOUND, asked=Comparison("five", "on"), mean=0.05, low=-0.05, high=0.15, p_different=0.3)
FEW = replace(FOUND, asked=Comparison("two", "on"), mean=0.02, low=-1.0, high=1.0, seeds=(2, 3))
ABSENT = replace(FOUND, asked=Comparison("none", "on"), mean=np.nan, low=-1.0, high=1.0, seeds=(0, 3))
GROUPED = {"off": "LMDF", "more": "VLMG", "same": "VLMG", "five": "mine", "two": "", "none": "text"}
PINK, GREEN, RED = GROUPS["LMDF"], GROUPS["VLMG"], RUNS[1]


def drawn(ax):
    """Rows of a panel from the top: its label, marks (place, face, shape, color), lines (ends, width), and verdict."""
    found = []
    for k, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        lines = [line for line in ax.lines if set(line.get_ydata()) == {k}]
        ends = [(*line.get_xdata(), line.get_linewidth()) for line in lines if len(line.get_xdata()) == 2]
        marks = [
            (line.get_xdata()[0], line.get_markerfacecolor(), line.get_marker(), line.get_color())
            for line in lines
            if len(line.get_xdata()) == 1
        ]
        (said,) = [text.get_text() for text in ax.texts if text.get_position()[1] == k] or [None]
        found.append((ax.transData.transform((0, k))[1], label.get_text(), marks, ends, said))
    return [row[1:] for row in sorted(found, reverse=True)]


def test_marks_stand_at_the_means_lines_reach_to_the_ends_of_intervals_and_the_verdict_beside():
    figure = forest([FOUND, GAIN, ALIKE, OPEN, FEW, ABSENT], GROUPED, "at $5")
    (ax,) = figure.axes
    assert drawn(ax) == [
        ("off", [(-0.2, PINK, "o", PINK)], [(-0.3, -0.1, 2)], "lower"),  # filled: a difference
        ("more", [(0.2, GREEN, "o", GREEN)], [(0.1, 0.25, 2)], "higher"),
        ("same, on direction", [(0.01, "white", "s", GREEN)], [(-0.01, 0.03, 1)], "equivalent"),
        ("five", [(0.05, "white", "o", RED)], [(-0.05, 0.15, 1)], "undecided"),
        ("two", [(0.02, "white", "o", RUNS[2])], [(-1, 1, 1)], "no verdict"),
        ("none", [], [], "not run"),
    ]
    low, high = ax.get_xlim()
    assert -0.34 < low < -0.3 and 0.25 < high < 0.29  # what nobody knows runs out at both ends
    assert ax.get_xlabel() == "lower than on  \N{LEFTWARDS ARROW}  mean IoU  \N{RIGHTWARDS ARROW}  higher"
    (band,) = ax.patches
    assert band.get_x() == -0.03 and band.get_width() == pytest.approx(0.06) and ax.get_title(loc="left") == r"at \$5"
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["LMDF", "VLMG", "mine", "within 0.03: does not matter"]  # no name, or not run: not there
    assert [handle.get_color() for handle in legend.legend_handles[:3]] == [PINK, GREEN, RED]
    plt.close(figure)


def test_each_score_has_its_panel_and_each_of_several_references_its_rows_below_its_name():
    other = replace(OPEN, asked=Comparison("five", "$x_1"))
    twins = replace(GAIN, mean=0.6, low=0.5, high=0.7, asked=Comparison("more", "$x_1", "twins"))
    figure = forest([FOUND, twins, other, ALIKE], GROUPED)
    first, second = figure.axes
    assert [row[0] for row in drawn(first)] == ["against on", "off", "same, on direction", r"against \$x_1", "five"]
    assert [row[1:] for row in drawn(first) if row[0].startswith("against")] == [([], [], None)] * 2
    assert first.get_xlabel().startswith("lower than the reference ") and first.get_xlim()[1] < 0.2
    assert [row[0] for row in drawn(second)] == ["more, on twins"] and second.get_xlim()[0] > -0.1
    assert second.get_xlabel().startswith(r"lower than \$x_1 ") and "share of twins" in second.get_xlabel()
    plt.close(figure)


def test_where_nothing_is_known_there_is_a_picture_nevertheless():
    flat = replace(OPEN, asked=Comparison("off", "on"), mean=0.0, low=-1.0, high=1.0, p_different=1.0)
    figure = forest([replace(FEW, mean=-0.4), ABSENT, flat], GROUPED)
    (ax,) = figure.axes
    assert [row[-1] for row in drawn(ax)] == ["no verdict", "not run", "undecided"]
    assert -0.45 < ax.get_xlim()[0] < -0.4 and 0.06 < ax.get_xlim()[1] < 0.1
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)


def test_what_tells_rows_apart_is_in_their_labels_however_long_the_names():
    name = "DTSE with one insertion after Res3 and LMDF at one rate, level {}"
    some = [replace(FOUND, asked=Comparison(name.format(k), "on", "action", b)) for k in (1, 2) for b in ("steps", "s")]
    some += [replace(FOUND, asked=Comparison("\x01\n" * 40, "on")), replace(FOUND, low=0.0, high=0.0, mean=0.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = forest(some, dict.fromkeys([d.asked.variant for d in some], "g" * 99), "t" * 999)
        figure.savefig(io.BytesIO(), format="png")
    labels = [row[0] for row in drawn(figure.axes[0])]
    assert labels[:2] == [
        "DTSE with one insert\N{HORIZONTAL ELLIPSIS}d LMDF at one rate, level 1, on action, equal steps",
        "DTSE with one insert\N{HORIZONTAL ELLIPSIS}d LMDF at one rate, level 1, on action, equal s",
    ]
    assert len(set(labels)) == len(some) and all(
        len(label) < 80 for label in [*labels, figure.axes[0].get_title(loc="left")]
    )
    plt.close(figure)


def test_groups_that_nobody_named_have_colors_that_no_named_one_has():
    others = ["mine", "", "yours"]
    colors = group_colors(["LMDF", *others, "mine"])
    assert colors["LMDF"] == GROUPS["LMDF"]
    assert len({colors[name] for name in others}) == 3 and not {colors[name] for name in others} & {*GROUPS.values()}


def pictures(page):
    """Size of each picture of a page, by heading."""
    found = {}
    for part in page.split("<h2>")[1:]:
        files = re.findall('src="data:image/png;base64,([^"]+)"', part)
        found[part.split("</h2>")[0]] = [Image.open(io.BytesIO(base64.b64decode(file))).size for file in files]
    return found


@pytest.fixture
def asked(monkeypatch):
    """What the report has drawn: differences, groups and title of each picture."""
    calls = []

    def spy(*call):
        calls.append(call)
        return forest(*call)

    monkeypatch.setattr("dtse_core.experiments.forest.forest", spy)
    return calls


def test_the_page_shows_primary_comparisons_and_one_picture_for_each_budget(tmp_path, asked):
    runs, clips = made(5)
    runs["group"] = runs["variant"].str.upper()
    plan = [
        Comparison("worse", "full"),
        Comparison("same", "full", "action"),
        Comparison("worse", "full", "all", "seconds"),
    ]
    _, page = write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g", plan)
    assert [len(some) for some in pictures(page.read_text(encoding="utf-8")).values()] == [2, 1]
    every = all_differences(runs, clips, "full", plan)
    others = [d for d in every[3:] if d.asked.part == "all"]
    assert [(some, title) for some, _, title in asked] == [
        (every[:2], "equal steps"),
        (every[2:3], "equal seconds"),
        (others, "equal steps"),
    ]
    assert all(groups == {v: v.upper() for v in runs["variant"]} for _, groups, _ in asked)
    _, page = write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g")
    assert [len(some) for some in pictures(page.read_text(encoding="utf-8")).values()] == [0, 2]
    assert not plt.get_fignums()


def test_of_very_many_variants_no_picture_is_too_tall_and_none_is_of_what_was_not_run(tmp_path, asked, monkeypatch):
    runs, clips = made(3)
    monkeypatch.setattr("dtse_core.experiments.report.ROWS", rows := 8)
    more = [runs[runs["variant"] == "absent"].assign(variant=f"$v_{k}") for k in range(3 * rows)]
    again, own = runs[runs["variant"] == "same"], clips[clips["run"].str.startswith("same")]
    named = [again.assign(variant=f"z{k}", run=again["run"] + f"z{k}") for k in range(rows)]
    clips = pd.concat([clips, *(own.assign(run=own["run"] + f"z{k}") for k in range(rows))])
    write_report({"runs": pd.concat([runs, *more, *named]), "clips": clips}, tmp_path, "full", "g")
    drawn = [d.asked.variant for some, _, title in asked if title == "equal steps" for d in some]
    assert {"worse", "same", *(f"z{k}" for k in range(rows))} <= set(drawn) and len(drawn) == len(set(drawn))
    assert len(asked) == 4 and max(len(some) for some, *_ in asked) == rows  # of five, one has nothing that was run


def test_a_report_looks_alike_whatever_its_caller_has_set_and_changes_nothing_there(tmp_path):
    runs, clips = made(3)
    _, page = write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g")
    before = page.read_bytes()
    with plt.rc_context({"lines.marker": "x", "text.color": "red", "text.usetex": True}):
        own = dict(plt.rcParams)
        write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g")
        assert dict(plt.rcParams) == own and page.read_bytes() == before


def test_a_page_of_somebody_else_is_refused_before_anything_is_written(tmp_path):
    runs, clips = made(3)
    (tmp_path / "report.html").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"report\.html"):
        write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_where_no_clip_was_scored_there_is_no_picture(tmp_path):
    runs, clips = made(3)
    _, page = write_report({"runs": runs, "clips": clips[:0]}, tmp_path, "full", "g")
    assert pictures(page.read_text(encoding="utf-8")) == {"Comparisons": []}
