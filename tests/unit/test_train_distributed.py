"""Several processes train as one does: real ones, on the CPU."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file

from dtse_core import DTSE, preset, train
from dtse_core.config import to_dict
from dtse_core.data import ToyWorld
from dtse_core.data.sentences import load_tokenizer
from dtse_core.training import preparation
from dtse_core.training.preparation import validation_scores
from dtse_core.training.run_folder import checkpoints

TINY = {
    "data.size": (32, 48),
    "data.toy_clips": 40,
    "train.batch": 4,
    "train.eval_every": 0,
    "train.eval_samples": 7,
    "train.log_every": 1,
    "train.checkpoint_every": 0,
}
ZYGOTE = multiprocessing.get_context("forkserver")  # imports everything once; each process then starts in no time
ZYGOTE.set_forkserver_preload(["dtse_core.train"])


def config(out, steps, **changes):
    return preset("tiny", out=str(out), **{**TINY, "train.steps": steps, **changes})


def history(out):
    return [json.loads(line) for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def run_rank(settings, rank, processes, port, stop):
    """One of `processes` that train together; at step `stop` the first is stopped, or dies if it is the only one."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    if processes > 1:
        os.environ |= {name: str(value) for name, value in place.items()} | {"ACCELERATE_USE_CPU": "true"}

    def on_log(record):
        if record["step"] == stop:
            os.kill(os.getpid(), signal.SIGTERM) if processes > 1 else os._exit(1)

    train.train(settings, False, on_log)


def run_together(settings, processes, stop=None):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [ZYGOTE.Process(target=run_rank, args=(settings, k, processes, port, stop)) for k in range(processes)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [1 if stop else 0] * processes


# Rounding differs between one sum over a batch and two over its halves. At these rates it stays rounding; Muon's
# iteration, at those of `tiny`, lifts it to 1e-3 of the loss within 20 steps.
SLOW = {"train.optimizer": "adamw", "train.lr": 1e-4, "train.stream_lr": 1e-5, "train.gate_lr": 1e-4}


@pytest.mark.parametrize(
    ("launcher", "steps"),
    [
        ("torch.distributed.run --nproc_per_node 2", 15),
        ("accelerate.commands.launch --multi_gpu --num_processes 2", 3),
    ],
)
def test_two_processes_train_as_one_does(tmp_path, launcher, steps):
    """The command as users start it; the validation at the end included."""
    settings = config(tmp_path / "two", steps, **SLOW)
    changed = {k: v for k, v in to_dict(settings).items() if v != to_dict(preset("tiny"))[k]}
    flags = [w for k, v in changed.items() for w in (f"--{k}", *map(str, v if isinstance(v, tuple) else (v,)))]
    command = [sys.executable, "-m", *launcher.split(), "-m", "dtse_core.train", "--preset", "tiny", *flags]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "2 processes train together" in done.stdout  # a launcher may start one, or two that do not know each other
    train.train(config(tmp_path / "one", steps, **SLOW), False)
    two, one = history(tmp_path / "two"), history(tmp_path / "one")
    assert [r["step"] for r in two] == [*range(1, steps + 1), steps] == [r["step"] for r in one]
    np.testing.assert_allclose([r["loss"] for r in two[:-1]], [r["loss"] for r in one[:-1]], atol=1e-4)
    assert two[-1]["val_mean_iou"] == pytest.approx(one[-1]["val_mean_iou"], abs=1e-3)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    """Two, one, two; without LMDF some weights get no gradient, which the processes must expect.

    A stop of one of the two is a stop of both, with a checkpoint; a death is not.
    """
    changes = {"train.checkpoint_every": 3, "model.lmdf": "off", "train.ema": 0.5}
    settings = config(tmp_path / "run", 12, **changes)
    run_together(settings, 2, stop=5)
    assert checkpoints(tmp_path / "run")[-1].name == "step_000000005"
    run_together(settings, 1, stop=8)
    assert checkpoints(tmp_path / "run")[-1].name == "step_000000006"
    run_together(settings, 2)
    train.train(config(tmp_path / "one", 12, **changes), False)
    np.testing.assert_allclose(
        [r["loss"] for r in history(tmp_path / "run")[:-1]],
        [r["loss"] for r in history(tmp_path / "one")[:-1]],
        atol=1e-4,
    )
    several, one = (load_file(tmp_path / name / "final" / "model.safetensors") for name in ("run", "one"))
    assert all(abs(several[name] - one[name]).max() < 1e-2 for name in one)


def accelerator(rank=0, processes=1):
    return SimpleNamespace(process_index=rank, num_processes=processes, device="cpu")


@pytest.mark.parametrize("count", [1, 5])
def test_shares_of_a_validation_meet_in_every_sample_once(monkeypatch, count):
    """Three processes, fewer or more samples: what they score together is what one scores alone."""
    settings, world = config("unused", 1, **{"train.eval_samples": count}), ToyWorld("val", 20, height=32, width=48)
    model, tokenizer, shares = DTSE(settings.model), load_tokenizer("tiny-bert", 1), []

    def gather(share):
        shares.append(share)
        return [sample for part in shares for sample in part]

    monkeypatch.setattr(preparation, "gather_object", gather)
    for rank in range(3):
        scores = validation_scores(accelerator(rank, 3), model, world, tokenizer, settings)
    together = [sample.sample_id for share in shares for sample in share]
    assert len(together) == len(set(together)) == count
    shares.clear()
    assert scores == pytest.approx(validation_scores(accelerator(), model, world, tokenizer, settings), abs=1e-3)
