"""Training: one loop that reads top to bottom. Notebook: 08_train_a_subset.

    python -m dtse_core.train --preset tiny --data.name a2d --data.root DIR --out RUN --train.minutes 10

The same command on the same run folder resumes; a finished run says so. `accelerate launch -m dtse_core.train` is the
form for several GPUs, `torchrun -m dtse_core.train` for processes of one CPU and for several machines. In `training/`
the module `preparation.py` prepares what the loop works with, `batches.py` chooses the clips of a step, `optimizer.py`
sets the rates, and `run_folder.py` says what a run folder holds.

Everything random is a function of the seed and the step, so a resumed run is the run that was never stopped.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from .config import ModelConfig, RunConfig
from .data.batch import Batch
from .losses import segmentation_loss
from .model import DTSE
from .shared.console import one_line_errors, parse_run_config
from .training.batches import plain_worker_errors
from .training.optimizer import rate_factor
from .training.outcome import outcome
from .training.preparation import join_processes, prepare
from .training.run_folder import only_training, remove_checkpoints, same_settings


def train_step(model: nn.Module, batch: Batch, config: RunConfig) -> tuple[Tensor, Tensor]:
    """Forward pass and loss of one batch: `(loss, mean IoU of the batch)`, both scalars; the caller steps."""
    out = model(batch.frames, batch.input_ids, batch.attention_mask)
    loss = segmentation_loss(out.logits, out.aux_logits, batch.masks, config.train.dice_weight, config.train.aux_weight)
    with torch.no_grad():
        predicted, target = out.logits > 0, batch.masks > 0.5  # (B, H, W)
        union = (predicted | target).sum((1, 2))  # (B,)
        iou = torch.where(union > 0, (predicted & target).sum((1, 2)) / union, 1.0).mean()
    return loss, iou


@plain_worker_errors
def train(
    config: RunConfig,
    progress: bool = True,
    on_log: Callable[[dict[str, Any]], object] | None = None,
    make_model: Callable[[ModelConfig], nn.Module] = DTSE,
) -> Path:
    """Runs or resumes `config` and returns the folder of the final weights.

    `on_log(record)` is called with each record that goes into history.jsonl. `make_model` is a class that answers as
    DTSE does and, being a `PyTorchModelHubMixin` too, saves itself: one of benchmarks/baselines. Raises `ValueError`
    if the run folder belongs to other settings or another training is using it, `FloatingPointError` if loss or
    weights are no longer finite, `OSError` if a checkpoint cannot be written, `ChildProcessError` if a worker dies.
    Ctrl-C and SIGTERM end it after the step that is being taken, with a checkpoint, by a `KeyboardInterrupt`.
    """
    c, accelerator, final = config.train, join_processes(config), Path(config.out) / "final"
    if (final / "model.safetensors").is_file():
        same_settings(final.parent, config)
        if accelerator.is_main_process:
            remove_checkpoints(final.parent)  # of a run that was killed just before it did so
        accelerator.print(f"{final.parent} is finished: its weights are in {final}")
        return final

    with (
        only_training(final.parent) if accelerator.is_main_process else nullcontext(),
        prepare(config, accelerator, make_model, progress, on_log) as run,
    ):
        model, optimizer, state = run.model, run.optimizer, run.state
        while not run.over:
            # Rates and dropout follow from where the run stands.
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * rate_factor(run.share, state.step, config)
            torch.manual_seed(c.seed + 1_000_003 * state.step + accelerator.process_index)

            # A step, which takes its batch in parts.
            for _ in range(c.accumulate):
                batch = run.next_batch()
                with accelerator.accumulate(model):
                    with accelerator.autocast():
                        loss, iou = train_step(model, batch, config)
                    accelerator.backward(loss)
                run.add(loss, iou)
            accelerator.clip_grad_norm_(model.parameters(), c.clip)
            optimizer.step()
            optimizer.zero_grad()
            run.count_step()

            # What is due after it: a record of the loss, a validation, a checkpoint.
            to_log, to_eval, to_save = map(run.due, (c.log_every, c.eval_every, c.checkpoint_every))
            if to_log or to_eval or to_save:
                run.require_finite()
            if to_log:
                run.log()
            if to_eval:
                run.validate()
            if to_save and not run.over:
                run.save()
            run.stop_if_asked()
        run.finish()
    return final


def parse_command(arguments: Sequence[str] | None = None) -> RunConfig:
    """The command line: every setting by its dotted name."""
    return parse_run_config("python -m dtse_core.train", __doc__, arguments)


@one_line_errors
def main() -> None:
    """Command line."""
    config = parse_command()
    final = train(config)
    PartialState().print(f"{outcome(config)}\nfinal weights: {final}")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
