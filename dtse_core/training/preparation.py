"""What stands ready before the first step, and what the loop of `train.py` does with it after one."""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    GradientAccumulationPlugin,
    broadcast,
    gather_object,
    patch_environment,
    set_seed,
)
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from ..checkpoints.find import checkpoint_folder, load_model, read_model_config, read_tokenizer
from ..config import ModelConfig, RunConfig
from ..data.batch import Batch
from ..data.build import build_dataset, training_splits
from ..data.clip import ClipDataSet
from ..data.sentences import load_tokenizer
from ..model import DTSE
from ..scoring.clips import evaluate, some_of
from ..scoring.summary import summarize
from ..shared.console import bars_hidden, left_to_parent, stops_noted, usable_device
from ..streams import LinguisticStream, VisualStream
from .batches import TrainingSamples, batch_order, by_video, collate_training, steps_of
from .optimizer import MuonAdamW, checkpoint_streams, has_idle_parameters, moving_average, parameter_groups
from .run_folder import (
    RunState,
    append_history,
    checkpoints,
    cut_history,
    diverged,
    finite,
    open_run,
    remove_checkpoints,
    require_tracker,
    resume,
    save_checkpoint,
    save_weights,
    start_tracker,
)

MOST_SKIPPED = 20  # steps in a row; each halves the scale of fp16, 65536 at first: after so many it is not to blame
# They change no other weight's meaning.
LOADABLE = {"pretrained", "saved_streams", "window", "causal", "freeze_batch_norm", "refine"}


def copy_each(sources: list[Tensor], targets: list[Tensor]) -> None:
    """Each tensor's values into its counterpart."""
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


@dataclass
class Training:
    """A run that is ready for its next step: `prepare` makes it, the loop calls its methods.

    As a context, stops by a signal wait until the loop asks for them.
    """

    config: RunConfig
    accelerator: Accelerator
    model: nn.Module  # as the accelerator wraps it
    average: AveragedModel | None  # of its weights
    optimizer: torch.optim.Optimizer
    batches: Iterator[Batch]
    validation: ClipDataSet
    tokenizer: Any  # of transformers
    steps: int  # the run ends there, if not by time or patience before
    state: RunState
    bar: tqdm
    on_log: Callable[[dict[str, Any]], object] | None = None

    def __post_init__(self) -> None:
        self.out, self.bare = Path(self.config.out), self.accelerator.unwrap_model(self.model)
        self.result: Any = self.average.module if self.average else self.bare  # what is validated and saved
        self.main = self.accelerator.is_main_process
        self.sums = torch.zeros(3, device=self.accelerator.device)  # loss, IoU and batches since the last record
        self.good, self.skipped = self.sums.clone(), 0  # the same before this step, and steps that were skipped
        skips = self.config.train.mixed_precision == "fp16"
        self.statistics = [x for x in self.bare.buffers() if skips and x.is_floating_point()]  # of batch norm
        self.sound = [x.clone() for x in self.statistics]  # the same before this step
        self.begun = time.monotonic() - self.state.seconds
        self.waited, self.recorded = 0.0, time.monotonic()
        self.saved, self._stops = self.state.step, ExitStack()

    def __enter__(self) -> "Training":
        self.asked = self._stops.enter_context(stops_noted())
        return self

    def __exit__(self, *error: Any) -> None:
        self._stops.close()
        self.batches = iter(())  # so that workers end, though an error may hold this object for long

    @property
    def share(self) -> float:
        """How much of the run is done, by steps or by time, whichever is further."""
        minutes = self.config.train.minutes
        return max(self.state.step / max(self.steps, 1), self.state.seconds / 60 / minutes if minutes else 0.0)

    @property
    def over(self) -> bool:
        """True at the end of the run: by steps, by time, or because validations no longer get better."""
        return self.share >= 1 or 0 < self.config.train.patience <= self.state.stale

    def due(self, every: int) -> bool:
        """True after every so many steps, and at the end of the run; 0 means at the end alone."""
        return self.over or (every > 0 and self.state.step % every == 0)

    def next_batch(self) -> Batch:
        """The next part of a batch, on the device."""
        asked = time.monotonic()
        batch = next(self.batches).to(self.accelerator.device, non_blocking=True)
        self.waited += time.monotonic() - asked
        return batch

    def add(self, loss: Tensor, iou: Tensor) -> None:
        """Counts a part of a batch in the means of the next record."""
        self.sums += torch.stack([loss.detach(), iou, torch.ones_like(iou)])

    def count_step(self) -> None:
        """One step further, on one clock for all processes: rates and the end depend on it.

        Under fp16 accelerate skips a step whose gradient is not finite, and lowers the scale of the next. It changes
        neither weights nor the statistics of batch norm, and its loss is not in the record; how many there were is.
        """
        if self.accelerator.optimizer_step_was_skipped:
            self.skipped += 1
            self.sums.copy_(self.good)
            copy_each(self.sound, self.statistics)
        elif self.average:
            self.average.update_parameters(self.bare)
        self.good.copy_(self.sums)
        copy_each(self.statistics, self.sound)
        self.state.step += 1
        self.state.seconds = time.monotonic() - self.begun
        if self.config.train.minutes and self.accelerator.num_processes > 1:
            self.state.seconds = broadcast(torch.tensor(self.state.seconds, device=self.accelerator.device)).item()

    def require_finite(self) -> None:
        """Raises `FloatingPointError` if the loss since the last record, or any weight, is no longer a number, or if
        all steps since then were skipped, and are many."""
        if not (counted := bool(self.sums[2])) and self.skipped >= MOST_SKIPPED:
            raise diverged(f"the gradients of the last {self.skipped} steps were not finite", self.out)
        self.loss, self.iou, _ = (self.accelerator.reduce(self.sums, "mean") / self.sums[2]).tolist()
        if counted and not math.isfinite(self.loss):
            raise diverged(f"the loss became {self.loss} before step {self.state.step}", self.out)
        if not finite(self.bare.state_dict()):
            raise diverged(f"weights are no longer finite at step {self.state.step}", self.out)

    def log(self) -> None:
        """Records mean loss and IoU since the last time, and the share of time spent waiting for clips."""
        if not self.sums[2]:  # of skipped steps alone there is nothing to tell yet
            return
        wait = round(self.waited / (time.monotonic() - self.recorded), 3)
        skipped = {"skipped": self.skipped} if self.skipped else {}
        self._record({"loss": self.loss, "iou": self.iou, "wait": wait} | skipped)
        self.bar.n = min(100 * self.share, 100)
        shown = {"loss": f"{self.loss:.3f}", "iou": f"{self.iou:.3f}", "best": f"{self.state.best:.3f}"}
        self.bar.set_postfix(step=self.state.step, **shown, **skipped)
        self.sums.zero_()
        self.good.zero_()
        self.skipped = 0
        self.waited, self.recorded = 0.0, time.monotonic()

    def validate(self) -> None:
        """Records scores on the validation clips, and keeps the weights if they are the best so far."""
        scores = validation_scores(self.accelerator, self.result, self.validation, self.tokenizer, self.config)
        self.model.train()
        self._record(scores)
        score = scores[f"val_{self.config.train.best_by}"]
        better = score > self.state.best
        self.state.best, self.state.stale = (score, 0) if better else (self.state.best, self.state.stale + 1)
        if better and self.main:
            save_weights(self.out / "best", self.result, self.tokenizer, self.config)
        self.waited, self.recorded = 0.0, time.monotonic()

    def save(self) -> None:
        """Saves a checkpoint to resume from."""
        self.saved = self.state.step
        if self.main:
            keep = self.config.train.keep
            save_checkpoint(self.out, self.state, self.bare, self.average, self.optimizer, self.accelerator, keep)

    def stop_if_asked(self) -> None:
        """Raises `KeyboardInterrupt` once a checkpoint is saved, if a stop has come to any of the processes."""
        stop = max(self.asked, default=0)
        if self.accelerator.num_processes > 1:
            stop = int(self.accelerator.gather(torch.tensor([stop], device=self.accelerator.device)).max())
        if not stop or self.over:
            return
        if not finite(self.bare.state_dict()):
            raise diverged(f"weights are no longer finite at step {self.state.step}", self.out)
        if self.saved < self.state.step:
            self.save()
        self.bar.close()
        self.accelerator.wait_for_everyone()
        where = checkpoints(self.out)[-1]
        raise KeyboardInterrupt(stop, f"stopped; {where} is saved, from which the same command goes on")

    def finish(self) -> None:
        """Saves the final weights; checkpoints go, since nothing is left to resume."""
        self.bar.close()
        if self.main:
            save_weights(self.out / "final", self.result, self.tokenizer, self.config)
            remove_checkpoints(self.out)
        self.accelerator.wait_for_everyone()
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def _record(self, record: dict[str, Any]) -> None:
        """Writes a record to the history, and tells it to the tracker and to `on_log`."""
        record = {"step": self.state.step, "seconds": round(self.state.seconds, 1), **record}
        self.accelerator.log(record, step=self.state.step)
        if self.main:
            append_history(self.out, record)
            if self.on_log:
                self.on_log(record)


def join_processes(config: RunConfig) -> Accelerator:
    """This process and those that train with it, told how a step is shared out and taken in parts.

    Raises `ValueError` if the batch does not divide or the device cannot be used, `ImportError` if the tracker is not
    installed.
    """
    c, device = config.train, usable_device(config.train.device)
    require_tracker(c.tracker)
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    # An earlier training of this process may have had another precision, or another device.
    AcceleratorState._reset_state(reset_partial_state=not several)
    with patch_environment(**{} if several else {"ACCELERATE_TORCH_DEVICE": device}):  # accelerate has no argument
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=c.mixed_precision,
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=c.accumulate),
            log_with=None if c.tracker == "none" else c.tracker,
            project_dir=config.out,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=has_idle_parameters(config.model))],
        )
    processes = accelerator.num_processes
    if processes > 1:
        accelerator.print(f"{processes} processes train together, {c.batch / processes:g} clips each a step")
    if c.batch % (processes * c.accumulate * c.sentences):
        raise ValueError(
            f"train.batch {c.batch} must divide evenly among {processes} processes of train.accumulate {c.accumulate}, "
            f"train.sentences {c.sentences} a window"
        )
    return accelerator


def prepare(
    config: RunConfig,
    accelerator: Accelerator,
    make_model: Callable[[ModelConfig], nn.Module] = DTSE,
    progress: bool = False,
    on_log: Callable[[dict[str, Any]], object] | None = None,
) -> Training:
    """Data, model and optimizer, all from the seed, and where the run stands. Arguments and errors as in `train`."""
    c, data, out, main = config.train, config.data, Path(config.out), accelerator.is_main_process
    if 0 < data.farthest <= data.frame_offset:
        raise ValueError(
            f"data.farthest is {data.farthest}, no farther than data.offset {data.frame_offset}, so none would vary; "
            "lower data.offset or raise data.farthest"
        )
    if data.farthest and data.name == "toy" and data.cache:
        raise ValueError("data.farthest varies what data.cache keeps of the toy world as it is; leave one of them out")
    set_seed(c.seed)
    if c.threads:
        torch.set_num_threads(c.threads)
    tokenizer = load_tokenizer(config.model.text, config.data.level)
    window = config.model.window, config.model.causal
    splits = training_splits(config.data)
    training, validation = (build_dataset(config.data, split, *window) for split in splits)
    if not len(training):
        raise ValueError(f"no clip to train on: split {splits[0]} of {config.data.name} is empty")
    steps = steps_of(c, len(training))

    model: Any = make_model(config.model)
    if c.start and not checkpoints(out):
        load_start(model, tokenizer, config)
    longest = [stream.longest for stream in model.modules() if isinstance(stream, LinguisticStream)]
    if config.data.max_words > min(longest, default=config.data.max_words):  # or no loader would take the weights
        raise ValueError(f"data.max_words is {config.data.max_words}, the text stream takes {min(longest)}; lower it")
    smallest = max((stream.smallest for stream in model.modules() if isinstance(stream, VisualStream)), default=1)
    if min(data.size) < smallest:
        raise ValueError(f"data.size is {data.size}, the visual stream takes sides of {smallest} or more; raise it")
    model.to(memory_format=torch.channels_last)  # convolutions run a tenth faster so
    if c.checkpoint_streams:
        checkpoint_streams(model)
    optimizer = MuonAdamW(parameter_groups(model, config), weight_decay=c.weight_decay)
    warnings.filterwarnings("ignore", "Grad strides do not match")  # of 1x1 convolutions, which have no layout
    model, optimizer = accelerator.prepare(model, optimizer)

    if main:
        open_run(out, config)
    accelerator.wait_for_everyone()
    bare = accelerator.unwrap_model(model)
    average = moving_average(bare, c.ema) if c.ema else None
    state = resume(out, bare, average, optimizer, accelerator)
    if main:
        cut_history(out, state.step)
    start_tracker(accelerator, config)
    place = accelerator.process_index, accelerator.num_processes
    batches = DataLoader(
        TrainingSamples(training, c.seed, data.flip, c.sentences, data.crop, data.farthest),
        batch_sampler=batch_order(
            len(training),
            c.batch // c.sentences,
            c.seed,
            state.step,
            *place,
            c.accumulate,
            by_video(training) if c.by_video else (),
        ),
        collate_fn=partial(collate_training, tokenizer=tokenizer, data=config.data),
        num_workers=config.data.workers,
        worker_init_fn=left_to_parent,
        pin_memory=accelerator.device.type == "cuda",
    )
    bar = tqdm(
        total=100,
        disable=not (progress and main) or bars_hidden(),
        bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
    )
    model.train()
    return Training(
        config, accelerator, model, average, optimizer, iter(batches), validation, tokenizer, steps, state, bar, on_log
    )


def load_start(model: nn.Module, tokenizer: Any, config: RunConfig) -> None:
    """Gives a new run the weights of the checkpoint `train.start`.

    A refinement can be added, left out or have another width. Raises `FileNotFoundError` or `ValueError` if there is no
    such checkpoint, or it is of another model or architecture, or knows other words.
    """
    folder, asked = checkpoint_folder(config.train.start), asdict(config.model)
    found = asdict(read_model_config(folder))
    for name in sorted(asked.keys() - LOADABLE):
        if found[name] != asked[name]:
            raise ValueError(
                f"train.start {folder} has model.{name} {found[name]}, this run {asked[name]}; give both the same"
            )
    if read_tokenizer(folder).get_vocab() != tokenizer.get_vocab():
        raise ValueError(f"train.start {folder} knows other words than this run; give both the same data.level")
    weights = load_model(folder, type(model)).state_dict()
    if found["refine"] != asked["refine"]:  # then it learns anew, or stays behind
        weights = {name: weight for name, weight in weights.items() if not name.startswith("refinement.")}
    model.load_state_dict(model.state_dict() | weights)


def validation_scores(
    accelerator: Accelerator, model: nn.Module, dataset: ClipDataSet, tokenizer: Any, config: RunConfig
) -> dict[str, float]:
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
