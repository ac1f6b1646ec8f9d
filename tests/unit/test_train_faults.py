"""What can go wrong in a training: it resumes or stops with a clear line, and the last good checkpoint stays."""

import errno
import fcntl
import json
import multiprocessing
import os
import platform
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dtse_core import preset, train
from dtse_core.data import ToyWorld
from dtse_core.training.run_folder import checkpoints

TINY = {
    "data.size": (32, 48),
    "data.toy_clips": 40,
    "train.batch": 2,
    "train.eval_every": 0,
    "train.eval_samples": 2,
    "train.checkpoint_every": 2,
    "train.log_every": 1,
}
ZYGOTE = multiprocessing.get_context("forkserver")  # imports everything once; each process then starts in no time
ZYGOTE.set_forkserver_preload(["dtse_core.train"])


def config(out, steps, **changes):
    return preset("tiny", out=str(out), **{**TINY, "train.steps": steps, **changes})


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def state(folder):
    return json.loads((folder / "state.json").read_text(encoding="utf-8"))


class PowerCut(Exception):
    pass


def cut_at(step):
    def on_log(record):
        if record["step"] == step:
            raise PowerCut

    return on_log


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Final weights of eight steps that nothing disturbed."""
    return weights(train.train(config(tmp_path_factory.mktemp("whole") / "run", 8), False))


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run of eight steps cut after the fifth, with checkpoints at 2 and 4."""
    out = tmp_path_factory.mktemp("cut") / "run"
    with pytest.raises(PowerCut):
        train.train(config(out, 8), False, cut_at(5))
    return out


def test_kills_at_random_moments_change_nothing(tmp_path):
    out, steps = tmp_path / "killed", 16
    setting = config(out, steps, **{"train.checkpoint_every": 1})
    rng, reached = random.Random(0), 0
    for _ in range(4):
        process = ZYGOTE.Process(target=train.train, args=(setting, False))
        process.start()
        while not (saved := checkpoints(out)) or state(saved[-1])["step"] <= reached:  # one step further, then any time
            assert process.is_alive(), "the run ended before it could be killed"
            time.sleep(0.005)
        time.sleep(rng.random() * 0.3)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run ended before it could be killed"
        reached = state(checkpoints(out)[-1])["step"]  # the newest is whole, whenever the end came
    train.train(setting, False)
    undisturbed = train.train(config(tmp_path / "whole", steps, **{"train.checkpoint_every": 0}), False)
    assert same(weights(out / "final"), weights(undisturbed))
    lines = (out / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(1, steps + 1), steps]


def hold(setting, reached):
    """Trains to its first record, and stays there."""

    def on_log(_):
        reached.set()
        time.sleep(600)

    train.train(setting, False, on_log)


def test_a_second_training_of_a_folder_stops_before_it_writes_and_a_kill_frees_the_folder(tmp_path):
    out, reached = tmp_path / "run", ZYGOTE.Event()
    setting = config(out, 4, **{"data.workers": 1})  # a worker outlives its training by some seconds
    first = ZYGOTE.Process(target=hold, args=(setting, reached))
    first.start()
    assert reached.wait(120)
    before = {file: file.read_bytes() for file in out.rglob("*")}
    refusal = rf"{out} is in use: process {first.pid} on {platform.node()} is training there; .* another --out"
    with pytest.raises(ValueError, match=refusal):
        train.train(setting, False)
    assert {file: file.read_bytes() for file in out.rglob("*")} == before
    first.kill()
    first.join()
    train.train(setting, False)
    assert [json.loads(line)["step"] for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()] == [
        1,
        2,
        3,
        4,
        4,
    ]


def test_a_disk_without_locks_is_said_and_trained_on(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    train.train(config(tmp_path / "run", 2), False)
    assert "run cannot be locked here ([Errno 38] Function not implemented)" in capsys.readouterr().out


@pytest.mark.parametrize(("file", "full_after"), [("step_000000004", 4), ("history.jsonl", 3)])
def test_a_full_disk_stops_with_one_line_and_costs_no_checkpoint(tmp_path, whole, file, full_after):
    out, free = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(record):
        if record["step"] == full_after:  # files cannot grow beyond this: a line of the history is cut in the middle
            room = 200_000 if file.startswith("step") else (out / "history.jsonl").stat().st_size + 20
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, free[1]))

    try:
        with pytest.raises(OSError, match=rf"{file} could not be written .*make room on the disk, .*command resumes"):
            train.train(config(out, 8), False, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    assert [f.name for f in (out / "checkpoints").iterdir()] == ["step_000000002"]
    assert same(weights(train.train(config(out, 8), False)), whole)
    lines = (out / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(1, 9), 8]


def test_a_checkpoint_has_reached_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    synced, sync, replace = set(), os.fsync, os.replace

    def note(descriptor):
        synced.add(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def check(part, target):
        if part.is_dir() and not target.name.endswith(".part"):  # what is removed is renamed first
            assert synced >= {file.name for file in part.iterdir()}
            renamed.append(target.name)
        replace(part, target)

    renamed = []
    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", check)
    train.train(config(tmp_path / "run", 3), False)
    assert renamed == ["step_000000002", "best", "final"]


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "state.json"])
def test_a_truncated_checkpoint_is_set_aside_for_the_one_before(tmp_path, cut, whole, file, capsys):
    out = shutil.copytree(cut, tmp_path / "run")
    newest = checkpoints(out)[-1]
    os.truncate(newest / file, (newest / file).stat().st_size // 2)
    final = train.train(config(out, 8), False)
    said = capsys.readouterr().out
    assert f"checkpoint {newest} is damaged" in said and f"set aside as {newest.name}.damaged" in said
    assert f"resuming {out} at step 2" in said
    assert same(weights(final), whole)


def poisoned(newest: Path, what: str) -> None:
    """Puts what no training writes into a checkpoint: a number that is none, or a pipe."""
    if what == "weights":
        poison = {name: weight.clone() for name, weight in weights(newest).items()}
        next(weight for weight in poison.values() if weight.is_floating_point()).fill_(float("inf"))
        save_file(poison, newest / "model.safetensors")
    elif what == "average":
        saved = torch.load(newest / "optimizer.pt", weights_only=True)
        next(weight for weight in saved["average"].values() if weight.is_floating_point()).fill_(float("nan"))
        torch.save(saved, newest / "optimizer.pt")
    else:
        (newest / what).unlink()
        os.mkfifo(newest / what)


@pytest.mark.parametrize("what", ["weights", "average", "model.safetensors", "optimizer.pt"])
def test_a_checkpoint_with_what_no_training_writes_is_set_aside_for_the_one_before(tmp_path, what, capsys):
    settings = config(tmp_path / "run", 8, **{"train.ema": 0.5})
    with pytest.raises(PowerCut):
        train.train(settings, False, cut_at(5))
    poisoned(newest := checkpoints(tmp_path / "run")[-1], what)
    final = train.train(settings, False)
    said = capsys.readouterr().out
    assert f"checkpoint {newest} is damaged" in said and "resuming" in said and "at step 2" in said
    assert all(weight.isfinite().all() for weight in weights(final).values())


def test_a_run_whose_checkpoints_are_all_damaged_never_begins_again_unasked(tmp_path, cut):
    out = shutil.copytree(cut, tmp_path / "run")
    for folder in checkpoints(out):
        (folder / "model.safetensors").write_bytes(b"cut short")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"no checkpoint that can be read, .*step_000000004.damaged.*delete .*0"):
            train.train(config(out, 8), False)
    assert (out / "history.jsonl").read_text(encoding="utf-8") == (cut / "history.jsonl").read_text(encoding="utf-8")


def test_a_worker_that_dies_stops_with_one_line_and_the_run_resumes(tmp_path, whole):
    out = tmp_path / "run"

    def kill_worker(record):
        if record["step"] == 5:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(OSError, match=r"prepares batches died \(DataLoader worker .*the same command resumes"):
        train.train(config(out, 8, **{"data.workers": 1}), False, kill_worker)
    assert checkpoints(out)[-1].name == "step_000000004"
    assert same(weights(train.train(config(out, 8), False)), whole)


def test_a_broken_clip_is_named_in_one_line_from_a_worker_too(tmp_path, monkeypatch):
    def broken(*_):
        raise ValueError("clip of nothing; delete it")

    monkeypatch.setattr(ToyWorld, "several", broken)
    for workers in (0, 1):
        with pytest.raises(ValueError, match=r"^clip of nothing; delete it$"):
            train.train(config(tmp_path / str(workers), 8, **{"data.workers": workers}), False)


@pytest.mark.parametrize("poison", [lambda loss: loss * float("nan"), lambda loss: loss + (0 * loss).sqrt()])
def test_a_loss_or_a_gradient_that_is_no_number_never_reaches_a_checkpoint(tmp_path, monkeypatch, poison):
    """The second poison has a finite loss: its gradient alone is 0 / 0."""
    calls, step = [], train.train_step

    def poisoned(*arguments):
        calls.append(1)
        loss, iou = step(*arguments)
        return (poison(loss) if len(calls) == 5 else loss), iou

    monkeypatch.setattr(train, "train_step", poisoned)
    out = tmp_path / "run"
    setting = config(out, 8, **{"train.checkpoint_every": 1, "train.eval_every": 1, "train.log_every": 1000})
    with pytest.raises(FloatingPointError, match=r"step 5; the last good checkpoint is .*step_000000004: lower"):
        train.train(setting, False)
    for folder in [*checkpoints(out), out / "best"]:
        assert all(torch.isfinite(w).all() for w in weights(folder).values())
    assert [state(folder)["step"] for folder in checkpoints(out)] == [3, 4] and not (out / "final").exists()


def test_a_refused_training_leaves_nothing_behind_and_what_was_there_stays(tmp_path):
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "there", tmp_path / "new" / "run"):
        with pytest.raises(ValueError, match="data.max_words is 65, the text stream takes 64"):
            train.train(config(out, 1, **{"data.max_words": 65}), False)
        assert [*tmp_path.rglob("*")] == [tmp_path / "there"]
    assert train.train(config(tmp_path / "there", 1), False).is_dir()
