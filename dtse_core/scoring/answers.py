"""A checkpoint's answers to the samples and videos of a data set, for `protocols`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch

from ..checkpoints.find import checkpoint_folder
from ..config import DataConfig
from ..data.clip import ReferringVideo
from ..data.sentences import is_too_long
from ..predict import ReferringVideoPredictor, knows_any
from ..shared.images import read_images
from ..shared.processes import ahead
from .clips import OnMask, evaluate
from .records import Sample
from .video_metrics import merge_objects


class ModelAnswers:
    """A checkpoint, asked in the way in which `MaskReader` is asked; `data` says what it sees."""

    absent = frozenset()  # it answers for every video

    def __init__(self, checkpoint: str, data: DataConfig, device: torch.device, batch: int):
        self.folder, self.batch = checkpoint_folder(checkpoint), batch
        self.predictor = ReferringVideoPredictor.from_pretrained(self.folder, str(device))
        self.predictor.data = data
        self.predictor.cautioned = True  # scores say how good its masks are
        self.window = self.predictor.model.config.window, self.predictor.model.config.causal

    def samples(self, dataset, workers: int, progress: bool, on_mask: OnMask | None) -> list[Sample]:
        """As `evaluate` gives them."""
        p, words = self.predictor, self.predictor.data.max_words
        ask = partial(evaluate, p.model, dataset, p.tokenizer, p.data.size, p.device, self.batch)
        return ask(workers, progress, words, on_mask, p.least) if len(dataset) else []

    def masks(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator[np.ndarray]:
        """The masks (S, H, W) bool of S sentences about one video, frame by frame."""
        return (step.masks for step in self._steps(dataset, videos))

    def labels(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator[np.ndarray]:
        """The label maps (H, W) uint8 of one annotator's sentences about a sequence, frame by frame."""
        ids = [int(video.object_ids[0]) for video in videos]
        return (merge_objects(step.probabilities, ids) for step in self._steps(dataset, videos))

    def _steps(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator:
        frames = (read_images([path])[0] for path in dataset.frame_paths(videos[0]))
        sentences, together = [video.expression for video in videos], max(1, self.batch // len(videos))
        return self.predictor.stream(ahead(frames, together), sentences, together, refuse=False)

    def count(self, sentences: Sequence[str]) -> dict[str, int]:
        """How many of these sentences hold no word that the model knows, and how many are cut; what occurs alone."""
        tokenizer, most, times = self.predictor.tokenizer, self.predictor.data.max_words, Counter(sentences)
        unknown = sum(n for text, n in times.items() if not knows_any(text, tokenizer))
        cut = sum(n for text, n in times.items() if is_too_long(text, tokenizer, most))
        return {name: n for name, n in (("unknown_sentences", unknown), ("cut_sentences", cut)) if n}
