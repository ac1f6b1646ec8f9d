"""What each model of the study costs: parameters, seconds of a step, memory.

    python -m benchmarks.study.costs --out benchmarks/study/costs.json

All models take turns in one process of one thread, step by step, so that other work on the machine slows all alike. A
step is what it is in a training: fetching 16 clips that were drawn before, forward, backward, optimizer. `share` is the
median over turns of a model's processor time over that of the first, DTSE with LMDF after Res3, Res4 and Res5, in the
same turn; `megabytes` what PyTorch holds at the peak of a step beyond the weights. Needs the streams that
`benchmarks/pretrain.py` writes.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.baselines import BASELINES
from benchmarks.measure import machine, peak_bytes
from dtse_core import DTSE
from dtse_core.config import Count, preset, with_settings
from dtse_core.data.build import build_dataset
from dtse_core.data.sentences import load_tokenizer
from dtse_core.shared import markdown
from dtse_core.shared.console import one_line_errors, parse
from dtse_core.shared.files import require_ours, write_json
from dtse_core.train import train_step
from dtse_core.training.batches import TrainingSamples, batch_order, collate_training
from dtse_core.training.optimizer import MuonAdamW, parameter_groups

from .grids import COMMON, HERE, VARIANTS, Variant, settings

KEYS = r'"share": '  # of the result, by which a file is known that may be replaced
FEW = 64  # training clips, drawn before


def stepper(variant: Variant, cache: str, more: str = "") -> tuple[torch.nn.Module, Callable[[], None]]:
    """A variant's model on level 2, and a function that takes the next step of its training."""
    asked = f"{COMMON} {settings(variant, 2, 1.0)} data.cache={cache} data.toy_clips={FEW} {more}"
    config = with_settings(preset("tiny"), asked)
    c, tokenizer = config.train, load_tokenizer(config.model.text, config.data.level)
    torch.manual_seed(0)
    model: Any = {"dtse": DTSE, **BASELINES}[variant.model](config.model)
    model.to(memory_format=torch.channels_last).train()
    optimizer = MuonAdamW(parameter_groups(model, config), weight_decay=c.weight_decay)
    training = build_dataset(config.data, "train", config.model.window, config.model.causal)
    windows = TrainingSamples(training, c.seed, config.data.flip, c.sentences)
    order = batch_order(len(training), c.batch // c.sentences, c.seed)
    for k in range(len(training)):
        training.several(k, c.sentences)  # drawn and kept, as most clips of a study are when a run asks for them

    def step() -> None:
        batch = collate_training([windows[key] for key in next(order)], tokenizer, config.data)
        train_step(model, batch, config)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), c.clip)
        optimizer.step()
        optimizer.zero_grad()

    return model, step


def measure(variants: Sequence[Variant], turns: int, more: str = "") -> dict[str, dict[str, Any]]:
    """Each variant's cost, by name; shares are of the first one. `more`: settings of all."""
    with tempfile.TemporaryDirectory() as cache:
        ready = {variant.name: stepper(variant, cache, more) for variant in variants}
        for _, step in ready.values():
            step()  # warm
        taken: dict[str, list[float]] = {name: [] for name in ready}
        for _ in range(turns):
            for name, (_, step) in ready.items():
                begun = time.process_time()
                step()
                taken[name].append(time.process_time() - begun)
        first = taken[variants[0].name]
        return {
            name: {
                "share": round(statistics.median(a / b for a, b in zip(taken[name], first, strict=True)), 3),
                "seconds": round(statistics.median(taken[name]), 3),
                "parameters": sum(p.numel() for p in model.parameters()),
                "learning": sum(p.numel() for p in model.parameters() if p.requires_grad),
                "megabytes": round(peak_bytes(step) / 2**20),
            }
            for name, (model, step) in ready.items()
        }


def table(costs: dict[str, dict[str, Any]]) -> list[str]:
    """The lines of a table in Markdown."""
    rows = [["variant", "share of the first's step", "ms a step", "M parameters", "of which learn", "MB of a step"]]
    for name, c in costs.items():
        sizes = (f"{c[key] / 1e6:.2f}" for key in ("parameters", "learning"))
        rows.append([name, f"{c['share']:.2f}", f"{1000 * c['seconds']:.0f}", *sizes, str(c["megabytes"])])
    return list(markdown.table(rows))


@dataclass(frozen=True)
class Command:
    out: Path  # JSON file for the result
    turns: Count = 7  # of all models, after a warm-up


@one_line_errors
def main() -> None:
    """Command line."""
    options = parse(Command, "python -m benchmarks.study.costs", description=__doc__)
    out = options.out.absolute()
    require_ours(out, KEYS)
    torch.set_num_threads(1)
    os.chdir(HERE.parents[1] / "notebooks")  # from where settings name paths
    costs = measure(VARIANTS, options.turns)
    write_json(out, {"turns": options.turns, "machine": machine(), "variants": costs}, KEYS)
    print("\n".join(table(costs)))


if __name__ == "__main__":
    main()
