"""Scores on the diagnostic world (the toy world's level 2), by kind and by depth, each with intervals.

On whole videos, where a layout has a mask for every frame:

    mean_iou      pixels in both masks over pixels in either, all frames together; 1 if there are none
    overall_iou   the same over all videos together
    J, F, J&F     means over all frames
    tIoU          frames in which target and answer both show, of those in which either does; 1 if there are none
    vIoU          the sum of J in frames in which both show, over the number of those in which either does; 1 likewise
    rejected      share of empty answers where nothing is to be marked in any frame
    answered      share of non-empty answers where something is

tIoU and vIoU are those of Long-RVOS (arXiv 2505.12702). On single frames (A2D-Sentences, J-HMDB-Sentences, the world in
memory): mean and overall IoU, P@K and its mean, `rejected` and `answered` frame by frame.
"""

from collections.abc import Sequence

import numpy as np

from ..data.clip import CONTROL, KINDS
from ..metrics import sample_ious
from .records import Sample, SequenceScore, VideoScore
from .summary import bootstrap_interval, in_order, values_of

# The best mean IoU on each slice for an observer who lacks what it asks for: see `level2.slices.ceilings`.
CEILINGS = dict.fromkeys(("guidance", "coherence", "granularity", "scale"), 0.5)


def diagnose(
    records: Sequence[Sample | VideoScore | SequenceScore],
    told: dict[tuple[str, str], tuple[int, str]],
    compare: str = ">=",
) -> dict[str, dict]:
    """Every group's count, metrics, and ends of their 95 % intervals, by a bootstrap over videos or families.

    Groups: `all`; `asked`, without a slice's controls, where it has some; each kind (or control); each `depth n`.
    `told`: see `ClipDataSet.programs`; `compare` as in `hits_at`.
    """
    records = in_order(r for r in records if not isinstance(r, SequenceScore))
    groups = {"all": records}
    if any(r.evidence == CONTROL for r in records):
        groups["asked"] = [r for r in records if r.evidence != CONTROL]
    groups |= {kind: [r for r in records if r.evidence == kind] for kind in (*KINDS, CONTROL)}
    about = {id(r): told.get((r.video_id, r.expression), (0, r.video_id)) for r in records}  # a trap's is not listed
    groups |= {f"depth {n}": [r for r in records if about[id(r)][0] == n] for n in (1, 2, 3)}
    return {name: _measured(some, [about[id(r)][1] for r in some], compare) for name, some in groups.items() if some}


def _measured(records: Sequence[Sample] | Sequence[VideoScore], families: list[str], compare: str) -> dict:
    metrics, intervals = {}, {}
    for name, (values, whose) in _values(records, families, compare).items():
        counts = values.ndim == 2  # of which all first are divided by all second
        above, below = values.sum(0) if counts else (values.sum(), len(values))
        metrics[name] = float(above / below) if below else 1.0
        intervals[name] = list(bootstrap_interval(values, whose))
    return {"count": len(records), "metrics": metrics, "intervals": intervals}


def _values(records, families: list[str], compare: str) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Each metric's values, a number or two counts for a record, and whose they are."""
    values = values_of(records, compare)
    if isinstance(records[0], Sample):
        answer, truth = np.array([(r.intersection + r.union - r.target, r.target) for r in records]).T
    else:
        pixels, marked = (np.array([getattr(r, name) for r in records]) for name in ("pixels", "marked"))
        both, answer, truth = marked.T
        either = answer + truth - both
        values = {"mean_iou": sample_ious(pixels), "overall_iou": pixels, **values, "tIoU": _ratio(both, either)}
        values["vIoU"] = _ratio(np.array([r.shared for r in records]), either)
    found = {name: (of, families) for name, of in values.items()}
    for name, right, asked in (("rejected", answer == 0, truth == 0), ("answered", answer > 0, truth > 0)):
        if asked.any():
            found[name] = right[asked], [f for f, one in zip(families, asked, strict=True) if one]
    return found


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, above / np.maximum(below, 1), 1.0)
