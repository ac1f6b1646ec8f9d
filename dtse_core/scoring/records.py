"""Small records, without pixels, of masks that were compared with the truth.

`score_mask` is for data sets of samples (see `protocols`), `score_expressions` for sentences over whole videos
(Refer-YouTube-VOS, MeViS), `score_sequence` for Ref-DAVIS17, where the sentences of one annotator share a map of
labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..data.clip import ReferringClip, ReferringVideo
from ..metrics import mask_pair, overlap, region_similarity
from .video_metrics import VOID, hungarian, id_matched, j_and_f, mean_over_frames, pair_scores, temporal_consistency


@dataclass(frozen=True)
class Sample:
    """One sample: integers and probabilities."""

    sample_id: str
    expression: str
    intersection: int  # pixels at the original size
    union: int
    confidence: float  # mean probability over the predicted mask, 0 if it is empty (D-15)
    evidence: str | None = None  # toy world: what the sentence needs
    on_target: float | None = None  # clips with a twin: mean probability on the target,
    on_twin: float | None = None  # and on the twin that differs in motion alone
    video_id: str | None = None
    category: str | None = None  # of the object or the action, where the data set tells
    target: int | None = None  # pixels of the truth


@dataclass(frozen=True)
class VideoScore:
    """One sentence over a whole video."""

    video_id: str
    expression_id: str
    expression: str
    J: float  # means over the frames that count
    F: float
    frames: int  # how many these are
    consistency: float  # see `temporal_consistency`: of the prediction,
    true_consistency: float  # and of the truth
    typical_frame: str  # the one whose J is nearest to the mean
    evidence: str | None = None
    category: str | None = None
    annotator: int | None = None  # Ref-DAVIS17: 0 to 3
    pixels: tuple[int, int] = (0, 0)  # in both masks and in either, over all frames
    marked: tuple[int, int, int] = (0, 0, 0)  # frames in which both show, the prediction does, the truth does
    shared: float = 0.0  # the sum of J over those in which both do


@dataclass(frozen=True)
class SequenceScore:
    """Ref-DAVIS17: J and F of each object of a sequence, labels assigned in whatever way scores best."""

    video_id: str
    annotator: int
    hungarian: tuple[tuple[float, float], ...]


def score_mask(clip: ReferringClip, mask: np.ndarray, confidence: float, **more) -> Sample:
    """One clip's sample from its predicted mask (H, W) at the original size; `more` are further fields."""
    counts = overlap([mask], [clip.mask])[0].tolist()
    more |= {"video_id": clip.video_id, "target": int(np.count_nonzero(clip.mask))}
    return Sample(clip.sample_id, clip.expression, *counts, confidence, clip.evidence, **more)


def score_expressions(
    dataset, videos: Sequence[ReferringVideo], frames: Iterable[np.ndarray], start: str = "all"
) -> list[VideoScore]:
    """The scores of S sentences about one video from their masks (S, H, W), which come frame by frame.

    `start`: see `mean_over_frames`. No more than two frames are kept. Raises `ValueError` for masks of another size
    than the truth, or another number of frames than the data set lists.
    """
    named = {video.object_ids: video for video in videos}  # sentences share objects
    scores, shown, counts, steady, before = [], [], [], [], None
    for k, masks in zip(range(len(videos[0].frames)), frames, strict=True):
        truths = {ids: dataset.read_target(video, k)[0] for ids, video in named.items()}
        now = masks, np.stack([truths[video.object_ids] for video in videos])  # each (S, H, W)
        scores.append(j_and_f(*now))
        shown.append([some.any((1, 2)) for some in now])
        counts.append(overlap(*now))
        if before is not None:
            pairs = [zip(*both, strict=True) for both in zip(before, now, strict=True)]
            steady.append([[region_similarity(a, b) for a, b in pair] for pair in pairs])
        before = now
    steady = np.mean(steady, 0) if steady else np.ones((2, len(videos)))
    records, parts = [], (np.stack(scores, 1), np.stack(shown, 2).swapaxes(0, 1), np.sum(counts, 0), steady.T)
    for video, values, shows, pixels, kept in zip(videos, *parts, strict=True):
        first = 0 if start == "all" else int(np.argmax(shows[1]))
        j_f = mean_over_frames(values, shows[1], start)
        records.append(_video_score(dataset, video, j_f, values[:, 0], shows, pixels, kept, first))
    return records


def without_answer(record: VideoScore) -> VideoScore:
    """The same for a video that was not handed in: all its scores are 0, also where nothing was to be marked."""
    (_, union), (_, _, truth) = record.pixels, record.marked
    return replace(record, J=0.0, F=0.0, pixels=(0, max(union, 1)), marked=(0, int(not truth), truth), shared=0.0)


def score_sequence(
    dataset, videos: Sequence[ReferringVideo], labels: Iterable[np.ndarray]
) -> list[VideoScore | SequenceScore]:
    """The scores of one annotator's sentences about a sequence from its label maps (H, W) uint8, frame by frame.

    A sentence is compared with its own object (id-matched); the last record is of the other way. Errors as in
    `pair_scores`.
    """
    sequence, annotator, labels = videos[0].video_id, dataset.annotator(videos[0]), list(labels)
    truths = [dataset.read_indices(sequence, k) for k in range(len(videos[0].frames))]
    pairs, ids = pair_scores(labels, truths), [int(video.object_ids[0]) for video in videos]
    records = []
    for video, number, j_f in zip(videos, ids, id_matched(pairs, ids), strict=True):
        masks, targets = ([one == number for one in maps] for maps in (labels, truths))
        kept = temporal_consistency(masks), temporal_consistency(targets)
        voids = [truth == VOID for truth in truths]
        scored = [mask_pair(*frame) for frame in zip(masks, targets, voids, strict=True)]
        similarities = np.array([region_similarity(*pair) for pair in scored])
        shows = np.array([[one.any() for one in pair] for pair in scored]).T
        pixels = overlap(*zip(*scored, strict=True)).sum(0)
        records.append(_video_score(dataset, video, j_f, similarities, shows, pixels, kept, annotator=annotator))
    return [*records, SequenceScore(sequence, annotator, tuple(map(tuple, hungarian(pairs).tolist())))]


def _video_score(dataset, video, j_f, similarities, shows, pixels, kept, first=0, annotator=None) -> VideoScore:
    """`similarities` (T,): J of all frames, those from `first` on count; `shows` (2, T): is anything marked?"""
    both = shows.all(0)
    return VideoScore(
        *(video.video_id, video.expression_id, video.expression),
        *map(float, j_f),
        len(similarities) - first,
        *map(float, kept),
        video.frames[first + int(np.argmin(np.abs(similarities[first:] - j_f[0])))],
        video.evidence,
        dataset.category(video),
        annotator,
        tuple(pixels.tolist()),
        tuple(int(some.sum()) for some in (both, *shows)),
        float(similarities[both].sum()),
    )
