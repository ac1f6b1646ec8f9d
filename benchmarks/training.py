"""The training loop measured as it runs: what it spends beside the model, and what a second process brings."""

import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable
from unittest.mock import patch

import measure
from measure import measured

from dtse_core.config import preset

TURN = 10  # steps between two looks at the clock
ABOUT = {"preset": "tiny", "frame": [64, 96], "window": 3, "dtype": "float32"}
ZYGOTE = multiprocessing.get_context("forkserver")  # imports everything once; each process then starts in no time
ZYGOTE.set_forkserver_preload(["dtse_core.train"])


def outside_the_model() -> dict:
    """Share of a step's time outside forward, backward and optimizer, while a worker draws the clips."""
    from accelerate import Accelerator

    from dtse_core import train
    from dtse_core.training.optimizer import MuonAdamW

    spent, outside, whole = [0.0], [], []
    last = [time.perf_counter()]

    def timed(function: Callable) -> Callable:
        def run(*arguments, **named):
            start = time.perf_counter()
            result = function(*arguments, **named)
            spent[0] += time.perf_counter() - start
            return result

        return run

    def on_log(record: dict) -> None:
        now = time.perf_counter()
        whole.append((now - last[0]) / TURN)
        outside.append(whole[-1] - spent[0] / TURN)
        last[0], spent[0] = now, 0.0

    turns = measure.PAIRS + 2  # before the first the run is set up
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(train, "train_step", timed(train.train_step)),
        patch.object(Accelerator, "backward", timed(Accelerator.backward)),
        patch.object(MuonAdamW, "step", timed(MuonAdamW.step)),
    ):
        train.train(short_training(folder, turns * TURN, **{"data.workers": 1}), False, on_log)
    sides = {"outside the model": iter(outside[1:]), "a step": iter(whole[1:])}
    return measured("train_step", "<= 0.1", sides, next, "seconds", part="outside the model", **ABOUT)


def two_processes(clips: int, bound: str | None) -> dict:
    """Samples a second of two processes of one thread, each with `clips` clips a step, over those of one with 16.

    Each draws its own clips: a worker beside the one process would already take the second core.
    """
    part = f"two processes of {clips} clips over one of 16"
    sides = {"two": (2, clips), "one": (1, 16)}
    return measured("train_step", bound, sides, samples_a_second, "samples a second", part=part, **ABOUT)


def samples_a_second(side: tuple[int, int]) -> float:
    """Of so many processes with so many clips each, once they run."""
    processes, clips = side
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here, there = ZYGOTE.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        config = short_training(folder, 2 * TURN, **{"train.batch": processes * clips})
        ranks = [ZYGOTE.Process(target=train_rank, args=(config, k, processes, port, there)) for k in range(processes)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
    return processes * clips * TURN / here.recv()


def train_rank(config, rank: int, processes: int, port: int, answer) -> None:
    """One process of a training; the first sends the seconds of its second turn."""
    from dtse_core import train

    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    if processes > 1:
        os.environ.update({k: str(v) for k, v in place.items()}, ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1")
    times: list[float] = []
    train.train(config, False, lambda record: times.append(time.perf_counter()))
    if rank == 0:
        answer.send(times[1] - times[0])


def short_training(folder: str, steps: int, **changes):
    """Steps of `tiny` without validations or checkpoints on the way."""
    quiet = {"train.eval_every": 0, "train.eval_samples": 2, "train.checkpoint_every": 0, "train.log_every": TURN}
    return preset("tiny", out=os.path.join(folder, "run"), **{"train.steps": steps, **quiet, **changes})
