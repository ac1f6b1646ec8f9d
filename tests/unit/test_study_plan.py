"""The plan of the study and its grids: they say the same, and what one asks the other runs."""

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.baselines import BASELINES
from benchmarks.study import costs, grids, keep, rates
from dtse_core import DTSE
from dtse_core.config import preset, with_settings
from dtse_core.data.clip import KINDS
from dtse_core.experiments import STUDY
from dtse_core.experiments.comparison import all_differences
from dtse_core.experiments.grid import read_grid
from dtse_core.experiments.plan import read_plan
from dtse_core.experiments.verdicts import MARGIN, PRIMARY_SEEDS, SEEDS
from dtse_core.scoring.diagnosis import CEILINGS
from dtse_core.shared.files import ANY, write_json

HERE = Path(grids.__file__).parent
PLAN = (STUDY / "plan.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs():
    return read_grid(HERE / "planned.toml").runs


def label(run, name: str) -> str:
    return run.labels.get(name, "")


def config(run):
    return with_settings(preset("tiny"), run.parameters["SETTINGS"])


def test_the_grid_files_are_those_that_their_program_writes():
    for path, text in grids.grids().items():
        assert path.read_text(encoding="utf-8") == text, f"run python -m benchmarks.study.grids: {path.name} is old"


def test_every_primary_comparison_has_five_seeds_of_both_sides_on_clips_that_they_are_scored_on(runs):
    asked = read_plan(STUDY / "grid.toml")
    assert len(asked) == 14
    for one in asked:
        for name in (one.variant, one.reference):
            found = [run for run in runs if (label(run, "variant"), label(run, "budget")) == (name, one.budget)]
            (level,) = {config(run).data.level for run in found}
            assert sorted(run.parameters["SEED"] for run in found) == grids.PRIMARY[level], name
            assert one.part in (["all", "twins"] if level == 1 else ["all", *KINDS, *CEILINGS]), one
    assert {len(seeds) for seeds in grids.PRIMARY.values()} == {PRIMARY_SEEDS} and len(grids.OTHERS) == SEEDS


def test_no_run_is_one_that_was_seen_before_or_of_an_older_design(runs):
    assert 0 not in {run.parameters["SEED"] for run in runs if config(run).data.level == 2}
    own = [run.parameters["SETTINGS"] for run in runs if run.parameters["MODEL"] == "dtse"]
    assert own and all("model.filtered=" in text and "model.lmdf_stages=" in text for text in own)


def test_the_plan_asks_what_it_has_to_ask():
    asked = {(one.variant, one.part) for one in read_plan(STUDY / "grid.toml") if one.reference.startswith("DTSE")}
    assert {(idea.name, "all") for idea in grids.IDEAS} <= asked and len(grids.IDEAS) == 8
    assert {("LMDF off", "coherence"), ("LMDF off, level 1", "twins"), ("late concatenation", "guidance")} <= asked
    assert {("last text layer only", "nested"), ("LMDF at one rate", "scale"), ("one insertion, Res3", "all")} <= asked


def test_primary_runs_are_over_before_an_exploratory_one_begins(runs):
    asked = {name for one in read_plan(STUDY / "grid.toml") for name in (one.variant, one.reference)}
    main = [run.parameters["SEED"] not in grids.OTHERS for run in runs]
    assert main == sorted(main, reverse=True) and sum(main) == 120
    assert asked <= {label(run, "variant") for run, first in zip(runs, main, strict=True) if first}


def test_runs_of_the_primary_comparisons_are_those_of_the_grid(runs):
    asked = {name for one in read_plan(STUDY / "grid.toml") for name in (one.variant, one.reference)}
    needed = {run.name for run in runs if label(run, "variant") in asked and label(run, "budget") == "seconds"}
    first = [run for run in read_grid(STUDY / "grid.toml").runs if run.parameters["SEED"] not in grids.OTHERS]
    assert len(first) == 75 == 65 + 2 * 5 and {run.name for run in first} == needed
    assert f"The {len(first)} runs of the primary comparisons come first" in PLAN


def test_further_runs_of_the_grid_are_those_without_vlmg_and_two_shorter_ones_of_each_model_with_a_curve():
    further = [run for run in read_grid(STUDY / "grid.toml").runs if run.parameters["SEED"] in grids.OTHERS]
    off = [run for run in further if label(run, "budget") == "seconds"]
    shorter = [run for run in further if run not in off]
    assert {label(run, "variant") for run in off} == {"VLMG off"} and {label(run, "against") for run in off} == {""}
    assert [run.parameters["SEED"] for run in off] == grids.OTHERS
    parts = ("a quarter of the seconds", "half the seconds")
    names = [variant.name for variant in (grids.DTSE, *grids.IDEAS)]
    assert {(label(run, "variant"), label(run, "budget")) for run in shorter} == {*product(names, parts)}
    assert len(shorter) == 2 * 9 and {run.parameters["SEED"] for run in shorter} == {6}
    assert all(label(run, "against") == label(run, "variant") for run in shorter)
    planned = len(read_grid(HERE / "planned.toml").runs)
    dropped = [int(n) for n in re.findall(r"\((\d+)\)", PLAN[PLAN.index("Dropped for lack of time") :])]
    assert sum(dropped) == planned - 75 - len(further)


def test_equal_seconds_are_steps_times_what_a_step_costs(runs):
    share = {
        name: cost["share"] for name, cost in json.loads(grids.COSTS.read_text(encoding="utf-8"))["variants"].items()
    }
    assert share[grids.UNIT.name] == 1 > share["DTSE"]
    for run in runs:
        name, budget = label(run, "variant").removesuffix(", level 1"), label(run, "budget")
        parts = {"seconds": 1, "a quarter of the seconds": 1 / 4, "half the seconds": 1 / 2, "twice the seconds": 2}
        steps = grids.BUDGET * parts[budget]
        assert run.parameters["STEPS"] * share[name] == pytest.approx(steps, abs=5 * share[name] + 1e-6)
    curves = {(label(run, "variant"), label(run, "budget")) for run in runs if run.parameters["SEED"] in grids.OTHERS}
    for idea in (grids.DTSE, *grids.IDEAS):
        assert sum(variant == idea.name for variant, _ in curves) == len(grids.CURVE)


def test_a_run_has_the_model_the_level_and_the_words_that_its_name_says(runs):
    variants = {variant.name: variant for variant in grids.VARIANTS}
    for run in runs:
        name, found = label(run, "variant"), config(run)
        assert found.data.level == (1 if name.endswith(", level 1") else 2)
        variant = variants[name.removesuffix(", level 1")]
        assert (found.model.lmdf_stages == (3,)) == (variant != grids.UNIT)
        assert run.parameters["MODEL"] == variant.model and run.parameters["EVAL"] == grids.CLIPS
        alone = name if label(run, "budget") != "seconds" else ""  # on a learning curve: compared with nothing
        assert label(run, "against") == ("DTSE, level 1" if found.data.level == 1 else alone)
        if variant.model == "frozen_text":
            assert found.model.text == f"../runs/study/streams/words-{found.data.level}"
    models = {(run.parameters["MODEL"], str(config(run).model)) for run in runs}
    assert len(models) == len(variants) + 1  # frozen text has two, each with the words of its level


def test_the_search_is_the_same_for_all_and_sees_no_test_clip():
    found = read_grid(HERE / "rates.toml")
    assert len(found.runs) == 3 * len((grids.DTSE, *grids.IDEAS))
    tried: dict[str, list[float]] = {}
    for run in found.runs:
        own, tiny = config(run).train, preset("tiny").train
        factors = {round(getattr(own, n) / getattr(tiny, n), 9) for n in ("lr", "stream_lr", "gate_lr", "muon_lr")}
        assert len(factors) == 1 and own.eval_samples == 500 and run.parameters["SEED"] == 100
        assert config(run).data.level == 1  # where 600 steps teach something
        tried.setdefault(run.parameters["MODEL"], []).extend(factors)
    assert all(factors == [0.5, 1, 2] for factors in tried.values()) and len(tried) == 9


def test_the_plan_s_numbers_are_those_of_the_grid(runs):
    *shorter, longest = (f"{steps:,}" for steps in sorted([*grids.CURVE, grids.BUDGET]))
    for text in (
        f"difference that matters: {MARGIN}",
        f"{grids.BUDGET:,} steps of DTSE",
        f"none longer than {grids.MINUTES} minutes",
        f"{grids.CLIPS:,} clips",
        f"{16 * grids.BUDGET:,} training clips",
        f"{grids.SEARCH} steps' worth",
        f"{', '.join(shorter)} and {longest} steps' worth",
        f"(`{preset('tiny').train.schedule}`)",
    ):
        assert text in re.sub(r"[*\s]+", " ", PLAN), text
    counts = [int(n) for n in re.findall(r"^\| [a-z].*? \| (\d+) \| \d+ \|$", PLAN, re.MULTILINE)]
    assert counts[0] == len(read_grid(HERE / "rates.toml").runs) and sum(counts[1:]) == len(runs)


def test_a_study_of_the_grid_can_be_reported_with_a_verdict_for_each_primary_comparison(runs):
    """On drawn scores: no comparison is one of a variant with itself, or of different clips."""
    rng, rows, clips = np.random.default_rng(0), [], []
    for run in runs:
        if run.parameters["SEED"] not in grids.OTHERS:
            level_1 = label(run, "variant").endswith(", level 1")
            row = {"run": run.name, "state": "ok", "variant": "", "budget": "steps", "against": "", "SEED": 0}
            rows.append(row | run.labels | run.parameters)
            for split in ["test", "twins"] if level_1 else ["test", "coherence", "guidance", "scale"]:
                names = [f"{split} {level_1} {k}" for k in range(60)]
                table = {"run": run.name, "split": split, "clip": names, "video": names, "iou": rng.random(60)}
                kinds = ["nested", "control" if split in CEILINGS else "nested"] * 30
                clips.append(pd.DataFrame(table | {"evidence": kinds, "told_apart": rng.integers(0, 2, 60) / 1.0}))
    asked = read_plan(STUDY / "grid.toml")
    found = all_differences(pd.DataFrame(rows), pd.concat(clips, ignore_index=True), "DTSE", asked)
    assert [d.asked for d in found if d.primary] == asked and all(d.run and not d.too_few for d in found[: len(asked)])
    assert all(d.asked.variant != d.asked.reference for d in found)
    (reference,) = {d.asked.reference for d in found if d.asked.variant == "LMDF off, level 1"}
    assert reference == "DTSE, level 1"


# --------------------------------------------------------------------------------- what the programs do


def test_the_rate_is_chosen_on_validation_clips_and_ties_go_to_the_usual_one(tmp_path):
    grid = read_grid(HERE / "rates.toml")
    said = {("dtse", "0.5"): 0.31, ("dtse", "1"): 0.30, ("late_concat", "2"): 0.4}
    for run in grid.runs[:-1]:
        factor = run.labels["variant"].split(" x ")[1]
        curves = [
            {"step": 5, "val_mean_iou": 0.9},
            {"step": 9, "val_mean_iou": said.get((run.parameters["MODEL"], factor), 0.3)},
        ]
        write_json(tmp_path / "runs" / run.name / "result.json", {"ok": True, "recorded": {"curves": curves}}, ANY)
    with pytest.raises(ValueError, match="frozen text, rates x 2, equal seconds, seed 100 has no result in"):
        rates.scores(grid, tmp_path)
    last = {"ok": True, "recorded": {"curves": [{"val_mean_iou": 0.1}]}}
    write_json(tmp_path / "runs" / grid.runs[-1].name / "result.json", last, ANY)
    found = rates.scores(grid, tmp_path)
    chosen = rates.choose(found)
    assert chosen == dict.fromkeys(found, 1.0) | {"dtse": 0.5, "late_concat": 2.0}
    assert "| frozen text | 30.0 | 30.0 | 10.0 | x 1 |" in rates.table(found, chosen)


def test_a_chosen_rate_reaches_the_runs_of_its_model_on_both_levels():
    spent = {variant.name: {"share": 1.0} for variant in grids.VARIANTS}
    for block in grids.planned(spent, {"dtse": 2.0}):
        own = with_settings(preset("tiny"), block["values"]["SETTINGS"]).train
        assert own.muon_lr == preset("tiny").train.muon_lr * (2 if block["values"]["MODEL"] == "dtse" else 1)


def test_what_is_kept_of_a_run_is_put_back_as_it_was_and_clips_are_kept_once(tmp_path):
    table = {
        "clip": ["a \N{LATIN SMALL LETTER E WITH ACUTE}", "b"],
        "video_id": ["v", "w"],
        "evidence": ["action", None],
    }
    records = {}
    for number, name in enumerate(("0a", "1b", "2c")):
        own = table | {
            "intersection": [number, 2],
            "union": [4, 5],
            "on_target": [0.1 * number, None],
            "on_twin": [None, 1.0],
        }
        records[name] = {"run": name, "ok": name != "2c", "recorded": {"clips": {"test": own}, "curves": [{"step": 1}]}}
        write_json(tmp_path / "one" / "runs" / name / "result.json", records[name], ANY)
    assert keep.keep(tmp_path / "one", tmp_path / "rows") == (2, 0)
    assert len(list((tmp_path / "rows").glob("clips-*"))) == 1 and len(list((tmp_path / "rows").iterdir())) == 3
    assert keep.keep(tmp_path / "other", tmp_path / "rows") == (0, 2)
    back = {p.parent.name: json.loads(p.read_text(encoding="utf-8")) for p in (tmp_path / "other").rglob("result.json")}
    assert back == {name: record for name, record in records.items() if record["ok"]}
    assert keep.keep(tmp_path / "other", tmp_path / "rows") == (0, 0)


def test_costs_are_counted_and_shares_are_of_the_first_model():
    smaller = "data.size=32,48 train.batch=2"
    two = [grids.DTSE, grids.Variant("twice", "design"), grids.IDEAS[0]]
    found = costs.measure(two, 1, smaller)
    kinds = (DTSE, DTSE, BASELINES["late_concat"])
    counts = [sum(p.numel() for p in kind(preset("tiny").model).parameters()) for kind in kinds]
    assert [cost["parameters"] for cost in found.values()] == counts == [cost["learning"] for cost in found.values()]
    assert found["DTSE"]["share"] == 1 and found["DTSE"]["megabytes"] > 1
    assert found["DTSE"]["megabytes"] == found["twice"]["megabytes"] > found["late concatenation"]["megabytes"]
    assert costs.table(found)[2].startswith("| DTSE | 1.00 |")


def test_the_grid_that_contributing_shows_is_one_and_its_runs_are_called_by_its_labels(tmp_path):
    text = (HERE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text[text.index("## Running a grid of your own") : text.index("## Adding a notebook")]
    source, shorter = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    assert "../dtse_core" in source
    own = source.replace("../dtse_core", (HERE.parents[1] / "dtse_core").as_posix())
    (tmp_path / "own.toml").write_text(own, encoding="utf-8")
    grid = read_grid(tmp_path / "own.toml")
    titles = [grid.title(run) for run in grid.runs[:3]]
    assert titles == [
        f"{name}, seed 0" for name in ("usual rate", "half of Muon's rate", "late concatenation, half of Muon's rate")
    ]
    (tmp_path / "own.toml").write_text(own + shorter, encoding="utf-8")
    more = [run for run in read_grid(tmp_path / "own.toml").runs if label(run, "against") == label(run, "variant")]
    assert [(label(run, "variant"), run.parameters["STEPS"]) for run in more] == [("usual rate", 300)] * 3
    levels = {config(run).data.level for run in grid.runs}
    assert levels == {2} and config(grid.runs[1]).train.muon_lr == config(grid.runs[2]).train.muon_lr == 1e-3


def test_the_experiment_reads_the_words_of_its_level():
    """With those of level 1 a model of level 2 is scored on other sentences than it is asked."""
    cells = json.loads((HERE.parents[1] / "notebooks/experiment.ipynb").read_text(encoding="utf-8"))["cells"]
    source = "".join("".join(cell["source"]) for cell in cells)
    assert re.findall(r"load_tokenizer\((.*?)\)", source) == ["config.model.text, data.level"]
