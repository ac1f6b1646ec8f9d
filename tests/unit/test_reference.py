"""A grid's reference: intervals that hold new seeds, scores that leave them, and lines that cannot be held."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from test_grid import grid_of, notebook
from test_shards import finish, said

from dtse_core.experiments import STARTER
from dtse_core.experiments.grid import read_grid
from dtse_core.experiments.reference import WIDTH, Score, interval, picture, read_reference, table
from dtse_core.experiments.runner import run_notebook

SCORES = {"a": [0.5, 0.52, 0.54], "b": [0.3, 0.3, 0.36]}
BLOCKS = [{"labels": {"variant": "a"}}, {"labels": {"variant": "b"}, "values": {"MODE": "x"}}]


def grid(**asked):
    return grid_of(Path(), seeds=[0, 1, 2], blocks=BLOCKS, **asked)


def score_all(scores: dict[str, list[float]], monkeypatch, capsys) -> None:
    """Finishes the grid with these scores of its seeds, and gathers them in its tables."""
    for run in grid().runs:
        finish(run, Path("runs/g"), scores[run.labels["variant"]][run.parameters["SEED"]])
    said(capsys, monkeypatch, "collect", "g.json", status=0)


@pytest.fixture
def here(tmp_path, monkeypatch, capsys) -> Path:
    """An empty folder with a finished grid of two variants and three seeds."""
    monkeypatch.chdir(tmp_path)
    notebook(tmp_path)
    score_all(SCORES, monkeypatch, capsys)
    return tmp_path


def test_new_seeds_lie_in_the_interval_as_often_as_it_says():
    rng = np.random.default_rng(0)
    old, new = rng.normal(0.5, 0.05, (2, 2000, 3))
    held = [low <= seeds.mean() <= high for (low, high), seeds in zip(map(interval, old), new, strict=True)]
    assert 0.935 < np.mean(held) < 0.965


def test_seeds_that_agree_leave_room_for_rounding_and_exact_counts_none():
    assert interval([0.5, 0.5, 0.5]) == (0.49, 0.51)
    low, high = interval([1302948.0] * 3)
    assert 1302947 < low < 1302948 < high < 1302949
    assert interval([0.1], within=0.2) == (-0.1, 0.3)
    for seed in range(50):  # no score lies outside of its own reference
        values = np.random.default_rng(seed).random(2)
        low, high = interval(values, within=1e-9)
        assert low <= values.mean() <= high


def test_a_reference_is_written_from_a_finished_grid_and_holds_its_own_scores(here, capsys, monkeypatch):
    said(capsys, monkeypatch, "reference", "g.json", status=0)
    head, *rows = Path("reference.csv").read_text(encoding="utf-8").splitlines()
    assert head == "variant,equal,metric,low,high" and [row.split(",")[0] for row in rows] == ["a", "b"]
    low, high = map(float, rows[0].split(",")[3:])
    expected = stats.t.interval(0.95, 2, 0.52, np.std(SCORES["a"], ddof=1) * np.sqrt(2 / 3))
    assert (low, high) == pytest.approx(expected, abs=2e-6)
    told = said(capsys, monkeypatch, "check", "g.json", status=0)
    assert "| metrics.mean_iou of a | 3 of 3 | 0.52 |" in told and told.count("| within |") == 2


def test_a_score_that_leaves_its_reference_ends_with_an_error_status(here, capsys, monkeypatch):
    said(capsys, monkeypatch, "reference", "g.json", "--within", "0.05", status=0)
    score_all(SCORES | {"b": [0.2, 0.2, 0.2]}, monkeypatch, capsys)
    told = said(capsys, monkeypatch, "check", "g.json")
    assert told == "FAILED metrics.mean_iou of b: 0.2 is BELOW 0.27 to 0.37\n"
    score_all(SCORES | {"a": [0.6, 0.6, 0.6]}, monkeypatch, capsys)
    assert "of a: 0.6 is ABOVE" in said(capsys, monkeypatch, "check", "g.json")
    score_all(SCORES, monkeypatch, capsys)
    said(capsys, monkeypatch, "check", "g.json", status=0)


def test_a_run_that_is_not_done_ends_with_an_error_status(here, capsys, monkeypatch):
    assert "there is no reference.csv" in said(capsys, monkeypatch, "check", "g.json", status=0)
    run = grid().runs[0]
    finish(run, Path("runs/g"), ok=False, error="own.ipynb: cell 3 (x = 1): KeyError: 'y'")
    said(capsys, monkeypatch, "collect", "g.json", status=0)
    told = said(capsys, monkeypatch, "check", "g.json")
    assert told == f"FAILED {run.name} a, seed 0: failed (own.ipynb: cell 3 (x = 1): KeyError: 'y')\n"
    told = said(capsys, monkeypatch, "reference", "g.json")
    assert told == "error: metrics.mean_iou of a: 2 of 3 runs recorded it; run the grid to its end first\n"


def test_a_score_that_no_run_recorded_is_told_without_a_number(here, capsys, monkeypatch):
    said(capsys, monkeypatch, "reference", "g.json", status=0)
    shutil.rmtree("runs/g/runs")
    said(capsys, monkeypatch, "collect", "g.json", status=0)
    told = said(capsys, monkeypatch, "check", "g.json").splitlines()
    assert told[:2] == [f"FAILED metrics.mean_iou of {variant}: no run recorded it" for variant in "ab"]
    assert told[2:] == [f"FAILED {run.name} {grid().title(run)}: not run" for run in grid().runs]


def test_few_seeds_need_a_tolerance(here, capsys, monkeypatch):
    grid_of(here, seeds=[0, 1])
    said(capsys, monkeypatch, "collect", "g.json", status=0)
    told = said(capsys, monkeypatch, "reference", "g.json")
    assert told.startswith("error: metrics.mean_iou of all: too few seeds (2)") and "--within 0.05" in told
    assert "--within is -1.0; it must be above 0" in said(capsys, monkeypatch, "reference", "g.json", "--within=-1")
    assert not Path("reference.csv").exists()


HEAD = "variant,equal,metric,low,high\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,steps,metrics.mean_iou,0,1\n", "line 1: expected variant,equal,metric,low,high; found a,steps"),
        (HEAD + "a,steps,metrics.mean_iou,0\n", "line 2: expected variant,equal,metric,low,high; found a,"),
        (HEAD + "a,steps,metrics.mean_iou,0,much\n", "line 2: high is 'much'; it must be a finite number"),
        (HEAD + "a,steps,metrics.mean_iou,nan,1\n", "line 2: low is nan; it must be a finite number"),
        (HEAD + "a,steps,metrics.mean_iou,1,0\n", "line 2: low is above high; mend it"),
        (HEAD + "a,steps,metrics.mean_iou,0,1\n" * 2, "line 3: metrics.mean_iou of a has a line already; mend it"),
        (HEAD + "A,steps,metrics.mean_iou,0,1\n", "the grid has no metrics.mean_iou of A (did you mean 'metrics.mean"),
        (HEAD + "a,days,metrics.mean_iou,0,1\n", "the grid has no metrics.mean_iou of a, equal days"),
        (
            HEAD + "a,steps,metrics.mean_io,0,1\n",
            "no run recorded a number metrics.mean_io (did you mean 'metrics.mean",
        ),
        (HEAD, "has no line with a score; write it anew, or remove it"),
        ("", "has no line with a score"),
    ],
)
def test_a_line_that_cannot_be_held_is_refused(here, text, words, capsys, monkeypatch):
    Path("reference.csv").write_text(text, encoding="utf-8")
    told = said(capsys, monkeypatch, "check", "g.json")
    assert told.startswith("error: reference.csv") and words in told and told.count("\n") == 1


def test_a_metric_that_no_run_recorded_is_refused(here, capsys, monkeypatch):
    grid(metrics=["metrics.mean_iuo"])
    for word in ("reference", "check"):
        told = said(capsys, monkeypatch, word, "g.json")
        assert told.startswith(
            "error: g.json: no run recorded a number metrics.mean_iuo (did you mean 'metrics.mean_iou'?)"
        )


def test_further_metrics_stand_in_the_report(here, capsys, monkeypatch):
    grid(metrics=["metrics.mean_iou", "attempt"])
    said(capsys, monkeypatch, "report", "g.json", status=0)
    report = Path("runs/g/report.md").read_text(encoding="utf-8")
    head, _, a, b = (line.split(" | ") for line in report.splitlines() if line.startswith("|"))
    assert (head[3], head[-1], a[3], a[-1], b[3]) == ("mean IoU", "attempt |", "52.0", "1.0000 |", "32.0")
    assert "No run recorded scores clip by clip, so nothing is compared." in report


def test_a_users_file_of_that_name_stays(here, capsys, monkeypatch):
    Path("reference.csv").write_text("my,own\n", encoding="utf-8")
    assert "exists, and not with the mark" in said(capsys, monkeypatch, "reference", "g.json")
    assert Path("reference.csv").read_text(encoding="utf-8") == "my,own\n"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "there is no runs/g/clips.parquet; write it with `collect`, --tables runs/g"),
        (lambda file: file.write_bytes(file.read_bytes()[:999]), "runs/g/clips.parquet cannot be read ("),
        (lambda file: file.write_text("{}", encoding="utf-8"), "runs/g/clips.parquet cannot be read ("),
        (
            lambda file: file.write_bytes(file.with_name("curves.parquet").read_bytes()),
            "clips.parquet has no column run;",
        ),
    ],
)
@pytest.mark.parametrize("word", ["report", "check", "reference"])
def test_tables_that_are_damaged_are_named(here, damage, words, word, capsys, monkeypatch):
    damage(Path("runs/g/clips.parquet"))
    told = said(capsys, monkeypatch, word, "g.json")
    assert told.startswith("error: ") and words in told and told.count("\n") == 1


def test_tables_of_another_grid_are_refused(here, capsys, monkeypatch):
    grid_of(here, seeds=[0, 1, 2, 3], blocks=BLOCKS)
    told = said(capsys, monkeypatch, "check", "g.json")
    assert "runs/g/runs.parquet is of other runs than the grid asks for; write it with `collect`" in told


def test_the_picture_puts_each_score_where_its_number_is():
    key = ("a", "steps", "m")
    some = [Score(key, [0.0, 0.5, 1.0], 3, (0.25, 0.75)), Score(("long, name", "seconds", "m"), [1.0], 1, (0.0, 0.5))]
    axis, one, other, _ = picture(some)
    start = len("long, name, equal seconds") + 2
    assert axis[start:].split() == ["0", "1"]
    line = one[start : start + WIDTH]
    assert [line[k] for k in (0, WIDTH // 2, WIDTH - 1)] == ["○", "●", "○"]
    assert (line.index("├"), line.index("┤")) == (round((WIDTH - 1) / 4), round((WIDTH - 1) * 3 / 4))
    assert one.endswith("within") and other[start + WIDTH - 1] == "●" and other.endswith("ABOVE")
    assert "| m of a | 3 of 3 | 0.5 | 0.25 | 0.75 | within |" in table(some)
    assert list(picture([Score(key, [], 3)]))[1].endswith("no reference")


def test_no_reference_is_no_score(tmp_path):
    assert read_reference(tmp_path / "reference.csv") == {}


@pytest.mark.slow
def test_the_example_runs(tmp_path):
    result = run_notebook(STARTER / "own.ipynb", tmp_path, {"CLIPS": 2, "NOISE": 9.0})
    assert result.ok, result.error
    assert {"metrics", "hit", "clips"} <= set(result.recorded) and len(result.recorded["clips"]["test"]["clip"]) == 2


def test_the_example_is_written_once_and_its_grid_can_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "written: .github/workflows/experiments.yml" in said(capsys, monkeypatch, "start", ".", status=0)
    assert len(read_grid("grid.toml").runs) == 6
    Path("own.ipynb").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "grid.toml exists; name another folder" in said(capsys, monkeypatch, "start", ".")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "is a file, so that" in said(capsys, monkeypatch, "start", "grid.toml/x")


def test_help_explains_each_command(capsys, monkeypatch):
    for word in ("start", "run", "collect", "report", "reference", "check"):
        told = said(capsys, monkeypatch, word, "--help", status=0)
        assert word in told and ("GRID" in told or word == "start")
