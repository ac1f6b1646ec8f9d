"""The study's tables in the repository: of its grid, whole, and what its report says follows from them."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtse_core.experiments.__main__ import main
from dtse_core.experiments.comparison import summary_rows
from dtse_core.experiments.grid import read_grid

STUDY = Path("dtse_core/experiments/study")
TABLES = ("runs", "clips", "curves")
BUDGETS = ("steps", "seconds")


@pytest.fixture(scope="module")
def tables(request):
    return {name: pd.read_parquet(request.config.rootpath / STUDY / f"{name}.parquet") for name in TABLES}


def test_it_has_the_runs_of_its_grid_with_the_parameters_asked_for(tables, request):
    grid, runs = read_grid(request.config.rootpath / STUDY / "grid.toml"), tables["runs"]
    assert list(runs["run"]) == [run.name for run in grid.runs]
    done = runs[runs["state"] == "ok"]
    asked = {run.name: run.parameters for run in grid.runs}
    assert len(done) == len(runs) and all(json.loads(row.used) == asked[row.run] for row in done.itertuples())
    assert (done.groupby(["variant", "budget"])["SEED"].nunique() >= 3).all()


def test_each_run_recorded_the_seed_asked_for(tables):
    seeds = [json.loads(config)["train.seed"] for config in tables["runs"]["config"]]
    assert seeds == list(tables["runs"]["SEED"])


def test_equal_seconds_are_never_more_than_those_of_the_design(tables):
    seconds = tables["runs"].groupby(["budget", "variant"])["cpu_seconds"].mean()
    assert ((seconds["seconds"] / seconds["steps", "DTSE"]).between(0.8, 1)).all()


def test_the_scores_of_its_clips_give_those_of_its_runs(tables):
    clips, done = tables["clips"], tables["runs"][tables["runs"]["state"] == "ok"].set_index("run")
    assert set(clips["run"]) == set(done.index)
    for split, column, score in (
        ("test", "metrics.mean_iou", "iou"),
        ("compositional", "compositional.mean_iou", "iou"),
        ("twins", "twins_accuracy", "told_apart"),
    ):
        means = clips[clips["split"] == split].groupby("run")[score].mean()
        np.testing.assert_allclose(means, done.loc[means.index, column], atol=1e-6)


def test_one_command_makes_its_report_from_the_committed_tables(request, tmp_path, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    for name in TABLES:
        shutil.copy(STUDY / f"{name}.parquet", tmp_path)
    monkeypatch.setattr(sys, "argv", ["", "report", str(STUDY / "grid.toml"), "--tables", str(tmp_path)])
    main()
    assert (tmp_path / "report.md").read_bytes() == (STUDY / "report.md").read_bytes()


def test_the_results_quote_it(tables, request):
    said = (request.config.rootpath / STUDY / "report.md").read_text(encoding="utf-8").splitlines()
    results = (request.config.rootpath / "docs/results.md").read_text(encoding="utf-8")
    assert f"{len(tables['runs'])} trainings on equal terms" in results
    quoted = [line for line in results.splitlines() if " against DTSE, " in line]
    assert len(quoted) >= 5 and set(quoted) <= set(said)
    section = results[results.index("## What the parts are worth") : results.index("What the scores support")]
    head, _, *rows = (line.replace("*", "").strip("| ").split(" | ") for line in section.splitlines() if "|" in line)
    names, *cells = summary_rows(tables["runs"])
    by_steps, by_seconds = (
        {c[0]: dict(zip(names, c, strict=True)) for c in cells if c[1] == budget} for budget in BUDGETS
    )
    for variant, seeds, *scores, in_time in rows:
        assert scores == [by_steps[variant][name] for name in head[2:-1]]
        assert by_steps[variant]["seeds"].startswith(f"{seeds} of ")
        asked = {"DTSE": by_steps["DTSE"]} | by_seconds  # its steps set the seconds
        assert in_time == asked.get(variant, {"mean IoU": "–"})["mean IoU"]
    assert len(rows) == 10
