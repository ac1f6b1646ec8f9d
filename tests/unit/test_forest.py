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

from dtse_core.experiments.comparison import Comparison, Difference
from dtse_core.experiments.forest import GROUPS, forest, group_colors
from dtse_core.experiments.report import ROWS, write_report

pytestmark = pytest.mark.usefixtures("style")
FOUND = Difference(Comparison("off", "on"), -0.2, -0.3, -0.1, 0.001, 1.0, (3, 3), 40, 40)
ALIKE = replace(FOUND, asked=Comparison("same", "on", "direction"), mean=0.01, low=-0.01, high=0.03, p_equivalent=0.01)
OPEN = replace(FOUND, asked=Comparison("five", "on"), mean=0.05, low=-0.05, high=0.15, p_different=0.3)
FEW = replace(FOUND, asked=Comparison("two", "on"), mean=0.02, low=-1.0, high=1.0, seeds=(2, 3))
ABSENT = replace(FOUND, asked=Comparison("none", "on"), mean=np.nan, low=-1.0, high=1.0, seeds=(0, 3))
COLORS = {"off": "#ff0000", "same": "#00ff00", "five": "#0000ff", "two": "#00ffff", "none": "#ff00ff"}


def drawn(figure):
    """Rows of a figure: its label, and the mark (place, face, marker, color) and line (ends) that stand there."""
    (ax,) = figure.axes
    ticks = zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    rows = {label.get_text(): [line for line in ax.lines if set(line.get_ydata()) == {k}] for k, label in ticks}
    found = {}
    for name, lines in rows.items():
        ends = [tuple(np.round(line.get_xdata(), 6)) for line in lines if len(line.get_xdata()) == 2]
        marks = [
            (line.get_xdata()[0], line.get_markerfacecolor(), line.get_marker(), line.get_color())
            for line in lines
            if len(line.get_xdata()) == 1
        ]
        found[name] = marks, ends
    return found


def test_marks_stand_at_the_means_and_lines_reach_to_the_ends_of_intervals():
    found = drawn(figure := forest([FOUND, ALIKE, OPEN, FEW, ABSENT], COLORS))
    assert found["off"] == ([(-0.2, "#ff0000", "o", "#ff0000")], [(-0.3, -0.1)])  # filled: a difference
    assert found["same, on direction"] == ([(0.01, "white", "s", "#00ff00")], [(-0.01, 0.03)])
    assert found["five"] == ([(0.05, "white", "o", "#0000ff")], [(-0.05, 0.15)])
    assert found["two"] == ([(0.02, "white", "o", "#00ffff")], [(-0.315, 0.315)])  # cut off
    assert found["none"] == ([], []) and [text.get_text() for text in figure.axes[0].texts] == ["not run"]
    assert figure.axes[0].get_xlim() == pytest.approx((-0.33, 0.33))
    assert "lower than on" in figure.axes[0].get_xlabel() and "twins" not in figure.axes[0].get_xlabel()
    plt.close(figure)


def test_each_of_several_references_has_its_own_rows_below_its_name():
    other = replace(OPEN, asked=Comparison("five", "$x_1", "twins"))
    figure = forest([FOUND, other, ALIKE], COLORS)
    labels = [label.get_text().replace("\\", "") for label in figure.axes[0].get_yticklabels()]
    assert labels == ["against on", "off", "same, on direction", "against $x_1", "five, on twins"]
    assert "mean IoU or share of twins told apart" in figure.axes[0].get_xlabel()
    plt.close(figure)


def test_where_nothing_has_a_verdict_there_is_a_picture_nevertheless():
    figure = forest([replace(FEW, mean=-0.4), ABSENT], COLORS)
    assert drawn(figure)["two"][0] == [(-0.4, "white", "o", "#00ffff")]
    assert figure.axes[0].get_xlim() == pytest.approx((-0.44, 0.44))
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)


def test_long_names_leave_room_for_the_picture_and_no_interval_of_nothing_is_stretched():
    long = replace(ALIKE, asked=Comparison("one\ntwo " * 30, "on"), mean=0.0, low=0.0, high=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = forest([long], {long.asked.variant: "red"})
        figure.savefig(io.BytesIO(), format="png")
    (label,) = (label.get_text() for label in figure.axes[0].get_yticklabels())
    assert len(label) == 48 and label.startswith("one two one") and label.endswith("\N{HORIZONTAL ELLIPSIS}")
    assert figure.axes[0].get_xlim() == pytest.approx((-0.066, 0.066))
    plt.close(figure)


def test_groups_that_nobody_named_have_colors_of_their_own():
    colors = group_colors(["mine", "LMDF", "", "mine", "yours"])
    assert colors["LMDF"] == GROUPS["LMDF"] and len({colors[name] for name in ("mine", "", "yours", "LMDF")}) == 4


def pictures(page):
    """Size of each picture of a page, by heading."""
    found = {}
    for part in page.split("<h2>")[1:]:
        files = re.findall('src="data:image/png;base64,([^"]+)"', part)
        found[part.split("</h2>")[0]] = [Image.open(io.BytesIO(base64.b64decode(file))).size for file in files]
    return found


def test_the_page_shows_primary_comparisons_and_one_picture_for_each_other_budget(tmp_path):
    runs, clips = made(5)
    asked = [Comparison("worse", "full", "all", "seconds")]
    _, page = write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g", asked)
    shown = pictures(page.read_text(encoding="utf-8"))
    assert [len(some) for some in shown.values()] == [1, 1]  # at `seconds` only the primary one is asked
    _, page = write_report({"runs": runs, "clips": clips}, tmp_path, "full", "g")
    assert [len(some) for some in pictures(page.read_text(encoding="utf-8")).values()] == [0, 2]
    assert not plt.get_fignums()


def test_of_very_many_variants_no_picture_is_too_tall(tmp_path):
    runs, clips = made(3)
    more = [runs[runs["variant"] == "absent"].assign(variant=f"$v_{k}") for k in range(2 * ROWS)]
    _, page = write_report({"runs": pd.concat([runs, *more]), "clips": clips}, tmp_path, "full", "g")
    sizes = pictures(page.read_text(encoding="utf-8"))["Exploratory comparisons"]
    assert len(sizes) == 4 and max(height for _, height in sizes) < 150 * (1.5 + 0.25 * ROWS)


def test_where_no_clip_was_scored_there_is_no_picture(tmp_path):
    runs, clips = made(3)
    _, page = write_report({"runs": runs, "clips": clips[:0]}, tmp_path, "full", "g")
    assert pictures(page.read_text(encoding="utf-8")) == {"Comparisons": []}
