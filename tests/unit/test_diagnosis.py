"""Scores of the diagnostic world: equal to plain counting, frame by frame, for mask folders of any method."""

import json

import numpy as np
import pytest

from dtse_core.config import DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.data.listing import read_programs
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.evaluate import EvaluateCommand, run_command
from dtse_core.metrics import contour_accuracy, region_similarity
from dtse_core.scoring.summary import bootstrap_interval
from dtse_core.scoring.tables import format_markdown, format_table
from dtse_core.video.export import save_mask


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("level2") / "mevis"
    write_toy(root, {"test": 13, "coherence": 4}, "mevis", seed=3, height=32, width=48, level=2)
    return root


def answers(dataset, way):
    """A method's masks (T, H, W) of each sentence."""
    rng = np.random.default_rng(0)
    for video in dataset.videos:
        truth = np.stack([dataset.read_target(video, k)[0] for k in range(len(video.frames))])
        shifted = np.roll(truth, (3, 2), (0, 2)) | (rng.random((len(truth), 1, 1)) < 0.1)
        yield video, truth, {"truth": truth, "nothing": truth & False, "shifted": shifted}[way]


def scored(root, folder, way, split="test"):
    dataset = build_dataset(DataConfig("mevis", str(root)), split, 1)
    for video, _, masks in answers(dataset, way):
        for stem, mask in zip(video.frames, masks, strict=True):
            save_mask(folder / video.video_id / video.expression_id / f"{stem}.png", mask)
    command = EvaluateCommand(masks=str(folder), split=split, data=DataConfig("mevis", str(root)))
    return dataset, run_command(command)


def plain(truth, masks):
    """One sentence's scores, counted without any shortcut."""
    times, volume, j, f = [0, 0], 0.0, [], []
    for target, mask in zip(truth, masks, strict=True):
        j.append(region_similarity(mask, target))
        f.append(contour_accuracy(mask, target))
        if target.any() or mask.any():
            times[1] += 1
            if target.any() and mask.any():
                times[0] += 1
                volume += j[-1]
    pixels = (truth & masks).sum(), (truth | masks).sum()
    scores = {"J": np.mean(j), "F": np.mean(f), "mean_iou": pixels[0] / pixels[1] if pixels[1] else 1.0}
    scores |= {"tIoU": times[0] / times[1] if times[1] else 1.0, "vIoU": volume / times[1] if times[1] else 1.0}
    return scores, pixels, bool(truth.any()), bool(masks.any())


@pytest.mark.parametrize("way", ["truth", "nothing", "shifted"])
def test_scores_of_a_folder_of_masks_are_those_of_plain_counting(root, tmp_path, way):
    dataset, result = scored(root, tmp_path / "masks", way)
    kinds, toy = {}, json.loads((root / "toy_world.json").read_text(encoding="utf-8"))
    for video, truth, masks in answers(dataset, way):
        (depth,) = (row["depth"] for row in toy["programs"][video.video_id] if row["text"] == video.expression)
        for group in ("all", video.evidence, f"depth {depth}"):
            kinds.setdefault(group, []).append((video.video_id, *plain(truth, masks)))
    assert set(result["diagnosis"]) == set(kinds) >= {"depth 1", "depth 2"}
    for name, rows in kinds.items():
        found, videos = result["diagnosis"][name], [row[0] for row in rows]
        want = {metric: np.array([row[1][metric] for row in rows]) for metric in rows[0][1]}
        want["J&F"] = (want["J"] + want["F"]) / 2
        below = sum(row[2][1] for row in rows)
        means = {metric: values.mean() for metric, values in want.items()}
        means["overall_iou"] = sum(row[2][0] for row in rows) / below if below else 1.0
        for share, fits in (("rejected", False), ("answered", True)):
            some = [row[4] == fits for row in rows if row[3] == fits]
            means |= {share: np.mean(some)} if some else {}
        assert found["count"] == len(rows) and found["metrics"] == pytest.approx(means)
        for metric, values in want.items():
            assert found["intervals"][metric] == pytest.approx(bootstrap_interval(values, videos))
    assert result["metrics"]["J"] == pytest.approx(result["diagnosis"]["all"]["metrics"]["J"])
    if way == "truth":
        assert set(result["diagnosis"]["all"]["metrics"].values()) == {1.0}


def test_controls_are_a_group_of_their_own(root, tmp_path):
    dataset, result = scored(root, tmp_path / "masks", "shifted", "coherence")
    controls = [video for video in dataset.videos if video.evidence == "control"]
    groups = result["diagnosis"]
    assert 0 < groups["control"]["count"] == len(controls)
    told = read_programs(root / "toy_world.json")
    families = [told[video.video_id, video.expression][1] for video in dataset.videos]
    scenes = {video.video_id: family for video, family in zip(dataset.videos, families, strict=True)}
    assert sorted(scenes.values()) == ["0", "0", "1", "1"]  # pairs of scenes that differ in little are drawn together
    values = [sample["J"] for sample in result["samples"]]
    names = [told[sample["video_id"], sample["expression"]][1] for sample in result["samples"]]
    assert groups["all"]["intervals"]["J"] == pytest.approx(bootstrap_interval(values, names))
    assert groups["all"]["intervals"]["J"] != pytest.approx(result["intervals"]["J"])  # that is over videos
    assert groups["asked"]["count"] == groups["all"]["count"] - len(controls) == 8  # two sentences of each scene


def test_a_video_that_was_not_handed_in_scores_nothing_even_where_nothing_fits(root, tmp_path):
    dataset = build_dataset(DataConfig("mevis", str(root)), "test", 1)
    nobody = next(video.video_id for video in dataset.videos if video.evidence == "none")
    for video, _, masks in answers(dataset, "truth"):
        if video.video_id != nobody:
            for stem, mask in zip(video.frames, masks, strict=True):
                save_mask(tmp_path / "masks" / video.video_id / video.expression_id / f"{stem}.png", mask)
    command = EvaluateCommand(masks=str(tmp_path / "masks"), split="test", data=DataConfig("mevis", str(root)))
    with pytest.warns(UserWarning, match="they count as J = F = 0"):
        found = run_command(command)["diagnosis"]["none"]["metrics"]
    assert set(found.values()) == {0.0}


def test_the_tables_show_every_group_with_its_intervals(root, tmp_path):
    _, result = scored(root, tmp_path / "masks", "shifted")
    for text in (format_table(result), format_markdown(result)):
        for name in ("tIoU", "vIoU", "rejected", "answered", "depth 2", "negation"):
            assert name in text
    assert "diagnosis" not in format_table(result)


def test_a_sentence_that_a_trap_adds_is_counted_without_a_depth(tmp_path):
    write_toy(tmp_path / "toy", {"test": 2}, "mevis", height=32, width=48, traps=["no_target"], level=2)
    dataset, result = scored(tmp_path / "toy", tmp_path / "masks", "truth")
    told = read_programs(tmp_path / "toy" / "toy_world.json")
    added = [video for video in dataset.videos if (video.video_id, video.expression) not in told]
    groups = result["diagnosis"]
    depths = sum(group["count"] for name, group in groups.items() if name.startswith("depth"))
    assert depths == groups["all"]["count"] - len(added) < groups["all"]["count"] == len(dataset.videos)


def test_other_data_have_no_diagnosis(tmp_path):
    write_toy(tmp_path / "toy", {"test": 1}, "mevis", height=32, width=48)
    assert read_programs(tmp_path / "toy" / "toy_world.json") == read_programs(tmp_path / "none.json") == {}
    _, result = scored(tmp_path / "toy", tmp_path / "masks", "truth")
    assert "diagnosis" not in result and "tIoU" not in result["metrics"]
    (tmp_path / "toy" / "toy_world.json").write_text('{"programs": {"v": [{}]}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"toy_world\.json is damaged"):
        read_programs(tmp_path / "toy" / "toy_world.json")
