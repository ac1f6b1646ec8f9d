"""A model's answers to a whole data set, scored as they come; masks from files take the same way.

`evaluate` runs a model over samples. `score_data_set` is for every data set and both kinds of answers, and shares
the work between processes: the numbers are those of one process.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from ..checkpoints.find import checkpoint_folder
from ..config import DataConfig
from ..data.clip import ReferringVideo
from ..data.sentences import load_tokenizer
from ..model import DTSE
from ..predict import ReferringVideoPredictor
from ..shared.console import bars_hidden
from ..shared.files import read_images
from .clips import OnMask, evaluate
from .mask_files import MaskWriter
from .mask_reader import MaskReader
from .records import Sample, over_videos, score_expressions, score_mask, score_sequence
from .video_metrics import merge_objects


class ModelAnswers:
    """A checkpoint, asked in the way in which `MaskReader` is asked; `data` says what it sees."""

    def __init__(self, checkpoint: str, data: DataConfig, device: torch.device, batch: int):
        self.folder, self.batch = checkpoint_folder(checkpoint), batch
        model, tokenizer = DTSE.from_pretrained(self.folder), load_tokenizer(str(self.folder))
        self.predictor = ReferringVideoPredictor(model, tokenizer, data, str(device))
        self.window = model.config.window, model.config.causal

    def samples(self, dataset, workers: int, progress: bool, on_mask: OnMask | None) -> list[Sample]:
        """As `evaluate` gives them."""
        p, words = self.predictor, self.predictor.data.max_words
        ask = partial(evaluate, p.model, dataset, p.tokenizer, p.data.size, p.device, self.batch)
        return ask(workers, progress, words, on_mask) if len(dataset) else []

    def masks(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator[np.ndarray]:
        """The masks (S, H, W) bool of S sentences about one video, frame by frame."""
        return (step.masks for step in self._steps(dataset, videos))

    def labels(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator[np.ndarray]:
        """The label maps (H, W) uint8 of one annotator's sentences about a sequence, frame by frame."""
        ids = [int(video.object_ids[0]) for video in videos]
        return (merge_objects(step.probabilities, ids) for step in self._steps(dataset, videos))

    def _steps(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator:
        frames = (read_images([path])[0] for path in dataset.frame_paths(videos[0]))
        together = max(1, self.batch // len(videos))
        return self.predictor.stream(frames, [video.expression for video in videos], together)


def score_data_set(
    answers: ModelAnswers | MaskReader,
    dataset,
    batch: int,
    workers: int = 0,
    start: str = "all",
    writer: MaskWriter | None = None,
    state=None,
    progress: bool = True,
) -> list:
    """The records of a data set, in its order, in every process of `state` (accelerate's; None: there is one).

    `batch` clips, or sentences about one video, go together and to one process; `writer` gets the masks. A data set
    of videos that has no masks gives no records.
    """
    rank, processes = (state.process_index, state.num_processes) if state else (0, 1)
    if over_videos(dataset):
        units = groups(dataset, batch)
        numbers = range(rank, len(units), processes)
        step = partial(answer_videos, answers, dataset, start, writer)
        workers = workers if isinstance(answers, MaskReader) else 0  # a model stays in its process
        scored = run([units[k] for k in numbers], step, workers, progress)
    else:
        numbers = [k for k in range(len(dataset)) if k // batch % processes == rank]
        mine, on_mask = Subset(dataset, numbers), writer.write_sample if writer else None
        if isinstance(answers, MaskReader):
            samples = run(numbers, partial(read_sample, answers, dataset, on_mask), workers, progress)
        else:
            samples = answers.samples(mine, workers, progress, on_mask)
        scored = [[sample] for sample in samples]
    parts = list(zip(numbers, scored, strict=True))
    if processes > 1:
        from accelerate.utils import gather_object

        parts = sorted(gather_object(parts), key=itemgetter(0))
    return [record for _, records in parts for record in records]


def groups(dataset, most: int) -> list[list[ReferringVideo]]:
    """Sentences that are answered together: at most so many about a video, on Ref-DAVIS17 those of one annotator."""
    together: dict[tuple, list[ReferringVideo]] = {}
    for video in dataset.videos:
        annotator = dataset.annotator(video) if hasattr(dataset, "annotator") else None
        together.setdefault((video.video_id, annotator), []).append(video)
    if hasattr(dataset, "annotator"):  # their label map is one
        return list(together.values())
    return [videos[k : k + most] for videos in together.values() for k in range(0, len(videos), most)]


def answer_videos(answers, dataset, start: str, writer: MaskWriter | None, videos: list[ReferringVideo]) -> list:
    """The records of one group: its masks are made or read, written if asked, and scored if there is a truth."""
    if hasattr(dataset, "annotator"):
        labels = answers.labels(dataset, videos)
        if writer:
            labels = _written(labels, partial(writer.write_labels, dataset.annotator(videos[0]), videos[0]))
        return score_sequence(dataset, videos, labels)
    masks = answers.masks(dataset, videos)
    if writer:
        masks = _written(masks, partial(writer.write_frame, videos))
    if not dataset.labelled:
        deque(masks, maxlen=0)  # for the writer alone
        return []
    records = score_expressions(dataset, videos, masks, start)
    if videos[0].video_id in getattr(answers, "absent", ()):
        return [replace(record, J=0.0, F=0.0) for record in records]
    return records


def read_sample(masks: MaskReader, dataset, on_mask: OnMask | None, k: int) -> Sample:
    """One sample from a mask that was given."""
    clip = dataset[k]
    mask, confidence = masks.sample(clip)
    if on_mask:
        on_mask(clip, mask)
    return score_mask(clip, mask, confidence)


def run(units: Sequence, step: Callable, workers: int, progress: bool) -> list:
    """`step` of each unit, in order, in `workers` processes beside this one (0: in this one)."""
    loader = DataLoader(_Steps(units, step), batch_size=None, num_workers=workers, collate_fn=_as_it_is)
    return list(tqdm(loader, disable=not progress or bars_hidden()))


class _Steps(Dataset):
    def __init__(self, units: Sequence, step: Callable):
        self.units, self.step = units, step

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, k: int):
        return self.step(self.units[k])


def _as_it_is(records):
    return records


def _written(frames: Iterator[np.ndarray], write: Callable) -> Iterator[np.ndarray]:
    for k, frame in enumerate(frames):
        write(k, frame)
        yield frame
