"""What a training will need, before a GPU is rented: parameters, memory and the time of a step.

    python -m dtse_core.training.cost --preset paper --train.accumulate 4 --device t4 --memory-gb 16
    python -m dtse_core.training.cost --preset colab --data.name ref_davis --train.minutes 180 --device t4

The step really runs, on tensors that have a shape and no contents, so that it needs neither the memory nor the GPU;
what each operator computes, moves and holds is counted on the way. Only the speed of the device is measured, on `cpu`
and `cuda` by a few layers and a step of AdamW, or, for a GPU that is not at hand, taken from its data sheet. From the
time of a step follows that of the run, as a range: what steps took, over what was estimated (docs/training.md).
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from ..config import Count, Positive, RunConfig
from ..data.batch import Batch
from ..data.build import build_dataset, training_splits
from ..model import DTSE
from ..shared.console import one_line_errors, parse_run_config
from ..train import train_step
from .batches import steps_of
from .optimizer import checkpoint_streams, orthogonalize, parameter_groups
from .speed import SHEETS, UPDATED, Speed, Tally, measure_speed

GB = 1e9
WORDS = 20  # word pieces of a sentence
TOOK = {"sheet": (0.85, 2.35), "cuda": (0.4, 1.4), "cpu": (0.9, 1.2)}  # time of a step over its estimate, by its source
WINDOWS = {  # windows to learn from, without local-val: published numbers of sentences and frames, multiplied
    "a2d": 16_000,
    "ref_davis": 37_000,
    "refer_youtube_vos": 300_000,
    "mevis": 1_700_000,
}


@dataclass(frozen=True)
class Cost:
    """Of one training step on one device. Memory in bytes."""

    parameters: int
    trained: int  # parameters with a gradient
    weights: int  # and their average, if `train.ema` asks for one
    gradients: int
    optimizer: int
    activations: int  # kept for the backward pass, of the clips that are computed at once
    peak: int  # most that PyTorch's allocator holds at any moment of a step
    inference: int  # the same for the mask of one window
    work: Counter  # operations and bytes of a step

    def needed(self, gpu: bool) -> float:
        """Bytes of a device that a training takes.

        Both are measured. On an H100, context, libraries and what the allocator cannot fill are 0.8 to 2.4 GB, in one
        case 4.1. On a CPU the C library keeps a quarter of what was freed, and kernels take 40 MB; Python and PyTorch
        come on top.
        """
        return self.peak + 2.0 * GB if gpu else 1.25 * self.peak + 0.04 * GB

    def seconds(self, speed: Speed) -> float:
        """Time of a step: each kind of work at its own speed; in a queue, never less than starting it takes."""
        w = self.work
        products = w["matmul"] / speed.matmul + w["conv"] / speed.conv
        moved = w["memory"] / speed.memory + w["update"] / speed.update
        started = w["operators"] * speed.start
        return max(products + moved, started) if speed.queued else products + moved + started


def count_cost(config: RunConfig, processes: int = 1, gpu: bool = False) -> Cost:
    """Runs a step of `config` as one of `processes` sees it, on tensors without contents.

    `gpu`: AdamW updates all weights at once, which takes a copy of them. Raises `ValueError` if the batch
    does not divide.
    """
    c = config.train
    if c.batch % (processes * c.accumulate * c.sentences):
        raise ValueError(
            f"train.batch {c.batch} does not divide among {processes} processes of {c.accumulate} parts, "
            f"{c.sentences} sentences a window"
        )
    clips = c.batch // processes // c.accumulate
    half = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}[c.mixed_precision]
    precision = partial(autocast, half, gpu) if half else nullcontext
    with FakeTensorMode(), Tally() as tally:
        model = build_model(config)
        if c.checkpoint_streams:
            checkpoint_streams(model, Exact if half and gpu else nullcontext)
        average = [torch.zeros_like(p) for p in model.parameters()] if c.ema else []
        weights, groups = tally.held, parameter_groups(model, config)
        trained = [p for g in groups for p in g["params"]]
        moments = [torch.zeros_like(p) for g in groups for p in g["params"] for _ in range(1 if g["muon"] else 2)]
        optimizer = tally.held - weights
        buckets = [torch.zeros_like(p) for p in trained] if processes > 1 else []  # gradients on their way

        parts = min(c.accumulate, 2)  # the second meets the gradients of the first, the others are like it
        tally.peak, tally.work = tally.held, Counter()
        for _ in range(parts):
            batch, before = empty_batch(config, clips, c.sentences), tally.held
            with precision():
                loss, _ = train_step(model, batch, config)
            activations = tally.held - before
            loss.backward()
            del loss
        tally.work = Counter({kind: count * c.accumulate // parts for kind, count in tally.work.items()})
        gradients = sum(p.grad.numel() * p.grad.element_size() for p in trained if p.grad is not None)
        update(tally, groups, gpu)
        peak, work = tally.peak, tally.work.copy()

        del batch, average, moments, buckets
        model.zero_grad()
        tally.peak = tally.held
        with torch.no_grad(), precision():
            window = empty_batch(config, 1)
            model.eval()(window.frames, window.input_ids, window.attention_mask)
        sizes = sum(p.numel() for p in model.parameters()), sum(p.numel() for p in trained)
        return Cost(*sizes, weights, gradients, optimizer, activations, peak, tally.peak, work)


class Exact(TorchFunctionMode):
    """Gives these functions single precision, as autocast does on a GPU and not on a CPU: they hold twice as much."""

    FUNCTIONS = F.layer_norm, F.group_norm, F.interpolate, F.softmax, Tensor.softmax, Tensor.square

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function in self.FUNCTIONS:
            args = tuple(x.float() if torch.is_tensor(x) else x for x in args)
        return function(*args, **(kwargs or {}))


@contextmanager
def autocast(half: torch.dtype, gpu: bool) -> Iterator[None]:
    """Mixed precision as a CPU has it, where the count is made, or as a GPU has it."""
    with torch.autocast("cpu", half), Exact() if gpu else nullcontext():
        yield


def update(tally: Tally, groups: list[dict], gpu: bool) -> None:
    """Adds to `tally` what the optimizer does; its own code asks for values, which nothing has here."""
    adam = [p for g in groups if not g["muon"] for p in g["params"]]
    roots = [torch.sqrt(p) for p in adam] if gpu else []  # of all weights at once
    tally.work["update"] += UPDATED * sum(p.numel() for p in adam)
    tally.work["operators"] += 0 if gpu else 12 * len(adam)
    del roots
    for shape, count in Counter(p.flatten(1).shape for g in groups if g["muon"] for p in g["params"]).items():
        orthogonalize(torch.zeros(count, *shape))


def build_model(config: RunConfig) -> DTSE:
    """The model as it is trained, at random weights: what is frozen in a pretrained one is frozen here."""
    model = DTSE(dataclasses.replace(config.model, pretrained=False))
    model.encoder.visual.freeze = config.model.pretrained and config.model.freeze_batch_norm
    return model.train()


def empty_batch(config: RunConfig, clips: int, sentences: int = 1) -> Batch:
    """Tensors of a batch's shapes."""
    size, windows = config.data.size, clips // sentences
    words = torch.ones(clips, WORDS, dtype=torch.long)
    return Batch(torch.zeros(windows, config.model.window, 3, *size), words, words, torch.zeros(clips, *size), [])


@dataclass(frozen=True)
class CostCommand(RunConfig):
    """What a preset's training needs; every setting as for training."""

    device: Literal["cpu", "cuda", "t4", "v100", "l4", "rtx4090", "a100", "h100"] = "cpu"  # here, or by data sheet
    memory_gb: Positive = 16.0  # that the device has
    processes: Count = 1  # devices that share a batch


def describe(command: CostCommand) -> str:
    """The table that the command prints."""
    c, gpu = command.train, command.device != "cpu"
    cost = count_cost(command, command.processes, gpu)
    half = None if c.mixed_precision == "no" else torch.float16
    if command.device in SHEETS:
        speed, source = SHEETS[command.device][half is not None], "an estimate from its data sheet"
    else:
        threads = f", threads: {torch.get_num_threads()}" if command.device == "cpu" else ""
        speed, source = measure_speed(command.device, half), f"from operators measured here{threads}"
    need = cost.needed(gpu)
    fits = need <= command.memory_gb * GB
    height, width = command.data.size
    precision = "single precision" if half is None else c.mixed_precision
    remedy = "" if fits else f"; {advice(command)}"
    rows = [
        ("step", f"{c.batch} clips of {command.model.window} frames, {height} x {width}, {precision}"),
        ("at once", f"{c.batch // command.processes // c.accumulate} clips a device"),
        ("parameters", f"{cost.parameters / 1e6:.1f} million, {cost.trained / 1e6:.1f} trained"),
        ("weights", f"{cost.weights / GB:.2f} GB"),
        ("gradients", f"{cost.gradients / GB:.2f} GB"),
        ("optimizer", f"{cost.optimizer / GB:.2f} GB"),
        ("activations", f"{cost.activations / GB:.2f} GB"),
        ("training", f"{need / GB:.2f} GB at most, with what the {'GPU' if gpu else 'C library'} keeps"),
        ("inference", f"{cost.inference / GB:.2f} GB for one window"),
        ("time", f"{cost.seconds(speed):.2f} s a step on {command.device}, {source}"),
        ("run", run_of(command, cost.seconds(speed))),
        ("verdict", f"{'fits' if fits else 'does not fit'} in {command.memory_gb:g} GB{remedy}"),
    ]
    return "\n".join(f"{name:12}{text}" for name, text in rows)


def run_of(command: CostCommand, seconds: float) -> str:
    """How long a run of steps of `seconds` takes, or how far it comes in `train.minutes`: from fastest to slowest."""
    c, data = command.train, command.data
    fast, slow = (seconds * factor for factor in TOOK.get(command.device, TOOK["sheet"]))
    if data.root or data.name == "toy":
        samples, counted = len(build_dataset(data, training_splits(data)[0], command.model.window)), ""
    else:
        samples, counted = WINDOWS.get(data.name, 0), "about "
    if not samples:
        return f"not known: {data.name} has nothing to count without --data.root"
    steps, about = steps_of(c, samples), f"{counted}{samples:,} windows of {data.name}"
    if not c.minutes:
        hours = " to ".join(f"{steps * each / 3600:.2g}" for each in (fast, slow))
        return f"{hours} h for {steps:,} steps, {steps * c.batch / samples:.2g} passes over {about}"
    counts = [min(steps, float(f"{60 * c.minutes / each:.2g}")) for each in (slow, fast)]
    passes = " to ".join(f"{count * c.batch / samples:.2g}" for count in counts)
    return f"{counts[0]:,.0f} to {counts[1]:,.0f} steps in {c.minutes / 60:.3g} h, {passes} passes over {about}"


def advice(command: CostCommand) -> str:
    """The least change of settings that makes a training fit, in words."""
    if change := fitting(command):
        return f"it does with {' '.join(f'--{name} {value}' for name, value in change.items())}"
    return "nor in parts of one window: take a smaller data.size, or mixed precision"


def fitting(command: CostCommand) -> dict[str, Any] | None:
    """The least change of settings that makes a training fit; None if parts of one window do not fit either."""
    c = command.train
    share = c.batch // command.processes
    for recomputed in sorted({c.checkpoint_streams, True}):
        for parts in (n for n in range(c.accumulate, share + 1) if share % (n * c.sentences) == 0):
            setting = dataclasses.replace(c, accumulate=parts, checkpoint_streams=recomputed)
            cost = count_cost(dataclasses.replace(command, train=setting), command.processes, command.device != "cpu")
            if cost.needed(command.device != "cpu") <= command.memory_gb * GB:
                return {"train.accumulate": parts, "train.checkpoint_streams": recomputed}
    return None


def parse_command(arguments: Sequence[str] | None = None) -> CostCommand:
    """The command line."""
    return cast(CostCommand, parse_run_config("python -m dtse_core.training.cost", __doc__, arguments, CostCommand))


@one_line_errors
def main() -> None:
    """Command line."""
    print(describe(parse_command()))


if __name__ == "__main__":
    main()
