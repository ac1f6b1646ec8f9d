"""Scores of the diagnostic world: equal to plain counting, frame by frame, for mask folders of any method."""

import json
import shutil

import numpy as np
import pytest

from dtse_core.config import DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.data.listing import read_programs
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.level2.world import DiagnosticWorld
from dtse_core.evaluate import EvaluateCommand, run_command
from dtse_core.metrics import contour_accuracy, region_similarity
from dtse_core.scoring.summary import bootstrap_interval
from dtse_core.scoring.tables import format_markdown, format_table
from dtse_core.shared.images import write_index_mask
from dtse_core.video.export import save_mask

SAMPLED = ("a2d", "jhmdb", "toy")  # frame by frame
LAYOUTS = (*SAMPLED, "ref_davis", "refer_youtube_vos", "mevis")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("level2") / "mevis"
    write_toy(root, {"test": 13, "coherence": 4}, "mevis", seed=3, height=32, width=48, level=2)
    return root


def answer(truth, way, number):
    """A method's masks (T, H, W) of one target; every fourth time it finds nothing, in some frames it marks all."""
    noise = np.random.default_rng(number).random((len(truth), 1, 1)) < 0.1
    shifted = (np.roll(truth, (3, 5), (0, 2)) | noise) & (number % 4 > 0)
    return {"truth": truth, "shifted": shifted}[way]


def answered(dataset, folder, way):
    """Writes the masks as `--masks` reads them; returns what is scored apart: video, sentence, evidence, truth, masks.

    Each mask (T, H, W), without pixels that do not count; T is 1 where frames are scored one by one.
    """
    units, index = [], []
    if dataset.name in SAMPLED:
        for number in range(len(dataset)):
            clip = dataset[number]
            truth, masks = clip.mask[None], answer(clip.mask[None], way, number)
            save_mask(folder / f"{number}.png", masks[0])
            names = {"sample_id": clip.sample_id, "expression": clip.expression, "mask": f"{number}.png"}
            index.append(names | {"confidence": 0.5})
            units.append([clip.video_id, clip.expression, clip.evidence, truth, masks])
        (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        return units
    shared = {}  # label maps of Ref-DAVIS17, by annotator and sequence
    for number, video in enumerate(dataset.videos):
        frames = [dataset.read_target(video, k) for k in range(len(video.frames))]
        truth = np.stack([mask for mask, _ in frames])
        masks, void = answer(truth, way, number), np.stack([truth[0] & False if v is None else v for _, v in frames])
        if dataset.name == "ref_davis":
            labels = shared.setdefault((int(video.expression_id) % 4, video.video_id), np.zeros(truth.shape, np.uint8))
            labels[masks] = int(video.object_ids[0])
            masks = labels, int(video.object_ids[0])  # others may still take pixels
        else:
            for stem, mask in zip(video.frames, masks, strict=True):
                save_mask(folder / video.video_id / video.expression_id / f"{stem}.png", mask)
        units.append([video.video_id, video.expression, video.evidence, truth, masks, void])
    for (annotator, sequence), labels in shared.items():
        stems = next(video.frames for video in dataset.videos if video.video_id == sequence)
        for stem, label in zip(stems, labels, strict=True):
            write_index_mask(folder / f"anno_{annotator}" / sequence / f"{stem}.png", label)
    for unit in units:
        void = unit.pop()
        unit[4] = (unit[4][0] == unit[4][1] if shared else unit[4]) & ~void
    return units


def scored(data, folder, way, split="test"):
    units = answered(build_dataset(data, split, 1), folder, way)
    return units, run_command(EvaluateCommand(masks=str(folder), split=split, data=data))


def plain(truth, masks, whole):
    """The scores of one video, or of one frame, counted without any shortcut."""
    inside, either = int((truth & masks).sum()), int((truth | masks).sum())
    scores = {"mean_iou": inside / either if either else 1.0}
    if not whole:
        hits = {k: either == 0 or 100 * inside >= k * either for k in range(50, 100, 5)}
        return (
            scores
            | {f"P@{k / 100}": hits[k] for k in range(50, 100, 10)}
            | {"AP_mean_precision": np.mean(list(hits.values()))}
        )
    times, volume, j, f = [0, 0], 0.0, [], []
    for target, mask in zip(truth, masks, strict=True):
        j.append(region_similarity(mask, target))
        f.append(contour_accuracy(mask, target))
        if target.any() or mask.any():
            times[1] += 1
            if target.any() and mask.any():
                times[0] += 1
                volume += j[-1]
    scores |= {"J": np.mean(j), "F": np.mean(f), "J&F": (np.mean(j) + np.mean(f)) / 2}
    return scores | {"tIoU": times[0] / times[1] if times[1] else 1.0, "vIoU": volume / times[1] if times[1] else 1.0}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_of_a_folder_of_masks_are_those_of_plain_counting(root, tmp_path, monkeypatch, layout):
    monkeypatch.setattr("dtse_core.data.build.HELD_OUT", 26)
    data = DataConfig("toy", level=2, toy_seed=3, size=(32, 48))
    if layout != "toy":
        data = DataConfig(layout, str(root if layout == "mevis" else tmp_path / layout))
    if layout not in ("toy", "mevis"):
        clips, traps = (3, ["void"]) if layout == "ref_davis" else (13, [])
        write_toy(data.root, {"test": clips}, layout, 3, 32, 48, traps, level=2)
    units, result = scored(data, tmp_path / "masks", "shifted")
    world, whole = DiagnosticWorld("test", 3), layout not in SAMPLED
    depths = {sentence.text: sentence.depth for k in range(26) for sentence in world.clip(k).sentences}
    groups = {}
    for video, text, evidence, truth, masks in units:
        for group in ("all", evidence, f"depth {depths[text]}"):
            groups.setdefault(group, []).append((video, truth, masks, plain(truth, masks, whole)))
    assert set(result["diagnosis"]) == set(groups) >= {"depth 1", "depth 2"}
    for name, some in groups.items():
        found, videos = result["diagnosis"][name], [video for video, *_ in some]
        values = {metric: np.array([scores[metric] for *_, scores in some], float) for metric in some[0][3]}
        means = {metric: of.mean() for metric, of in values.items()}
        below = sum((truth | masks).sum() for _, truth, masks, _ in some)
        means["overall_iou"] = sum((truth & masks).sum() for _, truth, masks, _ in some) / below if below else 1.0
        for share, fits in (("rejected", False), ("answered", True)):
            asked = [masks.any() == fits for _, truth, masks, _ in some if truth.any() == fits]
            means |= {share: np.mean(asked)} if asked else {}
        assert found["count"] == len(some) and found["metrics"] == pytest.approx(means)
        assert set(found["intervals"]) == set(means)
        for metric, of in values.items():
            assert found["intervals"][metric] == pytest.approx(bootstrap_interval(of, videos))
    for metric in {"J", "mean_iou", "P@0.5"} & set(result["metrics"]):
        assert result["metrics"][metric] == pytest.approx(result["diagnosis"]["all"]["metrics"][metric])


def test_the_truth_scores_one_in_everything(root, tmp_path):
    _, result = scored(DataConfig("mevis", str(root)), tmp_path / "masks", "truth")
    groups = result["diagnosis"].values()
    assert {value for group in groups for value in group["metrics"].values()} == {1.0}
    assert {end for group in groups for ends in group["intervals"].values() for end in ends} == {1.0}


def test_controls_are_a_group_of_their_own_in_memory_as_in_files(root, tmp_path, monkeypatch):
    monkeypatch.setattr("dtse_core.data.build.HELD_OUT", 4)
    units, result = scored(DataConfig("mevis", str(root)), tmp_path / "masks", "shifted", "coherence")
    controls = [unit for unit in units if unit[2] == "control"]
    groups = result["diagnosis"]
    assert 0 < groups["control"]["count"] == len(controls)
    told = read_programs(root / "toy_world.json")
    scenes = {video: told[video, text][1] for video, text, *_ in units}
    assert sorted(scenes.values()) == ["0", "0", "1", "1"]  # pairs of scenes that differ in little are drawn together
    values = [sample["J"] for sample in result["samples"]]
    names = [told[sample["video_id"], sample["expression"]][1] for sample in result["samples"]]
    assert groups["all"]["intervals"]["J"] == pytest.approx(bootstrap_interval(values, names))
    assert groups["all"]["intervals"]["J"] != pytest.approx(result["intervals"]["J"])  # that is over videos
    assert groups["asked"]["count"] == groups["all"]["count"] - len(controls) == 8  # two sentences of each scene
    in_memory = DataConfig("toy", level=2, toy_seed=3, size=(32, 48))
    assert build_dataset(in_memory, "coherence", 1).programs() == {key: told[key] for key in told if key[0] in scenes}


def test_a_video_that_was_not_handed_in_scores_nothing_even_where_nothing_fits(root, tmp_path):
    data = DataConfig("mevis", str(root))
    dataset = build_dataset(data, "test", 1)
    answered(dataset, tmp_path / "masks", "truth")
    nobody = next(video.video_id for video in dataset.videos if video.evidence == "none")
    shutil.rmtree(tmp_path / "masks" / nobody)
    command = EvaluateCommand(masks=str(tmp_path / "masks"), split="test", data=data)
    with pytest.warns(UserWarning, match="they count as J = F = 0"):
        found = run_command(command)["diagnosis"]["none"]["metrics"]
    assert set(found.values()) == {0.0}


def test_the_tables_show_every_group_with_its_intervals(root, tmp_path):
    _, result = scored(DataConfig("mevis", str(root)), tmp_path / "masks", "shifted")
    for text in (format_table(result), format_markdown(result)):
        for name in ("tIoU", "vIoU", "rejected", "answered", "depth 2", "negation"):
            assert name in text
    assert "diagnosis" not in format_table(result)


def test_a_sentence_that_a_trap_adds_is_counted_without_a_depth(tmp_path):
    write_toy(tmp_path / "toy", {"test": 2}, "mevis", height=32, width=48, traps=["no_target"], level=2)
    units, result = scored(DataConfig("mevis", str(tmp_path / "toy")), tmp_path / "masks", "truth")
    told = read_programs(tmp_path / "toy" / "toy_world.json")
    added = [video for video, text, *_ in units if (video, text) not in told]
    groups = result["diagnosis"]
    depths = sum(group["count"] for name, group in groups.items() if name.startswith("depth"))
    assert depths == groups["all"]["count"] - len(added) < groups["all"]["count"] == len(units)


def test_other_data_have_no_diagnosis(tmp_path):
    write_toy(tmp_path / "toy", {"test": 1}, "mevis", height=32, width=48)
    assert read_programs(tmp_path / "toy" / "toy_world.json") == read_programs(tmp_path / "none.json") == {}
    _, result = scored(DataConfig("mevis", str(tmp_path / "toy")), tmp_path / "masks", "truth")
    assert "diagnosis" not in result and "tIoU" not in result["metrics"]
    (tmp_path / "toy" / "toy_world.json").write_text('{"programs": {"v": [{}]}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"toy_world\.json is damaged"):
        read_programs(tmp_path / "toy" / "toy_world.json")
