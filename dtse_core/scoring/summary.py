"""From records to the numbers of a protocol: overall, by what a sentence needs, by category, with intervals.

Metrics are floats in [0, 1]; what a protocol does not define is absent. The order of the records never matters.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

import numpy as np

from ..data.clip import CONTROL, KINDS
from ..metrics import (
    AP_AT,
    P_AT,
    coco_map,
    hits_at,
    mean_iou,
    mean_precision_ap,
    overall_iou,
    precision_at,
    rank_correlation,
    sample_ious,
)
from .records import Sample, SequenceScore, VideoScore

Metrics = dict[str, float]


def summarize(samples: Sequence[Sample], twins: Sequence[Sample] = (), compare: str = ">=") -> dict:
    """The result of a data set of samples as JSON holds it: metrics, breakdowns, and each sample's integers.

    `twins` are the samples of a toy world's `twins` split.
    """
    samples = in_order(samples)  # equal confidences rank by id in COCO
    result = {"metrics": sample_metrics(samples, compare), "compare": compare}
    result |= breakdowns(samples, lambda some: sample_metrics(some, compare))
    if twins:
        result["twins_accuracy"] = twins_accuracy(twins)
    correlation = rank_correlation([s.confidence for s in samples], sample_ious(_counts(samples)))
    if correlation is not None:
        result["confidence_rank_correlation"] = correlation
    return result | {"samples": [_stated(s) for s in samples]}


def sample_metrics(samples: Sequence[Sample], compare: str) -> Metrics:
    """The metrics of A2D-Sentences and J-HMDB-Sentences, for samples sorted by id; `compare` as in `hits_at`."""
    counts = _counts(samples)
    return {
        "mean_iou": mean_iou(counts),
        "overall_iou": overall_iou(counts),
        **{f"P@{k}": precision_at(counts, k, compare) for k in P_AT},
        "AP_mean_precision": mean_precision_ap(counts, compare),
        "mAP_coco": coco_map(counts, [s.confidence for s in samples]),
    }


def twins_accuracy(samples: Sequence[Sample]) -> float:
    """Share of samples with more mean probability on the target than on its twin; ties count half."""
    gaps = np.array([s.on_target - s.on_twin for s in samples if s.on_twin is not None])
    if not len(gaps):
        raise ValueError("no samples with a visible twin: twins_accuracy is undefined")
    return float(np.mean((np.sign(gaps) + 1) / 2))


def summarize_videos(records: Sequence[VideoScore | SequenceScore]) -> dict:
    """The result of a data set of videos: J and F, means over expressions and never over videos first.

    On Ref-DAVIS17 the metrics are id-matched and means over the four annotators; `hungarian` has the other matching,
    `annotators` has both for each annotator, and how many `objects` each way scores. `hungarian`, which scores the
    objects of first frames, is absent where an annotator's sequences show none there.
    Raises `ValueError` for no records.
    """
    scores = in_order(r for r in records if isinstance(r, VideoScore))
    sequences = in_order(r for r in records if isinstance(r, SequenceScore))
    if not scores:
        raise ValueError("no expressions: the data set is empty")
    result = _annotators(scores, sequences) if sequences else {"metrics": video_metrics(scores)}
    return result | breakdowns(scores, video_metrics) | {"samples": [_stated(s) for s in scores]}


def video_metrics(scores: Sequence[VideoScore]) -> Metrics:
    """J, F and J&F, and how steady the masks and the truth are."""
    metrics = _j_and_f([(s.J, s.F) for s in scores])
    metrics["temporal_consistency"] = float(np.mean([s.consistency for s in scores]))
    metrics["temporal_consistency_truth"] = float(np.mean([s.true_consistency for s in scores]))
    return metrics


def _annotators(scores: Sequence[VideoScore], sequences: Sequence[SequenceScore]) -> dict:
    rows = []
    for annotator in sorted({s.annotator for s in scores}):
        own = [s for s in scores if s.annotator == annotator]
        free = [values for r in sequences if r.annotator == annotator for values in r.hungarian]
        row = {"id_matched": video_metrics(own)} | ({"hungarian": _j_and_f(free)} if free else {})
        rows.append(row | {"objects": [len(own), len(free)]})
    result = {"metrics": _mean([row["id_matched"] for row in rows])}
    if all("hungarian" in row for row in rows):
        result["hungarian"] = _mean([row["hungarian"] for row in rows])
    else:
        warnings.warn(
            "no object in an annotator's first frames: hungarian, which scores those, is left out", stacklevel=2
        )
    return result | {"annotators": rows}


def _mean(rows: Sequence[Metrics]) -> Metrics:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _j_and_f(values: Sequence[tuple[float, float]]) -> Metrics:
    j, f = np.mean(values, axis=0).tolist()
    return {"J": j, "F": f, "J&F": (j + f) / 2}


def breakdowns(records: Sequence, metrics: Callable[[Sequence], Metrics]) -> dict:
    """`by_evidence` (toy worlds) and `by_category`, each group's metrics with its count."""
    result = {}
    for name, order in (("evidence", (*KINDS, CONTROL)), ("category", None)):
        found = {getattr(r, name) for r in records} - {None}
        groups = {key: [r for r in records if getattr(r, name) == key] for key in order or sorted(found)}
        if found:
            result[f"by_{name}"] = {key: metrics(some) | {"count": len(some)} for key, some in groups.items() if some}
    return result


def intervals(records: Sequence[Sample | VideoScore | SequenceScore], compare: str = ">=") -> dict[str, list[float]]:
    """Ends of the 95 % interval of each metric that is a mean or a ratio of sums, by a bootstrap over videos."""
    scores = in_order(r for r in records if not isinstance(r, SequenceScore))
    videos = [s.video_id for s in scores]
    return {name: list(bootstrap_interval(v, videos)) for name, v in values_of(scores, compare).items()}


def values_of(scores: Sequence[Sample] | Sequence[VideoScore], compare: str = ">=") -> dict[str, np.ndarray]:
    """Each such metric's values, (N,) to be averaged or (N, 2) counts: see `bootstrap_interval`."""
    if isinstance(scores[0], Sample):
        counts = _counts(scores)
        values = {"mean_iou": sample_ious(counts), "overall_iou": counts}
        values |= {f"P@{k}": hits_at(counts, k, compare) for k in P_AT}
        return values | {"AP_mean_precision": np.mean([hits_at(counts, k, compare) for k in AP_AT], axis=0)}
    j, f = np.array([(s.J, s.F) for s in scores]).T
    return {"J": j, "F": f, "J&F": (j + f) / 2}


def in_order(records: Iterable) -> list:
    """Records sorted by what they are of, whatever order processes and workers gave them in."""
    return sorted(records, key=_key)


def _key(record) -> tuple:
    if isinstance(record, Sample):
        return record.sample_id, record.expression
    return record.annotator or 0, record.video_id, getattr(record, "expression_id", "")


def _counts(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([(s.intersection, s.union) for s in samples], dtype=np.int64).reshape(-1, 2)


def _stated(record) -> dict:
    return {key: value for key, value in asdict(record).items() if value is not None}


def bootstrap_interval(
    values, videos: Sequence[str], samples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Ends of the percentile bootstrap interval of a mean or of a ratio of sums.

    Whole videos are drawn with replacement, as many as there are: the sentences and frames of one video are not
    independent. `values` (N,) are averaged: IoUs, hits of P@K as 0 and 1, J or F of objects. `values` (N, 2) are
    counts as `overlap` makes them, of which all first are divided by all second: overall IoU, 1 where nothing is
    in either. `videos` names the video of each value. With one video both ends are the number itself.
    Raises `ValueError` for no values and for lengths that differ.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values) or len(videos) != len(values) or values.shape[1:] not in ((), (2,)):
        raise ValueError(
            f"expected values (N,) or (N, 2) with a video for each; found {values.shape} and {len(videos)} videos"
        )
    if values.ndim == 1:
        values = np.stack([values, np.ones_like(values)], axis=1)
    names, place = np.unique(np.asarray(videos), return_inverse=True)
    sums = np.zeros((len(names), 2))
    np.add.at(sums, place, values)
    drawn = np.random.default_rng(seed).integers(len(names), size=(samples, len(names)))
    above, below = np.moveaxis(sums[drawn].sum(axis=1), -1, 0)  # (samples,) each
    results = np.divide(above, below, out=np.ones_like(above), where=below > 0)
    low, high = np.quantile(results, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
