"""Results that other people published, as data (`published.json`), and tables that show them beside measured ones.

A published number is never shown in a measured cell: that one holds what `evaluate` wrote, with the record of its run,
or "not run". Two numbers are subtracted only if both come from the same data by the same rules; what is not known of
a published one never counts as agreement. All published numbers are percent, as their sources print them.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

P_AT = {f"P@{k}": f"P@{k}" for k in (0.5, 0.6, 0.7, 0.8, 0.9)}
SAMPLE_WISE = P_AT | {
    "AP_mean_precision": "AP (mean P)",  # the two kinds of AP never share a column
    "mAP_coco": "mAP_coco",
    "overall_iou": "overall IoU",
    "mean_iou": "mean IoU",
}
VIDEO_WISE = {"J&F": "J&F", "J": "J", "F": "F"}
COLUMNS = {  # by data set: key in the JSON of `evaluate`, and heading
    "a2d": SAMPLE_WISE,
    "jhmdb": SAMPLE_WISE,
    "ref_davis": VIDEO_WISE,
    "refer_youtube_vos": VIDEO_WISE,
    "mevis": VIDEO_WISE,
}
SERVERS = {("refer_youtube_vos", "valid"), ("mevis", "valid")}  # scored by rules that are not public
MEANING = {  # switches of the protocols
    "compare": "comparison at ties",
    "queries": "number of masks submitted for a sample",
    "frames": "choice of frames",
    "matching": "matching of labels and objects",
    "masks": "ground truth",
    "version": "version of the data set",
}
LISTS = {  # published lists of J-HMDB's frames by SHA-256
    "7a4744a30ca20b432b9ba629f95965d7c64e84b54f438031c9916718199f2fd5": "MTTR's list",
    "ec0b5754ffff2fb9a7d66279f9e4029b0dbcd97b9fd587bbaa0ccfe7e39aa714": "SOC's list",
}
RECORD = ("config", "split", "versions")  # what a result must tell of its run, beside the hash of what was scored


@dataclass(frozen=True)
class Published:
    """One method's numbers on one data set, and where they were printed."""

    method: str
    group: str  # VLIDE or others
    dataset: str
    split: str
    metrics: dict[str, float]  # percent; the kind of AP is in its name
    switches: dict[str, str]  # choices of the protocol as far as they are known
    notes: str
    source: str


@functools.cache
def read_published() -> tuple[Published, ...]:
    """All rows of `published.json`, in its order."""
    text = Path(__file__).with_name("published.json").read_text(encoding="utf-8")
    return tuple(Published(**row) for row in json.loads(text))


def published_results(dataset: str) -> list[Published]:
    """The rows of one data set. Raises `ValueError` for a name without any."""
    if dataset not in COLUMNS:
        raise ValueError(f"no published results for {dataset!r}; known: {', '.join(COLUMNS)}")
    return [row for row in read_published() if row.dataset == dataset]


def require_record(result: dict[str, Any]) -> None:
    """Raises `ValueError` unless a result describes its run: settings, split, versions, hash of what was scored."""
    missing = [key for key in RECORD if not result.get(key)]
    if not (result.get("checkpoint_sha256") or result.get("masks_sha256")):
        missing.append("checkpoint_sha256 (or masks_sha256)")
    if missing:
        raise ValueError(
            f"the result lacks {', '.join(missing)}: no number without the record of its run; measure again"
        )


def measured_rows(result: dict[str, Any]) -> list[tuple[dict[str, float], dict[str, str]]]:
    """Metrics in [0, 1] and protocol switches of a result: one row, on Ref-DAVIS17 one for each matching."""
    config = result["config"]
    if config["data.name"] in ("a2d", "jhmdb"):
        frames = config.get("data.frames", "")
        switches = {"queries": "top-1", "compare": result.get("compare", "unknown")}
        switches["frames"] = frames or "the data set's own"
        if frames.startswith("list="):
            switches["frames"] = LISTS.get(result.get("protocol", {}).get("list_sha256"), "a list of unknown origin")
        return [(result["metrics"], switches)]
    if config["data.name"] != "ref_davis":
        return [(result["metrics"], {"version": result.get("version", "unknown")})]
    masks = {"masks": config.get("data.davis_masks", "unsupervised")}
    rows = [(result["metrics"], {"matching": "id-matched"} | masks)]
    if "hungarian" in result:
        rows.append((result["hungarian"], {"matching": "hungarian"} | masks))
    return rows


def matters(dataset: str, metric: str) -> list[str]:
    """The switches on which a metric depends."""
    needed = {"a2d": ["frames"], "jhmdb": ["frames"], "ref_davis": ["matching", "masks"], "mevis": ["version"]}.get(
        dataset, []
    )
    if metric.startswith("P@") or metric == "AP_mean_precision":
        needed = [*needed, "compare"]
    return [*needed, "queries"] if metric == "mAP_coco" else needed


def why_not_comparable(row: Published, metric: str, result: dict[str, Any], switches: dict[str, str]) -> str:
    """Why a published number and a measured one may not be subtracted; "" if they may."""
    if "by_evidence" in result:
        return "measured on a toy world"
    if row.split != result["split"]:
        return f"measured on {result['split']}, published for {row.split}"
    if (row.dataset, row.split) in SERVERS:
        return "published by a server whose rules are not known"
    for name in matters(row.dataset, metric):
        theirs, ours = row.switches.get(name, "unknown"), switches.get(name, "unknown")
        if theirs != ours or theirs == "unknown":
            return f"{MEANING[name]}: {theirs} there, {ours} here"
    return ""


def against(row: Published, result: dict[str, Any] | None) -> str:
    """Measured minus published, in points, where the rules agree; elsewhere why they do not.

    Of several measured rows the one counts that has most in common with the published one.
    """
    if result is None:
        return "not run"
    told = []
    for metrics, switches in measured_rows(result):
        differences: list[str] = []
        refused: dict[str, list[str]] = {}
        for metric, value in row.metrics.items():
            heading = COLUMNS[row.dataset][metric]
            reason = why_not_comparable(row, metric, result, switches) or ("" if metric in metrics else "not measured")
            if reason:
                refused.setdefault(reason, []).append(heading)
            else:
                differences.append(f"{heading} {100 * metrics[metric] - value:+.1f}")
        reasons = [f"{', '.join(names)}: not comparable ({reason})" for reason, names in refused.items()]
        told.append((len(differences), "; ".join(differences + reasons)))
    return max(told, key=lambda t: t[0])[1]


def comparison_table(dataset: str, measured: dict[str, Any] | None = None) -> str:
    """A Markdown table in percent with three groups: measured here, published for VLIDE, published for others.

    `measured` is what `evaluate` wrote as JSON; without it the measured cells say "not run". Raises `ValueError` for
    an unknown data set, for a result of another one, and for one without the record of its run.
    """
    rows, columns = published_results(dataset), COLUMNS[dataset]
    if measured is not None:
        require_record(measured)
        if (name := measured["config"]["data.name"]) != dataset:
            raise ValueError(f"the result was measured on {name}; the table is that of {dataset}")
    lines = [
        ["method", *columns.values(), "measured - published", "source"],
        ["---", *["---:"] * len(columns), *["---"] * 2],
    ]
    lines.append(["**measured here**"])
    if measured is None:
        lines.append(["dtse", *["not run"] * len(columns)])
    else:
        for metrics, switches in measured_rows(measured):
            shown = ", ".join(switches[k] for k in ("matching", "compare", "frames") if k in switches)
            cells = [f"{100 * metrics[key]:.1f}" if key in metrics else "not run" for key in columns]
            lines.append([f"dtse ({shown})" if shown else "dtse", *cells])
    for heading, group in (("published for VLIDE", "VLIDE"), ("published for others", "others")):
        lines.append([f"**{heading}**"])
        for row in (r for r in rows if r.group == group):
            cells = [str(row.metrics.get(key, "")) for key in columns]
            about = f"{row.source} ({row.notes})" if row.notes else row.source
            lines.append([row.method, *cells, against(row, measured), about])
    width = len(lines[0])
    return "\n".join(f"| {' | '.join([*line, *[''] * (width - len(line))])} |" for line in lines)
