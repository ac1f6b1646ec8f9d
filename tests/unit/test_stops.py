"""Ctrl-C and SIGTERM, whenever they come: training keeps what it has learned, all others leave nothing half done."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from safetensors.torch import load_file
from test_grid import grid_of, notebook

from dtse_core import preset
from dtse_core.experiments import __main__ as experiments
from dtse_core.experiments import runner
from dtse_core.shared.console import in_terminal, one_line_errors, stops_noted
from dtse_core.train import train
from dtse_core.training.run_folder import checkpoints, read_history

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
TINY = {
    "data.size": (32, 48),
    "data.toy_clips": 8,
    "train.batch": 2,
    "train.steps": 4,
    "train.eval_every": 3,
    "train.eval_samples": 2,
    "train.checkpoint_every": 0,
    "train.log_every": 1,
}


@pytest.fixture(autouse=True)
def as_at_a_terminal():
    """What a shell starts in the background ignores Ctrl-C."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOPS[1:]}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPS)
def test_a_command_that_is_stopped_tidies_up_and_ends_as_the_signal_says(number, capsys):
    tidied = []

    @one_line_errors
    def command():
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        finally:
            tidied.append(True)

    with pytest.raises(SystemExit) as end:
        command()
    assert end.value.code == 128 + number and tidied
    assert capsys.readouterr().err == "stopped; the same command begins again, or goes on where it can\n"
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def test_what_ignores_a_signal_goes_on_ignoring_it_and_a_thread_changes_nothing():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    seen = []

    def look():
        with in_terminal(), stops_noted():
            seen.append([signal.getsignal(number) for number in STOPS])

    with in_terminal():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    before = [signal.getsignal(number) for number in STOPS]
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return load_file(
        train(preset("tiny", out=tmp_path_factory.mktemp("w") / "run", **TINY), False) / "model.safetensors"
    )


@pytest.mark.parametrize(("number", "at"), [(signal.SIGINT, 1), (signal.SIGTERM, 3)])  # in a step, and in a validation
def test_a_stopped_training_saves_what_it_has_learned_and_goes_on_from_there(tmp_path, whole, number, at, capsys):
    """Though the stop comes to all its processes, as a terminal and a scheduler send it."""
    setting = preset("tiny", out=tmp_path / "run", **TINY, **{"data.workers": 1})

    def stop(record):
        if record["step"] == at and ("loss" in record) == (at == 1):
            if number == signal.SIGINT or hasattr(signal, "sigwaitinfo"):  # elsewhere a worker cannot tell who asks
                workers = [str(worker.pid) for worker in multiprocessing.active_children()]
                subprocess.run(["kill", f"-{number}", *workers], check=True)
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt) as end:
        train(setting, False, stop)
    (saved,) = checkpoints(tmp_path / "run")
    assert saved.name == f"step_00000000{at}"
    assert end.value.args == (number, f"stopped; {saved} is saved, from which the same command goes on")
    assert capsys.readouterr().err.startswith("stopping after this step")
    again = load_file(train(setting, False) / "model.safetensors")
    assert again.keys() == whole.keys() and all(torch.equal(again[name], whole[name]) for name in whole)
    assert [line["step"] for line in read_history(tmp_path / "run")] == [1, 2, 3, 3, 4, 4]


def test_the_second_stop_does_not_wait(tmp_path):
    def stop(record):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as end:
        train(preset("tiny", out=tmp_path / "run", **TINY), False, stop)
    assert end.value.args == (signal.SIGINT,) and not checkpoints(tmp_path / "run")


def test_notebooks_that_run_lose_their_kernels_and_others_never_begin(tmp_path, capsys):
    import nbformat

    kernel = {"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell("1")], metadata=kernel), tmp_path / "04_a.ipynb")
    assert runner.run_notebook(tmp_path / "04_a.ipynb", tmp_path / "out").ok
    kept = {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    for name in ("04_a", "05_b"):
        cell = new_code_cell(f"import time\nopen({str(tmp_path / name)!r}, 'w')\ntime.sleep(600)")
        nbformat.write(new_notebook(cells=[cell], metadata=kernel), tmp_path / f"{name}.ipynb")

    def stop_once_it_runs():
        while not (tmp_path / "04_a").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_once_it_runs, daemon=True).start()
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    assert runner.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 143
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert not (tmp_path / "05_b").exists() and "stopped" in capsys.readouterr().err
    assert not [file for file in tmp_path.rglob("*") if file.suffix == ".part"]
    assert len(kept) == 3 and {file: file.read_bytes() for file in (tmp_path / "out").iterdir()} == kept


def test_a_stopped_grid_leaves_no_kernel_and_no_half_run(tmp_path, monkeypatch, capsys):
    """On Dask, while a kernel works, which stops its grandparent here."""
    told = tmp_path / "kernel"
    lines = f"open({str(told)!r}, 'w').write(str(os.getpid()))", f"os.kill({os.getpid()}, 15)", "time.sleep(600)"
    notebook(tmp_path, body="\n".join(["import os, time", *lines]))
    grid_of(tmp_path, seeds=[0, 1])
    line = ["x", "run", str(tmp_path / "g.json"), "--out", str(tmp_path / "o"), "--workers", "1"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as end:
        experiments.main()
    assert end.value.code == 143 and "the same command begins again, or goes on" in capsys.readouterr().err
    kernel, waited = int(told.read_text(encoding="utf-8")), 0.0
    while psutil.pid_exists(kernel) and psutil.Process(kernel).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.1)  # it looks every second whether its parent is still there
        waited += 0.1
        assert waited < 30
    alive = [c for c in psutil.Process().children(recursive=True) if c.status() != psutil.STATUS_ZOMBIE]
    children = [" ".join(child.cmdline()) for child in alive]
    assert [line for line in children if "resource_tracker" not in line] == []
    assert not [file for file in (tmp_path / "o").rglob("*") if file.is_file()]


def test_a_stopped_evaluation_leaves_no_file_and_no_process(tmp_path, toy_a2d_root):
    """With workers, and masks half written: the whole command, as a scheduler stops it."""
    out = tmp_path / "masks"
    data = "--data.name", "a2d", "--data.root", toy_a2d_root, "--data.workers", "2", "--split", "test"
    line = [sys.executable, "-m", "dtse_core.evaluate", *map(str, data), "--batch", "1", "--save-masks", str(out)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    while not list(tmp_path.rglob("*.png")) and process.poll() is None:
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert process.returncode == 143 and "stopped; " in error
    assert not list(tmp_path.iterdir())
    _, alive = psutil.wait_procs(workers, 30)
    assert not alive
