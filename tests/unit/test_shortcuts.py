"""The trained shortcuts: observers see what they are said to see and learn what there is, and ceilings judge them."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from dtse_core.data.clip import KINDS
from dtse_core.data.toy.level2.scene import Scene, Thing
from dtse_core.data.toy.level2.slices import BLIND, OBSERVERS, THEMES, ceilings
from dtse_core.data.toy.level2.world import VERSION, DiagnosticWorld

ROOT = Path(__file__).parents[2]
DOG = Thing(1, "dog", "red", 200, 5, 500, 500, ((4, 20, 0), (27, 20, 0)), facing=1)
CAT = Thing(2, "cat", "blue", 200, 6, 900, 300, act="jumps", facing=1)
SCENE = Scene(32, (DOG, CAT), 0, (256, 256), "dots", 0)


@pytest.fixture
def shortcuts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import shortcuts

    return shortcuts


def shown(shortcuts, observer, scene, said="the red dog that stops", place=0):
    """All that an observer is told."""
    asked = shortcuts.Asked(
        shortcuts.see(scene, 16), tuple(said.split()), "event", place, np.array([True, False]), "main", "main 0"
    )
    return shortcuts.told(observer, [asked])[0], shortcuts.view(observer, asked).tobytes()


@pytest.mark.parametrize(
    ("change", "who_notices"),
    [
        ({"legs": ((4, 20, 0), (27, 0, 0))}, {"no words", "everything"}),  # later than the first frame
        ({"color": "green"}, {"no words", "first frame", "everything"}),
        ({"x": 700}, {"no words", "first frame", "everything"}),
        ({"facing": -1}, {"first frame"}),  # who sees the whole clip sees where it goes
        ({"depth": 4}, set()),
    ],
)
def test_observers_see_what_they_are_said_to_see(shortcuts, change, who_notices):
    other = replace(SCENE, things=(replace(DOG, **change), CAT))
    for observer in ("files", "no words", "first frame", "everything"):
        differ = shown(shortcuts, observer, SCENE) != shown(shortcuts, observer, other)
        assert differ == (observer in who_notices), observer


def test_only_who_reads_knows_the_words_and_only_who_reads_files_the_place_in_the_list(shortcuts):
    for observer in ("words", "files", "no words", "first frame", "everything"):
        seen = [
            shown(shortcuts, "files" if observer == "words" else observer, SCENE, *more)
            for more in ((), ("the blue cat that jumps",), ("the red dog that stops", 1))
        ]
        assert (seen[0] != seen[1]) == (observer != "no words")
        assert (seen[0] != seen[2]) == (observer in ("words", "files"))


@pytest.mark.parametrize(
    ("text", "nouns"),
    [
        ("the leftmost adult in blue", [("adult", "blue")]),
        ("the two white birds", [("bird", "white")]),
        ("the baby dressed in red who chases the black cat", [("baby", "red"), ("cat", "black")]),
        ("the dog that is not green", [("dog", "green")]),
        ("the ball beside the box", [("ball", ""), ("box", "")]),
        ("both babies that the adult in pink follows", [("baby", ""), ("adult", "pink")]),
    ],
)
def test_a_color_belongs_to_its_noun(shortcuts, text, nouns):
    assert shortcuts.named(tuple(text.split())) == nouns


def test_the_area_under_the_curve_is_how_often_a_pair_is_told_apart(shortcuts):
    rng = np.random.default_rng(0)
    likely, nothing = rng.integers(0, 6, 40), rng.random(40) < 0.4
    test = [
        shortcuts.Asked(None, (), "", 0, np.array([not none]), "main", str(k // 2)) for k, none in enumerate(nothing)
    ]
    pairs = [(a > b) + 0.5 * (a == b) for a, b in product(likely[nothing], likely[~nothing])]
    found = shortcuts.area_under_curve(likely, test)
    assert found["auc"] == pytest.approx(np.mean(pairs)) and found["low"] < found["auc"] < found["high"]


def test_a_mask_in_all_frames_is_scored_as_the_same_mask_frame_by_frame(shortcuts):
    rng = np.random.default_rng(0)
    answer, true = rng.random((1, 30)) < 0.5, rng.random((8, 30)) < 0.3
    expected = (answer & true).sum() / (answer | true).sum()
    found = shortcuts.iou(torch.tensor(answer[0]).float(), torch.tensor(true.mean(0)).float(), 0)
    assert found.item() == pytest.approx(expected)


def test_a_learner_finds_a_shortcut_that_is_there(shortcuts):
    rng, asked = np.random.default_rng(0), []
    for k in range(90):
        things = tuple(
            replace(t, x=int(rng.integers(200, 1300)), number=n + 1) for n, t in enumerate((DOG, replace(DOG, depth=9)))
        )
        meant = np.array([thing.x for thing in things])
        seen = shortcuts.see(replace(SCENE, things=things), 16)
        asked.append(shortcuts.Asked(seen, ("the", "dog"), "position", 0, meant == meant.max(), "main", str(k)))
    scores, _ = shortcuts.actor_scores("first frame", asked[:40], asked[40:], 40)
    blind, _ = shortcuts.actor_scores("files", asked[:40], asked[40:], 40)
    assert np.mean(scores) > 0.85 > 0.7 > np.mean(blind)


# ------------------------------------------------------------------------- the report


def result_of(low, ceiling=0.5):
    """A result in which the first frame has this lower end in `coherence`."""
    scores = {name: {"first frame": [low + 0.1, low, low + 0.2], "count": 8} for name in ("all", *THEMES)}
    limits = {name: {who: ceiling if who in BLIND[name] else 1.0 for who in OBSERVERS} for name in THEMES}
    none = {"words": {"auc": 0.51, "low": 0.47, "high": 0.55, "count": 9}}
    return {"ceilings": limits, "scores": scores, "without words": {"all": 0.4}, "none": none}


def test_an_observer_beats_a_ceiling_if_his_whole_interval_lies_above(shortcuts):
    assert shortcuts.beaten(result_of(0.51)) == [("coherence", "first frame")]  # others do not blind who sees a frame
    assert shortcuts.beaten(result_of(0.5)) == shortcuts.beaten(result_of(0.6, ceiling=0.7)) == []


def test_tables_mark_what_a_slice_asks_for(shortcuts):
    ceilings, scores, none = shortcuts.tables(result_of(0.45)).strip().split("\n\n")
    assert "| coherence | **0.50** | 1.00 | **0.50** | **0.50** | 1.00 |" in ceilings
    assert "| coherence | 8 | **0.55** (0.45 to 0.65) | 0.50 |" in scores and "| all | 8 | 0.55 | 0.40 |" in scores
    assert "| words | 0.51 | 0.47 to 0.55 |" in none


@pytest.mark.parametrize(
    ("arguments", "said"), [("", "--out PATH"), ("--foo", "no option --foo"), ("--out r.json --clips 0", "clips is 0")]
)
def test_a_wrong_command_is_told_in_one_line(shortcuts, monkeypatch, capsys, arguments, said):
    monkeypatch.setattr("sys.argv", ["shortcuts", *arguments.split()])
    with pytest.raises(SystemExit) as end:
        shortcuts.main()
    told = capsys.readouterr().err
    assert end.value.code == 1 and told.startswith("error: ") and said in told and told.count("\n") == 1


def test_a_whole_run_writes_what_its_tables_need(shortcuts, monkeypatch, tmp_path):
    few = {"clips": 13, "families": 1, "train-clips": 13, "train-families": 1, "none": 1, "steps": 2}
    out = tmp_path / "result.json"
    monkeypatch.setattr("sys.argv", ["shortcuts", "--out", str(out), *(f"--{k}={v}" for k, v in few.items())])
    with pytest.raises(SystemExit):
        shortcuts.main()
    result = json.loads(out.read_text(encoding="utf-8"))
    assert {*result["scores"]["all"]} == {"place", "words", *shortcuts.READERS, "count"} and result[
        "version"
    ] == VERSION
    assert {*result["ceilings"]} == {*THEMES} and {*THEMES, *KINDS} <= {*result["scores"]}
    assert shortcuts.tables(result).count("\n") > 30


@pytest.fixture
def result():
    return json.loads((ROOT / "benchmarks" / "shortcuts.json").read_text(encoding="utf-8"))


def test_the_tables_of_the_card_are_those_that_were_measured(shortcuts, result):
    card = (ROOT / "docs" / "diagnostic_card.md").read_text(encoding="utf-8")
    for table in shortcuts.tables(result).strip().split("\n\n"):
        assert table in card
    assert card.count(f"{result['none']['words']['auc']:.2f}") >= 3  # in the table and in both sentences about it


def test_the_measured_world_is_the_present_one_and_its_ceilings_are_those_computed(result):
    assert result["version"] == VERSION and result["clips"] >= 2000 and result["families"] >= 200
    world = DiagnosticWorld("test", result["seed"])
    for name, themes in THEMES.items():
        asked = [q for k in range(len(themes)) for q in world.family(name, k) if not q.control]
        found = ceilings(asked)
        for observer in OBSERVERS:  # a few families tell it where all are alike
            loose = 0.02 if observer in BLIND[name] else 0.25
            assert found[observer] == pytest.approx(result["ceilings"][name][observer], abs=loose), (name, observer)


def test_no_shortcut_beats_the_ceiling_of_a_slice_and_he_who_sees_everything_learns(shortcuts, result):
    assert shortcuts.beaten(result) == []
    assert result["scores"]["all"]["everything"][0] > result["scores"]["all"]["first frame"][0] + 0.1
    assert all(result["scores"][name]["everything"][0] > 0.9 for name in THEMES)
    result["scores"]["coherence"]["first frame"] = [0.6, 0.51, 0.7]
    assert shortcuts.beaten(result) == [("coherence", "first frame")]
