"""Estimates whose intervals hold the truth, tests that are seldom false, and the documented simulation of both."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dtse_core.experiments.verdicts import MARGIN, SEEDS, VIDEOS, Estimate, estimate, holm, verdict

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def simulation():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import verdicts

        yield verdicts


@pytest.fixture(scope="module")
def stored():
    return json.loads((ROOT / "benchmarks" / "verdicts.json").read_text(encoding="utf-8"))


def drawn(S=3, C=60, of_seeds=0.02, of_clips=0.2, rest=0.15, seed=0):
    rng = np.random.default_rng(seed)
    parts = of_seeds * rng.standard_normal((S, 1)), of_clips * rng.standard_normal((1, C))
    return sum(parts) + rest * rng.standard_normal((S, C))


def test_without_a_difference_between_seeds_it_is_the_t_interval_of_clips():
    d = drawn(1, rest=0)[0]
    low, high = stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
    found = estimate(np.stack([d, d, d]))
    assert found.interval() == pytest.approx((low, high))
    assert found.p_different() == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    both = (stats.ttest_1samp(d, edge, alternative=way).pvalue for edge, way in ((0.1, "less"), (-0.1, "greater")))
    assert found.p_equivalent(0.1) == pytest.approx(max(both))


def test_without_a_difference_between_clips_it_is_welchs_t_test_of_seeds():
    ours, theirs = np.array([0.1, 0.2, 0.25, 0.4]), np.array([0.3, 0.28, 0.35])
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    found = estimate(*(np.repeat(some[:, None], 50, axis=1) for some in (ours, -theirs)))
    assert found.p_different() == pytest.approx(welch.pvalue)
    assert found.interval() == pytest.approx(tuple(welch.confidence_interval(0.95)))


def test_the_variance_is_that_of_a_crossed_analysis():
    d = drawn(5, 40, of_seeds=0.1)
    S, C = d.shape
    seeds, clips = d.mean(axis=1), d.mean(axis=0)
    of_seeds, of_clips = C * seeds.var(ddof=1), S * clips.var(ddof=1)  # mean squares
    rest = ((d - seeds[:, None] - clips + d.mean()) ** 2).sum() / ((S - 1) * (C - 1))
    assert of_seeds > rest
    assert estimate(d).error ** 2 == pytest.approx((of_seeds + of_clips - rest) / (S * C))


def test_what_clips_share_cancels_and_what_seeds_do_does_not():
    clips, seeds = drawn(1, 100, rest=0), 0.1 * np.arange(5)[:, None]
    ours, theirs = (clips + drawn(5, 100, of_clips=0, rest=0.01, seed=k) for k in (1, 2))
    assert estimate(ours, -theirs).error < estimate(ours, -theirs[:, ::-1]).error / 2
    ours, theirs = ours + seeds, theirs + seeds
    assert estimate(ours - theirs).error < estimate(ours, -theirs).error / 2  # one table if a seed ties them


def test_seeds_that_happen_to_agree_leave_what_clips_say():
    d = drawn(3, rest=0.2)
    d -= d.mean(axis=1, keepdims=True)  # three means that are equal
    found = estimate(d)
    assert found.error == pytest.approx(stats.sem(d.mean(axis=0))) and np.ptp(found.interval()) > 0.02


@pytest.mark.parametrize(("S", "C"), [(SEEDS - 1, 250), (SEEDS, VIDEOS - 1)])
def test_too_few_seeds_or_clips_support_nothing(S, C):
    found = estimate(drawn(S, C) + 0.6, -drawn(5, C))  # two seeds that happened to agree once gave +0.300 to +0.900
    assert found.interval() == (-1, 1) and found.p_different() == 1 and found.p_equivalent() > 0.05
    assert estimate(drawn(SEEDS, VIDEOS), -drawn(SEEDS, VIDEOS, seed=1)).interval() != (-1, 1)


def test_scores_that_never_vary_support_nothing():
    nothing = np.zeros((5, 250))  # of models that learned nothing
    assert estimate(nothing, -nothing).interval() == (-1, 1)
    assert verdict(0, estimate(nothing).p_different(), estimate(nothing).p_equivalent()) == "undecided"
    same = np.random.default_rng(1).random((5, 250))  # nor does what differs by rounding alone
    assert estimate(same, -same[::-1]).interval() == (-1, 1)
    alike = np.repeat(same[:1], 5, 0)
    assert estimate(alike + 0.04, -alike).interval() == (-1, 1)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ([np.full((3, 40), np.nan)], "the score of seed 0 on clip 0 is nan; it must be finite"),
        ([drawn(), np.where(np.eye(5, 60) > 0, -np.inf, 0)[2:]], "seed 0 on clip 2 is -inf"),
        ([drawn(), np.zeros((0, 60))], r"scores of the shape \(0, 60\); expected \(seeds, 60\)"),
        ([np.zeros((3, 0))], r"scores of the shape \(3, 0\)"),
        ([drawn(), drawn(C=61)], r"scores of the shape \(3, 61\); expected \(seeds, 60\)"),
        ([drawn()[0]], r"scores of the shape \(60,\)"),
    ],
)
def test_scores_that_say_nothing_are_refused_by_name(tables, words):
    with pytest.raises(ValueError, match=words):
        estimate(*tables)


@pytest.mark.parametrize("numbers", [(np.nan, 0.1, 0.1), (0.1, np.nan, 0.1), (0.1, 0.1, np.inf)])
def test_no_word_is_given_for_what_is_not_a_number(numbers):
    with pytest.raises(ValueError, match="give no verdict; all must be finite"):
        verdict(*numbers)


def test_an_interval_ends_where_differences_do():
    low, high = Estimate(0.9, 0.3, freedom=(10.0, 1.0)).interval()
    assert high == 1 and 0 < low < 0.9


def test_clips_of_one_video_count_together():
    d = drawn(4, 40)
    names = np.repeat(np.arange(40), 5)
    many = estimate(d[:, names], videos=names)
    assert (many.mean, many.error) == pytest.approx((d.mean(), estimate(d).error))
    assert many.error > 1.5 * estimate(d[:, names]).error


@given(st.floats(-0.5, 0.5), st.integers(0, 50))
def test_an_interval_moves_with_its_mean_and_agrees_with_its_tests(shift, seed):
    d = 0.2 * drawn(3, 40, seed=seed)
    low, high = estimate(d).interval()
    moved = estimate(d + shift)
    assert moved.interval() == pytest.approx((low + shift, high + shift))
    assert (moved.p_different() <= 0.05) == (not low + shift < 0 < high + shift)
    low, high = moved.interval(0.9)
    assert (moved.p_equivalent() <= 0.05) == (low > -MARGIN and high < MARGIN)


def test_holm_by_hand():
    assert holm([0.04, 0.001, 0.02, 0.5]) == pytest.approx([0.08, 0.004, 0.06, 0.5])
    assert holm([0.6, 0.7]) == [1, 1] and holm([]) == []


@pytest.mark.parametrize(
    ("mean", "p", "word"),
    [
        (0.1, (0.01, 1.0), "higher"),
        (-0.1, (0.05, 1.0), "lower"),
        (0.1, (0.051, 0.06), "undecided"),
        (0.01, (0.3, 0.05), "equivalent"),
        (0.01, (0.01, 0.01), "equivalent"),  # there is a difference, too small to matter
    ],
)
def test_a_word_for_each_pair_of_tests(mean, p, word):
    assert verdict(mean, *p) == word


@pytest.mark.parametrize("world", [0, 3, 5, 6])
def test_intervals_hold_the_truth_as_often_as_they_say(simulation, world):
    held = simulation.coverage(list(simulation.WORLDS)[world], 3, 100, 0.02, 500)
    assert 0.93 <= held <= 0.98  # 93 to 97 %, and chance


def test_families_of_nothing_seldom_have_a_finding(simulation):
    found = simulation.shares([0.0] * 10, 5, 250, 120)
    assert found["false, corrected"] <= 0.09 < found["false, uncorrected"]  # 5 %, and chance


def test_the_whole_simulation_keeps_what_is_promised(stored):
    held = {f"{world}: {cell}": n for world, cells in stored["coverage"].items() for cell, n in cells.items()}
    assert stored["times"] >= 2000 and len(held) == 7 * 2 * 4 * 3
    chance = 3 * np.sqrt(0.05 * 0.95 / stored["times"])  # of 168 cells few are beyond
    assert {cell: n for cell, n in held.items() if not 0.93 - chance <= n <= 0.97 + chance} == {}
    families = {name: of["false, corrected"] for name, of in stored["families"].items() if "; 5; " in name}
    assert len(families) == 10 and max(families.values()) <= 0.05


@pytest.mark.parametrize("command", ["verdicts", "shortcuts"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no {}; without --tables the command writes it"),
        ("{}", "{} is not a result of this command; without --tables it writes one"),
        ('{"coverage": 1, "families": {}, "ceilings": {}, "scores": {"all": 3}}', "{} is not a result of this command"),
        ("[1", "{}, line 1, column 3: not JSON"),
    ],
)
def test_the_tables_of_no_result_are_refused_in_one_line(command, content, said, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    if content:
        (tmp_path / "r.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr("sys.argv", [command, "--out", str(tmp_path / "r.json"), "--tables"])
    with pytest.raises(SystemExit, match="1"):
        importlib.import_module(command).main()
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {said.format(tmp_path / 'r.json')}") and told.err.count("\n") == 1
    assert told.out == ""


def test_the_documented_tables_are_those_of_the_simulation(simulation, stored):
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    for table in simulation.tables(stored).strip().split("\n\n"):
        assert table in text
