"""Shards of a grid: together they are the grid, and folders that do not belong together are refused by name."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_grid import grid_of, notebook

from dtse_core.experiments import __main__ as command
from dtse_core.experiments import run as experiments
from dtse_core.experiments.grid import Grid, Run
from dtse_core.experiments.run import run_grid
from dtse_core.experiments.shards import SHARD, Shard
from dtse_core.shared.files import ANY, write_json


@given(runs=st.integers(1, 60), count=st.integers(1, 60))
def test_shards_are_the_grid_in_parts_of_nearly_one_size(runs, count):
    grid = Grid(Path("x.ipynb"), 1, tuple(Run(str(k), {}, {}) for k in range(runs)))
    shards = [Shard(k, count) for k in range(1, count + 1)]
    if count > runs:
        with pytest.raises(ValueError, match=f"shard 1/{count} of {runs} runs; a grid has at most as many shards"):
            shards[0].runs(grid)
        return
    parts = [shard.runs(grid) for shard in shards]
    assert sum(parts, ()) == grid.runs
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2", "01/2", ""])
def test_what_names_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="is not one of 1/2 and 2/2"):
        Shard.read(text)


def finish(run: Run, out: Path, score: float = 0.5, **more) -> None:
    """Leaves what a run that went well does."""
    recorded = {"metrics": {"mean_iou": score}}
    record = {"run": run.name, "ok": True, "error": "", "attempt": 1, "recorded": recorded, "used": run.parameters}
    write_json(run.folder(out) / "result.json", record | more, ANY)


class Cluster:
    """In place of Dask: each run is done at once, and goes well."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def nthreads(self):
        return {"one": 1}

    def submit(self, work, run, notebook, folder, minutes, attempt, **_):
        finish(run, Path(folder).parents[1])
        self.status, self.result = "finished", lambda: {"ok": True}
        return self


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder with a grid of five runs, of which both shards are done, a and b."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "_cluster", lambda *_: Cluster())
    monkeypatch.setattr(experiments, "_ended", set)
    notebook(tmp_path)
    grid = grid_of(tmp_path, seeds=[0, 1, 2, 3, 4])
    for number, out in ((1, "a"), (2, "b")):
        assert run_grid(grid, Path(out), shard=Shard(number, 2)) == []
    return tmp_path


def said(capsys, monkeypatch, *arguments: str, status: int = 1) -> str:
    """What a command that ends with that exit status says: its one line of an error, or what it prints."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
    try:
        code = command.main()
    except SystemExit as end:
        code = end.code
    told = capsys.readouterr()
    assert (code or 0) == status, told
    return told.out if status == 0 else told.err


COLLECT = "collect", "g.json", "--tables", "t", "--shards"


def test_two_shards_give_the_tables_of_the_whole_grid(here, capsys, monkeypatch):
    import pandas as pd

    assert [len(list(Path(out, "runs").iterdir())) for out in "ab"] == [2, 3]
    assert "5 ok" in said(capsys, monkeypatch, *COLLECT, "a", "b", status=0)
    grid = grid_of(here, seeds=[0, 1, 2, 3, 4])
    run_grid(grid, Path("whole"))
    assert not Path("whole", SHARD).exists()
    said(capsys, monkeypatch, "collect", "g.json", "--out", "whole", status=0)
    pd.testing.assert_frame_equal(*(pd.read_parquet(f"{folder}/runs.parquet") for folder in ("t", "whole")))


def test_a_shard_that_was_stopped_is_told_as_not_run(here, capsys, monkeypatch):
    shutil.rmtree(next(Path("b", "runs").iterdir()))
    assert "4 ok, 1 not run" in said(capsys, monkeypatch, *COLLECT, "a", "b", status=0)


def other_grid(here):
    run_grid(grid_of(here, seeds=[0, 1, 2, 3, 7]), Path("c"), shard=Shard(2, 2))
    grid_of(here, seeds=[0, 1, 2, 3, 4])


def other_code(here):
    notebook(here, "sum(range(9))")
    run_grid(grid_of(here, seeds=[0, 1, 2, 3, 4]), Path("c"), shard=Shard(2, 2))
    notebook(here)


def about(**changes):
    def change(here):
        shutil.copytree("b", "c")
        text = json.loads(Path("c", SHARD).read_text(encoding="utf-8"))
        Path("c", SHARD).write_text(json.dumps(text | changes), encoding="utf-8")

    return change


def other_version(here):
    about(versions=json.loads(Path("b", SHARD).read_text(encoding="utf-8"))["versions"] | {"torch": "9.9"})(here)


def three(here):
    run_grid(grid_of(here, seeds=[0, 1, 2, 3, 4]), Path("c"), shard=Shard(3, 3))


@pytest.mark.parametrize(
    ("outs", "change", "words"),
    [
        ("a", None, "shard 2/2 of g.json is in none of a; give its folder, or run it with --shard 2/2"),
        ("b a a", None, "a and a both hold shard 1/2; leave one out"),
        ("a c", other_grid, "c holds runs of another grid, or of other code in its notebook; run shard 2/2 of g.json"),
        ("a c", other_code, "c holds runs of another grid, or of other code in its notebook; run shard 2/2 of g.json"),
        ("a c", other_version, "c with 9.9; run shard 2/2 of g.json again with the same"),
        ("a c", three, "a holds shard 1/2, c shard 3/3; run all with one number of shards"),
        ("a runs", None, "there is no runs/shard.json; give the folders that `run g.json --shard` has filled"),
        ("a c", about(shard=7), "c/shard.json: shard is 7; it must be a text; run the shard again"),
        ("a c", about(shard="2/1"), "c/shard.json: the shard '2/1' is not one of 1/2 and 2/2"),
        ("a c", about(versions=None), "c/shard.json: versions is None; it must be a dict; run the shard again"),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(here, outs, change, words, capsys, monkeypatch):
    if change:
        change(here)
    told = said(capsys, monkeypatch, *COLLECT, *outs.split())
    assert told.startswith("error: ") and words in told and told.count("\n") == 1
    assert not Path("t").exists()


def test_another_python_of_the_same_packages_is_taken(here, capsys, monkeypatch):
    about(versions=json.loads(Path("b", SHARD).read_text(encoding="utf-8"))["versions"] | {"python": "3.99.1"})(here)
    assert "5 ok" in said(capsys, monkeypatch, *COLLECT, "a", "c", status=0)


def test_a_folder_holds_one_shard_and_goes_on_with_it(here, capsys, monkeypatch):
    told = said(capsys, monkeypatch, "run", "g.json", "--shard", "2/2", "--out", "a")
    assert told.startswith("error: a holds shard 1/2") and "choose another --out" in told
    assert "2 runs, 2 of them done" in said(
        capsys, monkeypatch, "run", "g.json", "--shard", "1/2", "--out", "a", status=0
    )
    assert "is not one of" in said(capsys, monkeypatch, "run", "g.json", "--shard", "3/2", "--out", "c")


def test_what_ran_before_its_notebook_was_changed_is_told(here, capsys):
    grid = grid_of(here, seeds=[0, 1, 2, 3, 4])
    for run in grid.runs[:2]:
        finish(run, Path("old"), source="of other code")
    finish(grid.runs[2], Path("old"), source=grid.source)
    run_grid(grid, Path("old"))
    told = capsys.readouterr().out
    assert "5 runs, 3 of them done" in told
    assert "note: 2 of them ran other code than work.ipynb has now; --out elsewhere runs all anew" in told


def test_a_log_says_how_far_a_grid_is():
    assert experiments._course(6, 4, 2, 60) == "1 min: 0 of 6 runs have ended, 2 are running"
    assert experiments._course(6, 2, 2, 240) == "4 min: 2 of 6 runs have ended, 2 are running, about 8 min left"
