"""What the diagnostic world (the toy world's level 2) asks of whole videos: by kind and by depth, each with intervals.

    mean_iou      of whole videos: pixels in both masks over pixels in either, all frames together; 1 if there are none
    overall_iou   the same over all videos together
    J, F, J&F     means over all frames
    tIoU          frames in which target and answer both show, of those in which either does; 1 if there are none
    vIoU          the sum of J in frames in which both show, over the number of those in which either does; or 1
    rejected      share of empty answers where nothing fits
    answered      share of answers that are not empty where something fits

tIoU and vIoU are those of Long-RVOS (arXiv 2505.12702).
"""

from collections.abc import Sequence

import numpy as np

from ..data.clip import CONTROL, KINDS
from .records import VideoScore
from .summary import bootstrap_interval, in_order

Told = dict[tuple[str, str], tuple[int, str]]  # see `read_programs`


def diagnose(records: Sequence[VideoScore], told: Told) -> dict[str, dict]:
    """Every group's count, metrics, and ends of their 95 % intervals, by a bootstrap over videos or families.

    Groups: `all`; `asked`, without a slice's controls, where it has some; each kind (or control); each `depth n`.
    """
    records = in_order(records)
    groups = {"all": records}
    if any(r.evidence == CONTROL for r in records):
        groups["asked"] = [r for r in records if r.evidence != CONTROL]
    groups |= {kind: [r for r in records if r.evidence == kind] for kind in (*KINDS, CONTROL)}
    about = {id(r): told.get((r.video_id, r.expression), (0, r.video_id)) for r in records}  # a trap's is not listed
    groups |= {f"depth {n}": [r for r in records if about[id(r)][0] == n] for n in (1, 2, 3)}
    return {name: _measured(some, [about[id(r)][1] for r in some]) for name, some in groups.items() if some}


def _measured(records: Sequence[VideoScore], families: list[str]) -> dict:
    metrics, intervals = {}, {}
    for name, (values, whose) in _values(records, families).items():
        counts = values.ndim == 2  # of which all first are divided by all second
        above, below = values.sum(0) if counts else (values.sum(), len(values))
        metrics[name] = float(above / below) if below else 1.0
        intervals[name] = list(bootstrap_interval(values, whose))
    return {"count": len(records), "metrics": metrics, "intervals": intervals}


def _values(records: Sequence[VideoScore], families: list[str]) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Each metric's values, a number or two counts for a sentence, and whose they are."""
    pixels, marked = (np.array([getattr(r, name) for r in records], float) for name in ("pixels", "marked"))
    both, answer, truth = marked.T
    values = {
        "mean_iou": _ratio(*pixels.T),
        "overall_iou": pixels,
        "J": np.array([r.J for r in records]),
        "F": np.array([r.F for r in records]),
        "J&F": np.array([(r.J + r.F) / 2 for r in records]),
        "tIoU": _ratio(both, answer + truth - both),
        "vIoU": _ratio(np.array([r.shared for r in records]), answer + truth - both),
    }
    found = {name: (of, families) for name, of in values.items()}
    for name, right, asked in (("rejected", answer == 0, truth == 0), ("answered", answer > 0, truth > 0)):
        if asked.any():
            found[name] = right[asked].astype(float), [f for f, one in zip(families, asked, strict=True) if one]
    return found


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, above / np.where(below > 0, below, 1), 1.0)
