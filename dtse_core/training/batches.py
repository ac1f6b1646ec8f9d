"""Which clips a training step sees: a function of the seed and the step, for any number of processes."""

import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from torch.utils.data import Dataset

from ..config import DataConfig, TrainConfig
from ..data.batch import Batch, collate_clips
from ..data.clip import ClipDataSet, ReferringClip
from ..data.transforms import crop_clips, flip_clip, swap_left_right

P = ParamSpec("P")
R = TypeVar("R")


class TrainingSamples(Dataset):
    """Training windows by `(draw, index)`, each as clips with `sentences` sentences.

    The coin of a horizontal flip depends on the draw, so that epochs differ; so do the place of a crop and, up to
    `farthest`, the distance of the references.
    """

    def __init__(
        self, dataset: ClipDataSet, seed: int, flip: str, sentences: int = 1, crop: float = 1.0, farthest: int = 0
    ):
        self.dataset, self.seed, self.flip, self.sentences = dataset, seed, flip, sentences
        self.crop, self.nearest, self.farthest = crop, dataset.offset, farthest

    def __getitem__(self, key: tuple[int, int]) -> list[ReferringClip]:
        draw, index = key
        rng = np.random.default_rng([self.seed, draw, 1])  # apart from the coin, whose draws stay what they were
        if self.farthest > self.nearest:
            offset = int(rng.integers(self.nearest, self.farthest + 1))
            clips = self.dataset.several_apart(index, self.sentences, offset)
        else:
            clips = self.dataset.several(index, self.sentences)
        if self.crop < 1:
            clips = crop_clips(clips, self.crop, rng)
        mirrored = self.flip != "no" and np.random.default_rng([self.seed, draw]).random() < 0.5
        if self.flip == "skip" and any(swap_left_right(clip.expression) != clip.expression for clip in clips):
            mirrored = False  # a sentence names a side: "left behind" would come out wrong
        return [flip_clip(clip) for clip in clips] if mirrored else clips


def collate_training(windows: Sequence[list[ReferringClip]], tokenizer: Any, data: DataConfig) -> Batch:
    """A batch that holds the frames of each window once, `(B / S, T, 3, H, W)` for S sentences about each.

    It lacks the clips that it is made of: a worker would send every picture twice.
    """
    clips = [clip for window in windows for clip in window]
    batch = collate_clips(clips, tokenizer, data.size, data.max_words)
    return replace(batch, frames=batch.frames[:: len(windows[0])], clips=[])


def steps_of(c: TrainConfig, samples: int) -> int:
    """Steps of a run, by its limits in steps and epochs."""
    return min(c.steps, math.ceil(c.epochs * samples / c.batch)) if c.epochs else c.steps


def by_video(dataset: ClipDataSet) -> list[np.ndarray]:
    """The samples of each video; where samples have none, each is its own."""
    found: dict[Hashable, list[int]] = {}
    for k in range(len(dataset)):
        window = dataset.window_of(k)
        found.setdefault(window[0] if isinstance(window, tuple) else window, []).append(k)
    return [np.array(samples) for samples in found.values()]


def batch_order(
    samples: int,
    batch: int,
    seed: int,
    start: int = 0,
    rank: int = 0,
    processes: int = 1,
    parts: int = 1,
    videos: Sequence[np.ndarray] = (),
) -> Iterator[list[tuple[int, int]]]:
    """The batches of `(draw, index)` from step `start` on, without end: each epoch is one shuffle of all samples, or,
    given the samples of all `videos`, as many draws of a video and of one of its samples.

    A batch may straddle two epochs. Of every batch a process gets the draws `rank`, `rank + processes`, ...,
    in `parts` lists one after the other.
    """
    epoch, shuffled = -1, np.empty(0, int)
    for step in range(start, 2**62):
        keys = []
        for draw in range(step * batch, (step + 1) * batch):
            if draw // samples != epoch:
                epoch = draw // samples
                rng = np.random.default_rng([seed, epoch])
                if videos:
                    chosen = [videos[v] for v in rng.integers(len(videos), size=samples)]
                    shuffled = np.array([v[int(u * len(v))] for v, u in zip(chosen, rng.random(samples), strict=True)])
                else:
                    shuffled = rng.permutation(samples)
            keys.append((draw, int(shuffled[draw % samples])))
        for part in range(parts):
            yield keys[rank::processes][part::parts]


def plain_worker_errors(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, which says in one sentence what went wrong in a process that prepares batches.

    It raises `ChildProcessError` if such a process died, `ValueError` for an error of its own.
    """

    @wraps(function)
    def plain(*arguments: P.args, **named: P.kwargs) -> R:
        with _plain_error(), _plain_error():  # a death is reported by a signal, which may come while one is left
            return function(*arguments, **named)

    return plain


@contextmanager
def _plain_error() -> Iterator[None]:
    try:
        yield
    except ChildProcessError:  # in one sentence already
        raise
    except (ValueError, OSError, RuntimeError, EOFError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        broken = isinstance(error, ConnectionError | EOFError) or "pin memory thread" in lines[0]
        if broken:  # the pipe from a worker; the signal that says why follows, sooner or later
            try:
                time.sleep(10)
            except RuntimeError as death:
                lines = str(death).strip().splitlines()
        elif lines[0].startswith("Caught"):  # the worker's own error, with a traceback
            raise ValueError(lines[-1].partition(": ")[2]) from error
        elif "DataLoader worker" not in lines[0]:
            raise
        raise ChildProcessError(
            f"a process that prepares batches died ({lines[0]}), usually for lack of memory: "
            "the same command resumes; a lower --data.workers may help"
        ) from error
