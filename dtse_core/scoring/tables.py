"""A result as text: the table that `evaluate` prints, and a page of Markdown."""

from collections.abc import Sequence

from ..metrics import P_AT
from ..shared import markdown
from .published import COLUMNS, comparison_table

VIDEO_COLUMNS = {"J": "J", "F": "F", "J&F": "J&F", "temporal_consistency": "steadiness"}
VIDEO_COLUMNS |= {"temporal_consistency_truth": "steadiness of truth"}
ANNOTATORS = (
    "annotator 1, first frame",
    "annotator 1, full video",
    "annotator 2, first frame",
    "annotator 2, full video",
)
LOCAL = "local J&F: by rules of this project; the server's are not known"


def columns_of(result: dict) -> dict[str, str]:
    """Heading of each metric of the result's protocol."""
    if "J" in result["metrics"]:
        return VIDEO_COLUMNS | ({"J&F": "local J&F"} if result.get("protocol", {}).get("score") == LOCAL else {})
    names = {"mean_iou": "mean IoU", "overall_iou": "overall IoU"}
    names |= {f"P@{k}": f"P@{k} ({result['compare']})" for k in P_AT}
    return names | {"AP_mean_precision": "AP (mean P)", "mAP_coco": "mAP_coco (top-1)"}


def table_rows(result: dict, breakdowns: Sequence[str] = ("by_evidence",)) -> list[list[str]]:
    """Head and rows in percent with one decimal: everything, its interval, annotators, breakdowns, baselines."""
    names, video = columns_of(result), "J" in result["metrics"]

    def row(name: str, metrics: dict, count: int | str = "") -> list[str]:
        return [name, str(count), *(f"{100 * metrics[m]:.1f}" if m in metrics else "" for m in names)]

    annotators = result.get("annotators", [])
    counts = [sum(one["objects"][k] for one in annotators) for k in (0, 1)] if annotators else [len(result["samples"])]
    rows = [["", "objects" if annotators else "sentences" if video else "samples", *names.values()]]
    rows.append(row("all, id-matched" if annotators else "all", result["metrics"], counts[0]))
    if ends := result.get("intervals"):
        rows.append(["95 % interval", "", *("-".join(f"{100 * e:.1f}" for e in ends.get(m, ())) for m in names)])
    if annotators:
        rows.append(row("all, hungarian", result.get("hungarian", {}), counts[1]))
    for way, k in (("id_matched", 0), ("hungarian", 1)):
        rows += [
            row(f"{name}, {way.replace('_', '-')}", one.get(way, {}), one["objects"][k])
            for name, one in zip(ANNOTATORS, annotators, strict=False)
        ]
    for part in breakdowns:
        rows += [row(name, metrics, metrics["count"]) for name, metrics in result.get(part, {}).items()]
    for name, value in result.get("baselines", {}).items():
        rows.append(row(f"baseline: {name.replace('_', ' ')}", {"mean_iou": value}))
    return rows


def diagnosis_rows(result: dict) -> list[list[str]]:
    """The table of `diagnosis.diagnose`, in percent with one decimal; below each group its 95 % intervals."""
    groups = result.get("diagnosis", {})
    names = list(dict.fromkeys(name for group in groups.values() for name in group["metrics"]))
    rows = [["", "sentences" if "J" in names else "samples", *names]] if groups else []
    for group, of in groups.items():
        shown = [f"{100 * of['metrics'][name]:.1f}" if name in of["metrics"] else "" for name in names]
        ends = ["-".join(f"{100 * end:.1f}" for end in of["intervals"].get(name, ())) for name in names]
        rows += [[group, str(of["count"]), *shown], ["95 %", "", *ends]]
    return rows


def format_table(result: dict) -> str:
    """The tables for a terminal, columns aligned."""
    if "diagnosis" in result:  # which tells more of each kind
        lines = [*_aligned(table_rows(result, ())), "", *_aligned(diagnosis_rows(result))]
    else:
        lines = _aligned(table_rows(result))
    if "twins_accuracy" in result:
        lines.append(f"twins told apart: {100 * result['twins_accuracy']:.1f} (chance 50.0)")
    return "\n".join(lines)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]


def format_markdown(result: dict) -> str:
    """A page: what was scored and how, the table by evidence and by category, and published results beside it.

    Published numbers are never shown beside a toy world's.
    """
    data = {name: result["config"][f"data.{name}"] for name in ("name", "root")}
    hashes = {name: result[name] for name in ("model_sha256", "checkpoint_sha256", "masks_sha256") if name in result}
    about = {"scored": result["source"], **hashes, "data": f"{data['name']} {data['root']}".strip()}
    about |= {"split": result["split"]} | result["protocol"] | result["counts"] | result["versions"]
    lines = [f"# {data['name']}, {result['split']}: {markdown.escaped(result['source'])}", ""]
    lines += [f"- {name.replace('_', ' ')}: {markdown.escaped(str(of))}" for name, of in about.items() if of != ""]
    lines += ["", *markdown.table(table_rows(result, ("by_evidence", "by_category"))), ""]
    if "diagnosis" in result:
        lines += [*markdown.table(diagnosis_rows(result)), ""]
    if "twins_accuracy" in result:
        lines += [f"Twins told apart: {100 * result['twins_accuracy']:.1f} (chance 50.0).", ""]
    if data["name"] in COLUMNS and "by_evidence" not in result:
        lines += ["## Published results", "", comparison_table(data["name"], result), ""]
    return "\n".join(lines)
