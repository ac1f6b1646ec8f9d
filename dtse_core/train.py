"""Training: one loop that reads top to bottom. Notebook: 08_train_a_subset.

    python -m dtse_core.train --preset tiny --data.name a2d --data.root DIR --out RUN --train.minutes 10

The same command on the same run folder resumes; a finished run says so. `accelerate launch -m dtse_core.train` is the
form for several GPUs, `torchrun -m dtse_core.train` for processes of one CPU and for several machines. `batches.py`
chooses the clips of a step, `optimizer.py` sets the rates, `run_folder.py` says what a run folder holds.

Everything random is a function of the seed and the step, so a resumed run is the run that was never stopped.
"""

import math
import os
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast, gather_object, set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from .config import ModelConfig, RunConfig, parse_run_config
from .data.batch import Batch
from .data.build import build_dataset
from .data.sentences import load_tokenizer
from .losses import segmentation_loss
from .model import DTSE
from .scoring.clips import evaluate, some_of
from .scoring.summary import summarize
from .shared.console import bars_hidden, one_line_errors
from .training.batches import TrainingSamples, batch_order, collate_training, plain_worker_errors
from .training.optimizer import MuonAdamW, checkpoint_streams, has_idle_parameters, parameter_groups, rate_factor
from .training.run_folder import (
    RunState,
    all_finite,
    append_history,
    cut_history,
    diverged,
    open_run,
    require_tracker,
    resume,
    same_settings,
    save_checkpoint,
    save_weights,
    start_tracker,
)


def train_step(model: nn.Module, batch: Batch, config: RunConfig) -> tuple[Tensor, Tensor]:
    """Forward pass and loss of one batch: `(loss, mean IoU of the batch)`, both scalars; the caller steps."""
    out = model(batch.frames, batch.input_ids, batch.attention_mask)
    loss = segmentation_loss(out.logits, out.aux_logits, batch.masks, config.train.dice_weight, config.train.aux_weight)
    with torch.no_grad():
        predicted, target = out.logits > 0, batch.masks > 0.5  # (B, H, W)
        union = (predicted | target).sum((1, 2)).clamp(min=1)  # (B,)
        iou = ((predicted & target).sum((1, 2)) / union).mean()
    return loss, iou


@plain_worker_errors()
def train(
    config: RunConfig, progress: bool = True, on_log=None, make_model: Callable[[ModelConfig], nn.Module] = DTSE
) -> Path:
    """Runs or resumes `config` and returns the folder of the final weights.

    `on_log(record)` is called with each record that goes into history.jsonl. `make_model` is a class that answers as
    DTSE does and, being a `PyTorchModelHubMixin` too, saves itself: one of benchmarks/baselines. Raises `ValueError`
    if the run folder belongs to other settings, `FloatingPointError` if loss or weights are no longer finite,
    `OSError` if a checkpoint cannot be written, `ChildProcessError` if a worker dies.
    """
    c, out = config.train, Path(config.out)
    require_tracker(c.tracker)
    AcceleratorState._reset_state()  # an earlier training of this process may have had another precision
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    accelerator = Accelerator(
        cpu=several and not torch.cuda.is_available(),  # untold, each of the processes would train for itself
        mixed_precision=c.mixed_precision,
        log_with=None if c.tracker == "none" else c.tracker,
        project_dir=out,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=has_idle_parameters(config.model))],
    )
    main, device = accelerator.is_main_process, accelerator.device
    rank, processes = accelerator.process_index, accelerator.num_processes
    if processes > 1:
        accelerator.print(f"{processes} processes train together, {c.batch / processes:g} clips each a step")
    if c.batch % (processes * c.accumulate):
        raise ValueError(
            f"train.batch {c.batch} must divide evenly among {processes} processes of train.accumulate {c.accumulate}"
        )
    if (out / "final" / "model.safetensors").is_file():
        same_settings(out, config)
        accelerator.print(f"{out} is finished: its weights are in {out / 'final'}")
        return out / "final"

    # Data, model and optimiser, all from the seed.
    set_seed(c.seed)
    if c.threads:
        torch.set_num_threads(c.threads)
    tokenizer = load_tokenizer(config.model.text)
    window = config.model.window, config.model.causal
    training = build_dataset(config.data, config.data.train_split, *window)
    validation = build_dataset(config.data, config.data.val_split, *window)
    if not len(training):
        raise ValueError(f"no clip to train on: split {config.data.train_split} of {config.data.name} is empty")
    model = make_model(config.model).to(memory_format=torch.channels_last)  # convolutions run a tenth faster so
    if c.checkpoint_streams:
        checkpoint_streams(model)
    optimizer = MuonAdamW(parameter_groups(model, config), weight_decay=c.weight_decay)
    warnings.filterwarnings("ignore", "Grad strides do not match")  # of 1x1 convolutions, which have no layout
    model, optimizer = accelerator.prepare(model, optimizer)
    bare = accelerator.unwrap_model(model)
    steps = min(c.steps, math.ceil(c.epochs * len(training) / c.batch)) if c.epochs else c.steps

    # Where the run stands.
    if main:
        open_run(out, config)
    accelerator.wait_for_everyone()
    state = resume(out, bare, optimizer, accelerator)
    if main:
        cut_history(out, state.step)
    start_tracker(accelerator, config)
    batches = iter(
        DataLoader(
            TrainingSamples(training, c.seed, config.data.flip),
            batch_sampler=batch_order(len(training), c.batch, c.seed, state.step, rank, processes, c.accumulate),
            collate_fn=partial(collate_training, tokenizer=tokenizer, data=config.data),
            num_workers=config.data.workers,
            pin_memory=device.type == "cuda",
        )
    )

    def log(record: dict) -> None:
        record = {"step": state.step, "seconds": round(state.seconds, 1), **record}
        accelerator.log(record, step=state.step)
        if main:
            append_history(out, record)
            if on_log:
                on_log(record)

    # The loop.
    bar = tqdm(
        total=100,
        disable=not (progress and main) or bars_hidden(),
        bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
    )
    sums, clock, before = torch.zeros(3, device=device), time.monotonic, state.seconds
    started = logged = clock()
    waited, last = 0.0, run_share(state, steps, c.minutes) >= 1
    model.train()
    while not last:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate_factor(run_share(state, steps, c.minutes), state.step, config)
        torch.manual_seed(c.seed + 1_000_003 * state.step + rank)  # dropout, the same after a resume
        for part in range(c.accumulate):
            asked = clock()
            batch = next(batches).to(device, non_blocking=True)
            waited += clock() - asked
            with accelerator.no_sync(model) if part + 1 < c.accumulate else nullcontext():
                with accelerator.autocast():
                    loss, iou = train_step(model, batch, config)
                accelerator.backward(loss / c.accumulate)
            sums += torch.stack([loss.detach(), iou, torch.ones_like(iou)])
        accelerator.clip_grad_norm_(model.parameters(), c.clip)
        optimizer.step()
        optimizer.zero_grad()

        state.step += 1
        state.seconds = before + clock() - started
        if c.minutes and processes > 1:  # one clock for all: rates and the end depend on it
            state.seconds = broadcast(torch.tensor(state.seconds, device=device)).item()
        last = run_share(state, steps, c.minutes) >= 1
        to_log, to_eval, to_save = (
            last or (every and state.step % every == 0) for every in (c.log_every, c.eval_every, c.checkpoint_every)
        )

        if to_log or to_eval or to_save:
            mean_loss, mean_iou, _ = (accelerator.reduce(sums, "mean") / sums[2]).tolist()
            if not math.isfinite(mean_loss):
                raise diverged(f"the loss became {mean_loss} before step {state.step}", out)
            if (to_eval or to_save) and not all_finite(bare):
                raise diverged(f"weights are no longer finite at step {state.step}", out)

        if to_log:
            log({"loss": mean_loss, "iou": mean_iou, "wait": round(waited / (clock() - logged), 3)})
            bar.n = min(100 * run_share(state, steps, c.minutes), 100)
            bar.set_postfix(step=state.step, loss=f"{mean_loss:.3f}", iou=f"{mean_iou:.3f}", best=f"{state.best:.3f}")
            sums.zero_()
            waited, logged = 0.0, clock()

        if to_eval:
            scores = validate(accelerator, bare, validation, tokenizer, config)
            model.train()
            log(scores)
            better = scores[f"val_{c.best_by}"] > state.best
            state.best, state.stale = (scores[f"val_{c.best_by}"], 0) if better else (state.best, state.stale + 1)
            if better and main:
                save_weights(out / "best", bare, tokenizer, config)
            last = last or 0 < c.patience <= state.stale
            waited, logged = 0.0, clock()

        if to_save and not last and main:
            save_checkpoint(out, state, bare, optimizer, accelerator, c.keep)
    bar.close()

    if main:
        save_weights(out / "final", bare, tokenizer, config)
        shutil.rmtree(out / "checkpoints", ignore_errors=True)  # the run is finished: nothing to resume
    accelerator.wait_for_everyone()
    for tracker in accelerator.trackers:
        tracker.finish()
    return out / "final"


def run_share(state: RunState, steps: int, minutes: float) -> float:
    """How much of the run is done, by steps or by time, whichever is further."""
    return max(state.step / max(steps, 1), state.seconds / 60 / minutes if minutes else 0.0)


def validate(accelerator: Accelerator, model: DTSE, dataset, tokenizer, config: RunConfig) -> dict[str, float]:
    """Validation scores with a `val_` prefix, on `eval_samples` samples of the data set, always the same.

    Each process scores its share; all of them get the scores of the whole.
    """
    data, chosen = config.data, some_of(dataset, config.train.eval_samples or len(dataset))
    mine = Subset(dataset, chosen[accelerator.process_index :: accelerator.num_processes])
    samples = []
    if len(mine):
        samples = evaluate(
            model.eval(),
            mine,
            tokenizer,
            data.size,
            accelerator.device,
            workers=data.workers,
            progress=False,
            max_words=data.max_words,
        )
    metrics = summarize(gather_object(samples))["metrics"]
    return {f"val_{name}": metrics[name] for name in ("mean_iou", "overall_iou", "P@0.5", "AP_mean_precision")}


@one_line_errors
def main() -> None:
    """Command line: every setting by its dotted name."""
    final = train(parse_run_config("python -m dtse_core.train", __doc__))
    PartialState().print(f"final weights: {final}")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
