"""Training: one loop that reads top to bottom. Notebook: 08_train_a_subset.

    python -m dtse_core.train --preset tiny --data.name a2d --data.root DIR --out RUN --train.minutes 10

The same command on the same run folder resumes; a finished run says so. `accelerate launch
-m dtse_core.train` is the form for several GPUs or machines. `run_folder.py` says what a run folder holds.

Everything random is a function of the seed and the step, so a resumed run is the run that was never stopped.
"""

import math
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from .checkpoint import versions, write_json
from .commands import bars_hidden, one_line_errors, parse_run_config
from .config import RunConfig, to_dict
from .data.build import build_dataset
from .data.collate import Batch, collate_clips, load_tokenizer
from .data.transforms import flip_clip, swap_left_right
from .evaluate import evaluate, summarize
from .losses import segmentation_loss
from .model import DTSE
from .run_folder import (
    RunState,
    append_history,
    checkpoints,
    cut_history,
    load_checkpoint,
    same_settings,
    save_checkpoint,
    save_weights,
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


def train(config: RunConfig, progress: bool = True, on_log=None) -> Path:
    """Runs or resumes `config` and returns the folder of the final weights.

    `on_log(record)` is called with each record that goes into history.jsonl. Raises `ValueError` if the
    run folder belongs to other settings, `FloatingPointError` if the loss is no longer finite.
    """
    c, out = config.train, Path(config.out)
    accelerator = Accelerator(mixed_precision=c.mixed_precision)
    main, device = accelerator.is_main_process, accelerator.device
    if c.batch % accelerator.num_processes:
        raise ValueError(f"train.batch {c.batch} must divide evenly among {accelerator.num_processes} processes")
    if (out / "final" / "model.safetensors").is_file():
        same_settings(out, config)
        accelerator.print(f"{out} is finished: its weights are in {out / 'final'}")
        return out / "final"

    # Data, model and optimiser, all from the seed.
    set_seed(c.seed)
    if c.threads:
        torch.set_num_threads(c.threads)
    tokenizer = load_tokenizer(config.model.text)
    collate = partial(collate_clips, tokenizer=tokenizer, size=config.data.size, max_words=config.data.max_words)
    window = config.model.window, config.model.causal
    training = build_dataset(config.data, config.data.train_split, *window)
    validation = build_dataset(config.data, config.data.val_split, *window)
    model = DTSE(config.model)
    optimizer = torch.optim.AdamW(parameter_groups(model, config), weight_decay=c.weight_decay)
    model, optimizer = accelerator.prepare(model, optimizer)
    steps = min(c.steps, math.ceil(c.epochs * len(training) / c.batch)) if c.epochs else c.steps

    # Where the run stands.
    state = RunState()
    if main:
        out.mkdir(parents=True, exist_ok=True)
        if (out / "run.json").is_file():
            same_settings(out, config)
        write_json(out / "run.json", to_dict(config))
        write_json(out / "versions.json", versions())
    accelerator.wait_for_everyone()
    if newest := checkpoints(out):
        state = load_checkpoint(newest[-1], accelerator.unwrap_model(model), optimizer, accelerator)
        accelerator.print(f"resuming {out} at step {state.step}")
    if main:
        cut_history(out, state.step)
    order = batch_order(
        len(training), c.batch, c.seed, state.step, accelerator.process_index, accelerator.num_processes
    )
    loader = DataLoader(
        TrainingSamples(training, c.seed, config.data.flip),
        batch_sampler=order,
        collate_fn=collate,
        num_workers=config.data.workers,
        pin_memory=device.type == "cuda",
    )

    def log(record: dict) -> None:
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
    sums, started, before = torch.zeros(3, device=device), time.monotonic(), state.seconds
    batches = iter(loader)
    model.train()
    while (share := run_share(state, steps, c.minutes)) < 1:
        batch = next(batches).to(device, non_blocking=True)
        torch.manual_seed(c.seed + 1_000_003 * state.step)  # dropout, the same after a resume
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate_factor(share, state.step, config)

        with accelerator.autocast():
            loss, iou = train_step(model, batch, config)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), c.clip)
        optimizer.step()
        optimizer.zero_grad()

        state.step += 1
        state.seconds = before + time.monotonic() - started
        sums += torch.stack([loss.detach(), iou, torch.ones_like(iou)])
        last = run_share(state, steps, c.minutes) >= 1
        last = bool(accelerator.gather(torch.tensor([last], device=device)).any()) if c.minutes else last

        if state.step % c.log_every == 0 or last:
            mean_loss, mean_iou, _ = (accelerator.reduce(sums, "mean") / sums[2]).tolist()
            sums.zero_()
            if not math.isfinite(mean_loss):
                raise FloatingPointError(
                    f"the loss became {mean_loss} before step {state.step}; the last good checkpoint is in "
                    f"{out / 'checkpoints'}: lower train.lr or train.clip, or train without mixed precision"
                )
            record = {"step": state.step, "seconds": round(state.seconds, 1), "loss": mean_loss, "iou": mean_iou}
            log(record)
            bar.n = min(100 * run_share(state, steps, c.minutes), 100)
            bar.set_postfix(step=state.step, loss=f"{mean_loss:.3f}", iou=f"{mean_iou:.3f}", best=f"{state.best:.3f}")

        if last or (c.eval_every and state.step % c.eval_every == 0):
            scores = validate(accelerator, model, validation, tokenizer, config)
            model.train()
            log({"step": state.step, "seconds": round(state.seconds, 1), **scores})
            if scores["val_mean_iou"] > state.best:
                state.best = scores["val_mean_iou"]
                if main:
                    save_weights(out / "best", accelerator.unwrap_model(model), tokenizer, config)

        if not last and c.checkpoint_every and state.step % c.checkpoint_every == 0 and main:
            save_checkpoint(out, state, accelerator.unwrap_model(model), optimizer, accelerator, c.keep)
    bar.close()

    if main:
        save_weights(out / "final", accelerator.unwrap_model(model), tokenizer, config)
        shutil.rmtree(out / "checkpoints", ignore_errors=True)  # the run is finished: nothing to resume
    accelerator.wait_for_everyone()
    return out / "final"


class TrainingSamples(Dataset):
    """Training clips by `(draw, index)`; the coin of a horizontal flip depends on the draw, so that epochs differ."""

    def __init__(self, dataset, seed: int, flip: str):
        self.dataset, self.seed, self.flip = dataset, seed, flip

    def __getitem__(self, key: tuple[int, int]):
        draw, index = key
        clip = self.dataset[index]
        mirrored = self.flip != "no" and np.random.default_rng([self.seed, draw]).random() < 0.5
        if self.flip == "skip" and swap_left_right(clip.expression) != clip.expression:
            mirrored = False  # the sentence names a side: "left behind" would come out wrong
        return flip_clip(clip) if mirrored else clip


def batch_order(
    samples: int, batch: int, seed: int, start: int = 0, rank: int = 0, processes: int = 1
) -> Iterator[list[tuple[int, int]]]:
    """The batches of `(draw, index)` from step `start` on, without end: each epoch is one shuffle of all samples.

    A batch may straddle two epochs. Of every batch a process gets the draws `rank`, `rank + processes`, ...
    """
    epoch, shuffled = -1, np.empty(0, int)
    for step in range(start, 2**62):
        keys = []
        for draw in range(step * batch, (step + 1) * batch):
            if draw // samples != epoch:
                epoch = draw // samples
                shuffled = np.random.default_rng([seed, epoch]).permutation(samples)
            keys.append((draw, int(shuffled[draw % samples])))
        yield keys[rank::processes]


def parameter_groups(model: DTSE, config: RunConfig) -> list[dict]:
    """Streams, gates and new layers at their own rates (D-14); vectors (norms, biases, gates) do not decay."""
    c = config.train
    rates = {"stream": c.stream_lr, "gate": c.gate_lr, "new": c.lr}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = "stream" if ".visual." in name or ".text." in name else "gate" if ".gate_" in name else "new"
            groups.setdefault((kind, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "lr": rates[kind], "base_lr": rates[kind]} | ({} if decays else {"weight_decay": 0.0})
        for (kind, decays), members in groups.items()
    ]


def run_share(state: RunState, steps: int, minutes: float) -> float:
    """How much of the run is done, by steps or by time, whichever is further."""
    return max(state.step / max(steps, 1), state.seconds / 60 / minutes if minutes else 0.0)


def rate_factor(share: float, step: int, config: RunConfig) -> float:
    """Learning rate over its base: linear warm-up, then halved at the milestones or a cosine to 0."""
    c = config.train
    warm = min(1.0, (step + 1) / c.warmup) if c.warmup else 1.0
    if c.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return warm * 0.5 ** sum(share >= milestone for milestone in c.milestones)


def validate(accelerator: Accelerator, model: nn.Module, dataset, tokenizer, config: RunConfig) -> dict[str, float]:
    """Validation scores with a `val_` prefix, on the first `eval_samples` samples; one process scores them."""
    scores = torch.zeros(2, device=accelerator.device)
    if accelerator.is_main_process:
        count = min(len(dataset), config.train.eval_samples or len(dataset))
        samples = evaluate(
            accelerator.unwrap_model(model).eval(),
            torch.utils.data.Subset(dataset, np.linspace(0, len(dataset) - 1, count).astype(int).tolist()),
            tokenizer,
            config.data.size,
            accelerator.device,
            progress=False,
        )
        metrics = summarize(samples)["metrics"]
        scores = torch.tensor([metrics["mean_iou"], metrics["P@0.5"]], device=accelerator.device)
    accelerator.wait_for_everyone()
    mean_iou, precision = accelerator.reduce(scores, "sum").tolist()
    return {"val_mean_iou": mean_iou, "val_P@0.5": precision}


@one_line_errors
def main() -> None:
    """Command line: every setting by its dotted name."""
    config = parse_run_config("python -m dtse_core.train", __doc__)
    final = train(config)
    print(f"final weights: {final}")


if __name__ == "__main__":
    main()
