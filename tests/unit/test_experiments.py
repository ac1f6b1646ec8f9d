"""Grids on Dask: everything runs once, what fails is tried again, and nothing takes the rest down."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from distributed import LocalCluster
from test_grid import grid_of, notebook

from dtse_core.experiments import __main__ as command
from dtse_core.experiments import run as experiments
from dtse_core.experiments.__main__ import main, parse_command
from dtse_core.experiments.report import write_report
from dtse_core.experiments.run import run_grid
from dtse_core.experiments.tables import collect, read_tables, write_tables
from dtse_core.shared.files import ANY, write_json

CLIPS = {"clip": ["a", "b"], "video_id": ["a", "b"], "evidence": ["action", "action"], "union": [4, 4]}


def pretend(run, notebook, folder, minutes, attempt=1) -> dict:
    """In place of a notebook: leaves a mark, then does what its MODE says."""
    marks = Path(folder).parent / f"{run.name}.marks"
    with open(marks, "a", encoding="utf-8") as file:
        file.write(f"{attempt}\n")
    mode = run.parameters["MODE"]
    if mode == "full disk":
        raise OSError(28, "No space left on device")
    record = {"run": run.name, "ok": mode == "ok" or (mode == "once" and attempt == 2), "error": "it broke"}
    record |= {"attempt": attempt, "seconds": 1.0, "used": run.parameters, "config": {"data.size": [4, 6]}}
    own = {"intersection": [run.parameters["SEED"] % 5, 4], "on_target": [0.9, 0.8], "on_twin": [0.1, 0.9]}
    record["recorded"] = {"metrics": {"mean_iou": 0.5}, "clips": {"test": CLIPS | own}, "curves": [{"step": 1}]}
    if mode != "elsewhere":
        write_json(Path(folder) / "result.json", record, ANY)
    return record | {"ok": True} if mode == "elsewhere" else record


@pytest.fixture(scope="module")
def scheduler():
    """A cluster of two threads in this process, where `pretend` can take the place of a notebook."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def out(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(experiments, "carry_out", pretend)
    notebook(tmp_path)
    (tmp_path / "out" / "runs").mkdir(parents=True)
    return tmp_path / "out"


def attempts(out: Path, grid) -> dict[tuple[str, int], int]:
    marks = {r.name: (r.parameters["MODE"], r.parameters["SEED"]) for r in grid.runs}
    return {marks[p.stem]: len(p.read_text(encoding="utf-8").split()) for p in (out / "runs").glob("*.marks")}


def test_each_run_is_done_once_and_what_is_done_is_skipped(out, scheduler, capsys):
    grid = grid_of(out.parent, seeds=[0, 1, 2])
    assert run_grid(grid, out, scheduler=scheduler) == []
    assert run_grid(grid_of(out.parent, seeds=[0, 1, 2, 3]), out, scheduler=scheduler) == []
    assert attempts(out, grid_of(out.parent, seeds=[0, 1, 2, 3])) == {("ok", k): 1 for k in range(4)}
    said = capsys.readouterr().out
    assert "4 runs, 3 of them done already" in said and said.count("  ok  ") == 4


def test_a_crashed_run_is_tried_once_more_and_the_others_go_on(out, scheduler, capsys):
    grid = grid_of(out.parent, values={"MODE": ["broken", "full disk", "once", "elsewhere", "ok"]})
    failed = run_grid(grid, out, scheduler=scheduler)
    expected = {("broken", 0): 2, ("full disk", 0): 2, ("once", 0): 2, ("elsewhere", 0): 2, ("ok", 0): 1}
    assert attempts(out, grid) == expected
    told = {line.split("MODE=")[1].split(":")[0]: line for line in failed}
    assert set(told) == {"broken", "full disk", "elsewhere"}
    assert "it broke" in told["broken"] and "No space left on device" in told["full disk"]
    assert "all machines must share that disk" in told["elsewhere"]
    states = collect(grid, [out])["runs"].set_index("MODE")["state"].to_dict()
    assert states == {"broken": "failed", "full disk": "not run", "once": "ok", "elsewhere": "not run", "ok": "ok"}
    assert "FAILED" in capsys.readouterr().out


def test_a_stopped_grid_resumes_with_what_is_missing(out, scheduler, monkeypatch):
    grid, real, seen = grid_of(out.parent, seeds=list(range(8))), experiments._line, []

    def stop(*arguments):
        seen.append(arguments)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(experiments, "_line", stop)
    with pytest.raises(KeyboardInterrupt):
        run_grid(grid, out, scheduler=scheduler)
    done = (collect(grid, [out])["runs"]["state"] == "ok").sum()
    assert 3 <= done <= 5  # at most the two in flight beside what was told
    assert run_grid(grid, out, scheduler=scheduler) == []
    tables = collect(grid, [out])
    assert (tables["runs"]["state"] == "ok").all() and len(tables["runs"]) == len(set(tables["runs"]["run"])) == 8
    assert len(tables["clips"]) == 8 * 2  # nothing is counted twice
    assert sum(attempts(out, grid).values()) <= 8 + 2


def test_the_tables_hold_each_run_each_clip_and_what_was_not_run(out, scheduler):
    blocks = [{"labels": {"variant": "a"}}, {"labels": {"variant": "b", "budget": "seconds"}, "values": {"MODE": "x"}}]
    grid = grid_of(out.parent, seeds=[0, 2], blocks=blocks)
    run_grid(grid_of(out.parent, seeds=[0, 2]), out, scheduler=scheduler)
    tables = collect(grid, [out])
    runs = tables["runs"].set_index("run")
    assert runs["state"].tolist() == ["ok", "not run"] * 2
    assert runs["variant"].tolist() == ["a", "b"] * 2 and runs["budget"].tolist() == ["steps", "seconds"] * 2
    assert runs["SEED"].tolist() == [0, 0, 2, 2] and runs["metrics.mean_iou"].tolist()[::2] == [0.5, 0.5]
    assert json.loads(runs["used"].iloc[2])["SEED"] == 2 and json.loads(runs["config"].iloc[0]) == {"data.size": [4, 6]}
    clips = tables["clips"].set_index(["run", "clip"])
    assert clips["iou"].tolist() == [0.0, 1.0, 0.5, 1.0] and clips["told_apart"].tolist()[:2] == [1.0, 0.0]
    files = {p.name: p for p in write_tables(tables, out / "tables")}
    assert set(files) == {"runs.parquet", "runs.csv", "clips.parquet", "curves.parquet"}
    for name, table in read_tables(grid, out / "tables").items():
        pd.testing.assert_frame_equal(table, tables[name])
    assert len(pd.read_csv(files["runs.csv"])) == 4
    assert {p.name for p in (out / "tables").iterdir()} == set(files)


def test_the_report_shows_all_variants_and_only_supported_claims(out, scheduler):
    blocks = [{"labels": {"variant": "a<b"}}, {"labels": {"variant": "never"}, "values": {"MODE": "x"}}]
    grid = grid_of(out.parent, seeds=[0, 1], blocks=blocks)
    run_grid(grid_of(out.parent, seeds=[0, 1]), out, scheduler=scheduler)
    paths = write_report(collect(grid, [out]), out, "a<b", "g")
    text, page = (p.read_text(encoding="utf-8") for p in paths)
    assert (
        "2 of 4 runs." in text
        and "| a\\<b | steps | 2 of 2 | 50.0 |" in text
        and "| never | steps | 0 of 2 | not run |" in text
    )
    assert "- Not run: never (equal steps)." in text
    assert "<td>a&lt;b</td>" in page and "<td>never</td>" in page and "not run" in page
    with pytest.raises(ValueError, match=r"no variant 'nevr' \(did you mean 'never'\?\)"):
        write_report(collect(grid, [out]), out, "nevr", "g")


def test_a_report_before_the_first_run_says_that_nothing_ran(out):
    grid = grid_of(out.parent, seeds=[0])
    assert "0 of 1 runs." in write_report(collect(grid, [out]), out, "all", "g")[0].read_text(encoding="utf-8")


NO_TWINS = {"on_target": [None, None], "on_twin": [None, None]}


@pytest.mark.parametrize(
    "damage",
    [
        {"metrics": {"mean_iou": "x"}},
        {"clips": {"test": {}}},
        {"clips": {"test": CLIPS | NO_TWINS | {"intersection": [5, 4]}}},  # more than the union
        {"clips": {"test": CLIPS | NO_TWINS | {"intersection": [-1, 4]}}},
        {"clips": {"test": CLIPS | NO_TWINS | {"intersection": [True, 4]}}},
        {"curves": [{"loss": "x"}]},
    ],
)
def test_a_damaged_result_is_named_and_the_others_count(tmp_path, damage, capsys):
    notebook(tmp_path)
    grid = grid_of(tmp_path, seeds=[0, 1, 2])
    for k, run in enumerate(grid.runs):
        recorded = {"metrics": {"mean_iou": 0.5}} if k else damage
        write_json(run.folder(tmp_path) / "result.json", {"ok": True, "recorded": recorded}, ANY)
    runs = collect(grid, [tmp_path])["runs"]
    assert runs["state"].tolist() == ["not run", "ok", "ok"] and runs["metrics.mean_iou"].tolist()[1:] == [0.5, 0.5]
    file = grid.runs[0].folder(tmp_path) / "result.json"
    said = capsys.readouterr().err
    assert said.startswith(f"note: {file}: ") and said.endswith("counts as not run: move it away and run it again\n")


def test_without_dask_one_line_names_the_extra(out, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"a grid needs .* distributed: pip install 'dtse\[experiments\] @ git\+"):
        run_grid(grid_of(out.parent), out)


@pytest.mark.parametrize(
    ("word", "taken", "words"),
    [
        ("run", "runs", "is a file, so that"),
        ("collect", "runs.parquet", "exists, and not with the mark"),
        ("collect", "curves.parquet", "exists, and not with the mark"),
        ("report", "report.html", "exists, and not with the mark"),
    ],
)
def test_a_place_that_is_taken_is_said_before_any_work(word, taken, words, out, monkeypatch, capsys):
    (out.parent / "g.toml").write_text('notebook = "work.ipynb"', encoding="utf-8")
    (out / "runs").rmdir()
    (out / taken).write_text("a user's own", encoding="utf-8")
    place = "--tables" if word == "report" else "--out"
    monkeypatch.setattr(sys, "argv", ["experiments", word, str(out.parent / "g.toml"), place, str(out)])
    monkeypatch.setattr(command, "run_grid", None)  # the work, which is not begun
    monkeypatch.setattr(command, "collect", None)
    monkeypatch.setattr(command, "read_tables", None)
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {out / taken} {words}") and said.err.count("\n") == 1 and said.out == ""
    assert [path.name for path in out.iterdir()] == [taken]


def test_the_command_line_reports_a_slip_in_one_line_and_its_status(tmp_path, monkeypatch, capsys):
    notebook(tmp_path)
    (tmp_path / "g.toml").write_text('notebook = "work.ipynb"\nvalues = { SEDE = 1 }', encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["experiments", "run", str(tmp_path / "g.toml")])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 1
    assert capsys.readouterr().err.startswith(
        f"error: {tmp_path / 'g.toml'}: work.ipynb has no parameter SEDE (did you mean 'SEED'?)"
    )
    assert not (tmp_path / "runs").exists()
    assert parse_command(["run", "a/b.toml"]).out == Path("runs/b")
    assert parse_command(["run", "g"]).workers == 2
    with pytest.raises(ValueError, match="--workers must be 1 or more"):
        parse_command(["run", "g", "--workers", "0"])


DEATHS = """
import os, signal
from pathlib import Path
first = not Path(f"{MODE}.mark").exists()
Path(f"{MODE}.mark").touch()
if MODE == "worker" or (MODE == "worker once" and first):
    os.kill(os.getppid(), signal.SIGKILL)
if MODE == "kernel":
    os._exit(1)
"""


@pytest.mark.slow
def test_workers_and_kernels_that_die_are_told_and_the_others_go_on(tmp_path):
    notebook(tmp_path, DEATHS)
    grid = grid_of(tmp_path, values={"MODE": ["worker", "kernel", "worker once", "ok"]})
    failed = run_grid(grid, tmp_path / "out", workers=2)
    told = {line.split("MODE=")[1].split(":")[0]: line for line in failed}
    assert set(told) == {"worker", "kernel"}
    assert "its worker died" in told["worker"] and "DeadKernelError" in told["kernel"]
    runs = collect(grid, [tmp_path / "out"])["runs"].set_index("MODE")
    assert runs["state"].to_dict() == {"worker": "not run", "kernel": "failed", "worker once": "ok", "ok": "ok"}
    assert runs["attempt"]["worker once"] == 2 and runs["attempt"]["ok"] == 1


WAITS = """
import time
from pathlib import Path
first = not Path(f"{SEED}.mark").exists()
Path(f"{SEED}.mark").touch()
if SEED > 1 and first:
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_killed_command_loses_at_most_the_runs_in_flight(tmp_path):
    notebook(tmp_path, WAITS)
    grid, results = grid_of(tmp_path, seeds=[0, 1, 2, 3]), tmp_path / "o" / "runs"
    command = [sys.executable, "-m", "dtse_core.experiments", "run", tmp_path / "g.json", "--out", tmp_path / "o"]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(results.glob("*/result.json"))) < 2 or not all((tmp_path / f"{k}.mark").exists() for k in (2, 3)):
        assert started.poll() is None, "the command ended before it could be killed"
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert collect(grid, [tmp_path / "o"])["runs"]["state"].tolist() == ["ok", "ok", "not run", "not run"]
    kept = {p.parent.name: p.stat().st_mtime_ns for p in results.glob("*/result.json")}
    again = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert again.returncode == 0 and "4 runs, 2 of them done already" in again.stdout, again.stderr
    assert (collect(grid, [tmp_path / "o"])["runs"]["state"] == "ok").all()
    assert all((results / name / "result.json").stat().st_mtime_ns == when for name, when in kept.items())
