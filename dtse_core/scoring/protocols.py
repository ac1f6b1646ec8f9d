"""The protocol of each kind of data set: what is answered together, how it is scored, what a result contains.

    Samples     IoU of single frames: A2D- and J-HMDB-Sentences, RefCOCO, your own clips, the toy world in memory
    Videos      J and F of a sentence over a whole video: Refer-YouTube-VOS, MeViS
    Sequences   J and F of the sentences that share a map of labels: Ref-DAVIS17, an annotator at a time

The answers are a checkpoint's (`ModelAnswers`) or masks in files (`MaskReader`). Processes share the work; the numbers
are those of one process.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from ..data.clip import ClipDataSet, ReferringVideo, VideoDataSet
from ..shared.console import bars_hidden, left_to_parent
from ..training.batches import plain_worker_errors
from .answers import ModelAnswers
from .blind_answers import constant_baselines
from .clips import OnMask
from .diagnosis import diagnose
from .mask_files import MaskWriter
from .mask_reader import MaskReader
from .records import Sample, SequenceScore, VideoScore, score_expressions, score_mask, score_sequence, without_answer
from .summary import intervals, summarize, summarize_videos
from .tables import LOCAL


@dataclass(frozen=True)
class Protocol:
    """A data set and who answers for it.

    A kind has `units` (what is answered together), `answer` (the records of each unit, its masks made or read, and
    written if asked), `summary` (the numbers; none without records) and `about` (what was scored, by which choices).
    """

    dataset: ClipDataSet
    answers: ModelAnswers | MaskReader
    batch: int = 16  # clips, or sentences about one video, that go together and to one process
    workers: int = 0  # processes beside each
    compare: str = ">="  # of P@K and the AP that is their mean
    start: str = "all"  # frames of a video that count: see `mean_over_frames`

    def require_answers(self, unscored: bool) -> None:
        """Raises an error before the work begins if masks are missing, or a truth, unless `unscored` will do."""

    @plain_worker_errors
    def score(self, writer: MaskWriter | None = None, state=None, progress: bool = True) -> list:
        """The records of the data set, in its order, in every process of `state` (accelerate's; None: there is one).

        A data set of videos that has no masks gives no records.
        """
        rank, processes = (state.process_index, state.num_processes) if state else (0, 1)
        units = self.units()
        numbers = range(rank, len(units), processes)
        parts = list(zip(numbers, self.answer([units[k] for k in numbers], writer, progress), strict=True))
        if processes > 1:
            from accelerate.utils import gather_object

            parts = sorted(gather_object(parts), key=itemgetter(0))
        return [record for _, records in parts for record in records]

    def finish(self, records: list, writer: MaskWriter | None) -> None:
        """What the first process does with the records of all."""

    def diagnosis(self, records: list) -> dict[str, Any]:
        """What a toy world's second level asks for: see `diagnose`; nothing for other data."""
        told = self.dataset.programs()
        return {"diagnosis": diagnose(records, told, self.compare)} if told else {}

    def count(self, sentences: Sequence[str]) -> dict[str, int]:
        """Sentences that a checkpoint cannot read whole; masks in files do not tell."""
        return {} if isinstance(self.answers, MaskReader) else self.answers.count(sentences)


class Samples(Protocol):
    """Single frames: IoU, P@K and both kinds of AP."""

    def units(self) -> list[Sequence[int]]:
        return [range(len(self.dataset))[k : k + self.batch] for k in range(0, len(self.dataset), self.batch)]

    def answer(self, units: list[Sequence[int]], writer: MaskWriter | None, progress: bool) -> list[list[Sample]]:
        numbers, on_mask = [k for unit in units for k in unit], writer.write_sample if writer else None
        if isinstance(self.answers, MaskReader):
            samples = run(numbers, partial(self._read, on_mask), self.workers, progress)
        else:
            samples = self.answers.samples(Subset(self.dataset, numbers), self.workers, progress, on_mask)
        samples = iter([replace(s, category=self.dataset.category(s.video_id)) for s in samples])
        return [[next(samples) for _ in unit] for unit in units]

    def _read(self, on_mask: OnMask | None, k: int) -> Sample:
        clip = self.dataset[k]
        mask, confidence = self.answers.sample(clip)
        if on_mask:
            on_mask(clip, mask)
        return score_mask(clip, mask, confidence)

    def finish(self, records: list[Sample], writer: MaskWriter | None) -> None:
        if writer:
            writer.write_index(records)
        if isinstance(self.answers, MaskReader):
            self.answers.warn_of_others(set(self.answers.index) - {(s.sample_id, s.expression) for s in records})

    def summary(self, records: list, twins: Sequence[Sample] = (), baselines: bool = False) -> dict[str, Any]:
        if not records:
            return {}
        result = summarize(records, twins, self.compare) | {"intervals": intervals(records, self.compare)}
        result |= self.diagnosis(records)
        return result | ({"baselines": constant_baselines(self.dataset)} if baselines else {})

    def about(self, records: list) -> dict[str, Any]:
        sentences = [text for _, text in dict.fromkeys((r.video_id, r.expression) for r in records)]
        return {"protocol": self.dataset.choices(), "counts": {"samples": len(records)} | self.count(sentences)}


class Videos(Protocol):
    """Sentences over whole videos, each with its own masks: J and F."""

    dataset: VideoDataSet

    def require_answers(self, unscored: bool) -> None:
        if isinstance(self.answers, MaskReader):
            self.answers.require_videos(self.dataset)
        if not self.dataset.labelled and not unscored:
            self.dataset.read_target(self.dataset.videos[0], 0)  # raises, and says what can be done

    def units(self) -> list[list[ReferringVideo]]:
        return [some[k : k + self.batch] for some in self._together() for k in range(0, len(some), self.batch)]

    def _together(self) -> list[list[ReferringVideo]]:
        """Sentences about one video, by one annotator."""
        together: dict[tuple, list[ReferringVideo]] = {}
        for video in self.dataset.videos:
            together.setdefault((video.video_id, self.dataset.annotator(video)), []).append(video)
        return list(together.values())

    def answer(self, units: list[list[ReferringVideo]], writer: MaskWriter | None, progress: bool) -> list[list]:
        workers = self.workers if isinstance(self.answers, MaskReader) else 0  # a model stays in its process
        return run(units, partial(self.answer_one, writer), workers, progress)

    def answer_one(self, writer: MaskWriter | None, videos: list[ReferringVideo]) -> list[VideoScore]:
        """The records of one unit."""
        masks = self.answers.masks(self.dataset, videos)
        if writer:
            masks = _written(masks, partial(writer.write_frame, videos))
        if not self.dataset.labelled:
            deque(masks, maxlen=0)  # for the writer alone
            return []
        records = score_expressions(self.dataset, videos, masks, self.start)
        if videos[0].video_id in self.answers.absent:
            return [without_answer(record) for record in records]
        return records

    def summary(self, records: list, twins: Sequence[Sample] = (), baselines: bool = False) -> dict[str, Any]:
        if not records:
            return {}
        return summarize_videos(records) | {"intervals": intervals(records)} | self.diagnosis(records)

    def about(self, records: list) -> dict[str, Any]:
        sentences = [video.expression for video in self.dataset.videos]
        counts = {"videos": len({v.video_id for v in self.dataset.videos}), "sentences": len(sentences)}
        return {"protocol": self._rules() | self.dataset.choices(), "counts": counts | self.count(sentences)}

    def _rules(self) -> dict[str, str]:
        return {"score": LOCAL, "frames": "all" if self.start == "all" else "from the first appearance on"}


class Sequences(Videos):
    """Sentences of one annotator about a sequence, which share a map of labels: J and F, matched in two ways."""

    def units(self) -> list[list[ReferringVideo]]:
        return self._together()

    def answer_one(self, writer: MaskWriter | None, videos: list[ReferringVideo]) -> list[VideoScore | SequenceScore]:
        labels = self.answers.labels(self.dataset, videos)
        if writer:
            labels = _written(labels, partial(writer.write_labels, self.dataset.annotator(videos[0]), videos[0]))
        return score_sequence(self.dataset, videos, labels)

    def _rules(self) -> dict[str, str]:
        return {"matching": "id-matched, hungarian beside it"}


def protocol_for(dataset: ClipDataSet, *arguments, **options) -> Samples | Videos:
    """The protocol of a data set's kind; arguments as those of `Protocol`."""
    kind = Samples
    if isinstance(dataset, VideoDataSet):
        kind = Videos if dataset.annotator(dataset.videos[0]) is None else Sequences
    return kind(dataset, *arguments, **options)


def run(units: Sequence, step: Callable, workers: int, progress: bool) -> list:
    """`step` of each unit, in order, in `workers` processes beside this one (0: in this one)."""
    work = {"collate_fn": step, "worker_init_fn": left_to_parent}  # both run in the workers
    loader = DataLoader(units, batch_size=None, num_workers=workers, **work)
    return list(tqdm(loader, disable=not progress or bars_hidden()))


def _written(frames: Iterator[np.ndarray], write: Callable) -> Iterator[np.ndarray]:
    for k, frame in enumerate(frames):
        write(k, frame)
        yield frame
