"""Published numbers stay published: beside measured ones, never among them, never subtracted across rules."""

import copy
import json
import re
from pathlib import Path

import pytest

from dtse_core.config import DataConfig, RunConfig, to_dict
from dtse_core.scoring.published import (
    COLUMNS,
    LISTS,
    comparison_table,
    published_results,
    read_published,
    require_record,
)
from dtse_core.shared.versions import versions

ROOT = Path(__file__).parents[2]
SAMPLES = {"mean_iou": 0.5, "overall_iou": 0.625, "P@0.5": 0.75, "AP_mean_precision": 0.375, "mAP_coco": 0.25}


def result(dataset="a2d", metrics=SAMPLES, split="test", compare=">=", **more):
    """What `evaluate` writes, as far as the table reads it."""
    config = to_dict(RunConfig(data=DataConfig(name=dataset)))
    record = {"config": config, "versions": versions(), "checkpoint_sha256": "0" * 64}
    return {"metrics": metrics, "split": split, "compare": compare} | record | more


def groups(table):
    """The table's rows under each bold heading, as dicts by column."""
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    found = {}
    for row in rows:
        assert len(row) == len(header)
        if row[0].startswith("**"):
            found[row[0].strip("*")] = own = []
        else:
            own.append(dict(zip(header, row, strict=True)))
    return found


def difference(table, method):
    return next(r for rows in groups(table).values() for r in rows if r["method"] == method)["measured - published"]


# The data


def test_every_row_is_sourced_percent_and_has_columns():
    rows = read_published()
    assert len({(r.method, r.dataset, r.split) for r in rows}) == len(rows)
    for row in rows:
        assert row.source and row.group in ("VLIDE", "others") and row.metrics
        assert set(row.metrics) <= set(COLUMNS[row.dataset])
        assert all(0 <= value <= 100 for value in row.metrics.values())
        p = [row.metrics[k] for k in sorted(row.metrics) if k.startswith("P@")]
        assert p == sorted(p, reverse=True)
        if {"J&F", "J", "F"} <= set(row.metrics) and "do not average" not in row.notes:
            assert row.metrics["J&F"] == pytest.approx((row.metrics["J"] + row.metrics["F"]) / 2, abs=0.16)


def test_ap_of_both_kinds_follows_from_the_precisions_or_does_not():
    """The mean over ten thresholds, interpolated between the five printed ones, tells the two kinds apart."""
    for row in published_results("a2d"):
        p = [row.metrics.get(f"P@0.{k}") for k in range(5, 10)]
        if None in p or not {"AP_mean_precision", "mAP_coco"} & set(row.metrics):
            continue
        between = [(a + b) / 2 for a, b in zip(p, p[1:], strict=False)] + [p[-1] / 4]
        mean = (sum(p) + sum(between)) / 10
        if "AP_mean_precision" in row.metrics:
            assert row.metrics["AP_mean_precision"] == pytest.approx(mean, abs=2), row.method
        else:
            assert abs(row.metrics["mAP_coco"] - mean) > 4, row.method


@pytest.mark.parametrize(
    ("dataset", "method", "expected"),
    [
        ("a2d", "VLIDE", [70.2, 66.3, 58.5, 42.8, 15.1, 46.9, 71.4, 59.8]),
        ("jhmdb", "VLIDE", [87.4, 79.1, 58.6, 18.2, 0.3, 44.1, 68.0, 66.6]),
        ("refer_youtube_vos", "VLIDE", [49.56, 48.44, 50.67]),
        ("ref_davis", "VLIDE", [50.02]),
        ("a2d", "MTTR w = 10", [75.4, 71.2, 63.8, 48.5, 16.9, 46.1, 72.0, 64.0]),
        ("jhmdb", "LBDT-4", [86.4, 74.4, 53.3, 12.2, 0.0, 41.1, 64.5, 65.8]),
        ("ref_davis", "MLSA", [57.9, 53.8, 62.0]),
        ("mevis", "LMPM Swin-T, val_u", [40.2, 36.5, 43.9]),
    ],
)
def test_numbers_are_those_of_the_sources(dataset, method, expected):
    rows = [r for r in published_results(dataset) if r.method == method]
    assert [list(r.metrics.values()) for r in rows] == [expected]


# The table


@pytest.mark.parametrize("dataset", COLUMNS)
def test_what_was_not_run_says_so_and_nothing_published_takes_its_place(dataset):
    found = groups(comparison_table(dataset))
    assert list(found) == ["measured here", "published for VLIDE", "published for others"]
    (own,) = found["measured here"]
    assert {own[heading] for heading in COLUMNS[dataset].values()} == {"not run"}
    for group in ("published for VLIDE", "published for others"):
        assert all(row["measured - published"] == "not run" and row["source"] for row in found[group])
    assert sum(map(len, found.values())) == len(published_results(dataset)) + 1


def test_measured_cells_hold_measured_numbers_alone():
    (own,) = groups(comparison_table("a2d", result()))["measured here"]
    cells = {key: own[heading] for key, heading in COLUMNS["a2d"].items()}
    assert {k: v for k, v in cells.items() if v != "not run"} == {k: f"{100 * v:.1f}" for k, v in SAMPLES.items()}
    assert own["source"] == "" and ">=" in own["method"]


def test_both_kinds_of_ap_have_a_column_each():
    rows = groups(comparison_table("a2d"))["published for others"]
    kinds = {r["method"]: (r["AP (mean P)"], r["mAP_coco"]) for r in rows}
    assert kinds["LBDT-4"] == ("47.2", "") and kinds["MTTR w = 10"] == ("", "46.1")


@pytest.mark.parametrize("key", ["config", "split", "versions", "checkpoint_sha256"])
def test_a_result_without_the_record_of_its_run_is_refused(key):
    broken = result()
    del broken[key]
    with pytest.raises(ValueError, match=key):
        comparison_table("a2d", broken)
    with pytest.raises(ValueError, match="no number without the record"):
        require_record(result() | {key: ""})
    if key == "checkpoint_sha256":
        require_record(broken | {"masks_sha256": "1" * 64})


def test_a_result_of_another_data_set_is_refused():
    with pytest.raises(ValueError, match="measured on jhmdb; the table is that of a2d"):
        comparison_table("a2d", result("jhmdb"))
    with pytest.raises(ValueError, match="known: a2d, jhmdb"):
        comparison_table("coco")


# What may be subtracted


def test_a_difference_needs_the_same_comparison_at_ties():
    table = comparison_table("a2d", result())
    assert difference(table, "LBDT-4").startswith("P@0.5 +2.0; AP (mean P) -9.7; overall IoU -7.9; mean IoU -12.1")
    assert "P@0.6, P@0.7, P@0.8, P@0.9: not comparable (not measured)" in difference(table, "LBDT-4")
    vlide = difference(table, "VLIDE")
    assert vlide.startswith("overall IoU -8.9; mean IoU -9.8; P@0.5, ")
    assert "AP (mean P): not comparable (comparison at ties: unknown there, >= here)" in vlide
    assert "P@0.5 -0.4" in difference(comparison_table("a2d", result(compare="mttr")), "MTTR w = 10")
    assert "mttr here" in difference(comparison_table("a2d", result(compare="mttr")), "LBDT-4")
    untold = result()
    del untold["compare"]
    assert "comparison at ties: unknown there, unknown here" in difference(comparison_table("a2d", untold), "VLIDE")


def test_coco_ap_of_many_masks_is_not_compared_with_ours_of_one():
    text = difference(comparison_table("a2d", result()), "ReferFormer V-Swin-B, RefCOCO")
    assert "mAP_coco: not comparable (number of masks submitted for a sample: all there, top-1 here)" in text


def test_toy_worlds_and_other_splits_are_not_compared():
    toy = difference(comparison_table("a2d", result(by_evidence={"action": {}})), "LBDT-4")
    assert toy.endswith("not comparable (measured on a toy world)") and ";" not in toy
    assert "measured on train" in difference(comparison_table("a2d", result(split="train")), "LBDT-4")


SUMS = {name: sha256 for sha256, name in LISTS.items()}


def test_j_hmdb_frames_have_to_be_the_same():
    measured = result("jhmdb")
    text = difference(comparison_table("jhmdb", measured), "MTTR w = 8")
    assert text == "mAP_coco: not comparable (choice of frames: MTTR's list there, the data set's own here)"
    listed = copy.deepcopy(measured) | {"protocol": {"list_sha256": SUMS["SOC's list"]}}
    listed["config"]["data.frames"] = "list=samples.json"
    table = comparison_table("jhmdb", listed)
    assert difference(table, "SOC") == "overall IoU -11.1; mean IoU -22.3"
    assert "MTTR's list there, SOC's list here" in difference(table, "MTTR w = 8")
    assert "unknown there, SOC's list here" in difference(table, "SgMg V-Swin-T")
    listed["protocol"]["list_sha256"] = "0" * 64
    table = comparison_table("jhmdb", listed)
    assert all("of unknown origin here" in difference(table, method) for method in ("SOC", "MTTR w = 8"))
    listed["protocol"]["list_sha256"] = SUMS["MTTR's list"]
    text = difference(comparison_table("jhmdb", listed), "MTTR w = 8")
    assert text.startswith("mAP_coco: not comparable (number of masks")  # the frames no longer stand between
    listed["config"]["data.frames"] = "all"
    assert "unknown there, all here" in difference(comparison_table("jhmdb", listed), "VLIDE")


def test_the_register_tells_how_far_soc_frames_are_those_of_mttr():
    row = next(row for row in published_results("jhmdb") if row.method == "SOC")
    assert row.switches["frames"] != "MTTR's list" and "266 of the 2,784" in row.notes


def test_ref_davis_literature_is_compared_with_hungarian_alone():
    jf = {"J&F": 0.4, "J": 0.5, "F": 0.3}
    one = result("ref_davis", jf, "val")
    assert "hungarian there, id-matched here" in difference(comparison_table("ref_davis", one), "MLSA")
    both = one | {"hungarian": {"J&F": 0.6, "J": 0.6, "F": 0.6}}
    table = comparison_table("ref_davis", both)
    ours = {r["method"]: r["J&F"] for r in groups(table)["measured here"]}
    assert list(ours.values()) == ["40.0", "60.0"] and "id-matched" in next(iter(ours))
    assert difference(table, "MLSA") == "J&F +2.1; J +6.2; F -2.0"
    assert "J&F: not comparable (matching of labels and objects: unknown there" in difference(table, "VLIDE")
    both["config"]["data.davis_masks"] = "2017"
    assert "+" not in difference(comparison_table("ref_davis", both), "MLSA")


def test_what_a_server_scored_is_not_compared():
    jf = {"J&F": 0.4, "J": 0.5, "F": 0.3}
    for split in ("valid", "local-val"):
        for row in groups(comparison_table("refer_youtube_vos", result("refer_youtube_vos", jf, split))).values():
            assert all("not comparable" in r["measured - published"] or r["method"].startswith("dtse") for r in row)
    mevis = result("mevis", jf, "valid_u", version="v1")
    assert difference(comparison_table("mevis", mevis), "LMPM Swin-T, val_u") == "J&F -0.2; J +13.5; F -13.9"
    assert "v2 here" in difference(comparison_table("mevis", mevis | {"version": "v2"}), "LMPM Swin-T, val_u")


# What the repository prints


def test_the_results_keep_published_numbers_out_of_measured_columns():
    names = {"mean IoU": "mean_iou", "overall IoU": "overall_iou", "AP (mean P)": "AP_mean_precision"}
    vlide = next(r for r in published_results("a2d") if r.group == "VLIDE").metrics
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    block = re.search(r"^\| A2D-Sentences[^\n]*measured here.*?\n\n", text, re.DOTALL | re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in block.strip().splitlines()[2:]]
    assert rows
    for name, measured, published in rows:
        key = names.get(name, name)
        assert float(published) == vlide[key]
        everyone = {str(r.metrics.get(key)) for r in published_results("a2d")}
        assert measured == "not run" or measured not in everyone
    with pytest.raises(AssertionError):  # the check sees a published number
        assert "59.8" not in {str(r.metrics.get("mean_iou")) for r in published_results("a2d")}


def test_the_file_is_one_row_a_line():
    text = (ROOT / "dtse_core" / "scoring" / "published.json").read_text(encoding="utf-8")
    rows = [json.loads(line.strip().rstrip(",")) for line in text.splitlines()[1:-1]]
    assert rows == json.loads(text)
