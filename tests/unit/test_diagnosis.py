"""Scores of the diagnostic world: equal to plain counting, frame by frame, for mask folders of any method."""

import json
import shutil

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection, PathCollection

from dtse_core.config import DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.data.listing import read_programs
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.level2.world import DiagnosticWorld
from dtse_core.evaluate import EvaluateCommand, run_command
from dtse_core.experiments.diagnosis import draw, main, read_results, table
from dtse_core.metrics import contour_accuracy, region_similarity
from dtse_core.scoring.diagnosis import diagnose
from dtse_core.scoring.records import VideoScore
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


def a_video(video, number, shows, **more):
    """The record of two frames of four pixels; `shows` is the number of pixels in answer, truth and both, by frame."""
    both, marked = sum(b for _, _, b in shows), [(a > 0, t > 0) for a, t, _ in shows]
    union = sum(a + t - b for a, t, b in shows)
    j = [b / (a + t - b) if a + t else 1.0 for a, t, b in shows]
    frames = [sum(a and t for a, t in marked), *(sum(one) for one in zip(*marked, strict=True))]
    shared = sum(one for one, (a, t) in zip(j, marked, strict=True) if a and t)
    pixels = {"pixels": (both, union), "marked": tuple(frames), "shared": shared}
    return VideoScore(video, number, number, np.mean(j), 1.0, 2, 1.0, 1.0, "0", **pixels, **more)


def test_one_sentence_and_answers_that_are_empty_are_scored_without_a_nan():
    found = diagnose([a_video("v", "0", [(0, 0, 0), (0, 0, 0)], evidence="none")], {("v", "0"): (1, "v")})
    assert set(found) == {"all", "none", "depth 1"}
    metrics = {"mean_iou", "overall_iou", "J", "J&F", "tIoU", "vIoU", "rejected", "F"}
    assert set(found["all"]["metrics"]) == metrics  # nothing is to be answered
    assert set(found["all"]["metrics"].values()) == {1.0}
    assert all(found["all"]["intervals"][name] == [value] * 2 for name, value in found["all"]["metrics"].items())


def test_time_and_space_are_scored_as_long_rvos_does():
    shown_late = a_video("v", "0", [(2, 0, 0), (3, 4, 2)])  # one frame in two, with 2 of 5 pixels
    never = a_video("w", "0", [(0, 1, 0), (0, 1, 0)])
    found = diagnose([shown_late, never], {("v", "0"): (1, "v"), ("w", "0"): (2, "w")})
    assert found["depth 1"]["metrics"]["tIoU"] == 1 / 2 and found["depth 1"]["metrics"]["vIoU"] == 2 / 5 / 2
    assert found["depth 2"]["metrics"]["tIoU"] == found["depth 2"]["metrics"]["vIoU"] == 0
    assert found["depth 1"]["metrics"]["mean_iou"] == 2 / 7 and found["all"]["metrics"]["mean_iou"] == 1 / 7
    assert found["all"]["metrics"]["overall_iou"] == 2 / 9 and found["all"]["metrics"]["answered"] == 1 / 2
    assert "rejected" not in found["all"]["metrics"]
    assert found["all"]["intervals"]["tIoU"] == [0, 0.5]  # two videos drawn out of two


def results_of(folder, **changes):
    """Files as `evaluate` writes them, of two methods on test and one slice."""

    def group(mean, **more):
        metrics = {"mean_iou": mean, "tIoU": mean / 2, **more}
        return {"count": 9, "metrics": metrics, "intervals": {k: [v - 0.1, v + 0.1] for k, v in metrics.items()}}

    files = []
    for place, source in enumerate(("runs/mine", "theirs.zip")):
        test = {"all": group(0.5, rejected=0.3, answered=0.6), "none": group(0.2, rejected=0.3), "depth 1": group(0.4)}
        slice_ = {"all": group(0.3), "asked": group(0.25 + place / 2), "control": group(0.8), "depth 1": group(0.1)}
        for split, groups in (("scale", slice_), ("test", test)):
            files.append(folder / f"{place}_{split}.json")
            said = [{"video_id": "v", "expression": "the dog"}]
            result = {"source": source, "split": split, "samples": said, "diagnosis": groups} | changes
            files[-1].write_text(json.dumps(result), encoding="utf-8")
    return files


def test_the_picture_shows_every_method_its_intervals_and_the_ceilings(tmp_path):
    pytest.importorskip("seaborn")
    results = read_results(results_of(tmp_path))
    figure = draw(results)
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["test, all", "none", "depth 1", "scale", "scale, control"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mine", "theirs.zip"]
    dots = [c.get_offsets() for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    found = {(round(y), round(x)) for some in dots for x, y in some}
    assert found == {(0, 50), (1, 20), (2, 40), (3, 25), (3, 75), (4, 80)}
    marks = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    lines = [line for c in marks for line in c.get_segments() if len(line)]
    ends = {(round(y), *sorted((round(a), round(b)))) for (a, y), (b, other) in lines if y == other}
    assert ends == {(0, 40, 60), (1, 10, 30), (2, 30, 50), (3, 15, 35), (3, 65, 85), (4, 70, 90)}
    assert {(round(a), round((y + other) / 2)) for (a, y), (_, other) in lines if y != other} == {(50, 3)}  # a ceiling
    head, first, *_ = table(results)
    assert head[1:3] == ["mean_iou, mine", "mean_iou, theirs.zip"] and first[:2] == ["test, all", "50.0 (40.0-60.0)"]
    figure = draw({"test": {"mine": results["test"]["mine"]}})  # no slice, no ceiling
    for ax in figure.axes:  # a single method is in the middle of its rows
        dots = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
        assert all(y == round(y) for some in dots for _, y in some)
    plt.close("all")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda files: files[0].write_text('{"metrics": {}}', encoding="utf-8"), "has no source; give what evaluate"),
        (lambda files: files.append(files[0]), "0_scale.json is another result of runs/mine on scale; leave one out"),
        (lambda files: files.append(files[0].with_name("none.json")), "none.json; evaluate --json writes"),
        (lambda files: files[3].write_text(files[3].read_text("utf-8").replace("dog", "cat"), "utf-8"), "different"),
    ],
)
def test_results_that_cannot_be_compared_are_refused_by_name(tmp_path, fault, said):
    files = results_of(tmp_path)
    fault(files)
    with pytest.raises((ValueError, OSError), match=said):
        read_results(files)


def test_methods_scored_by_frames_and_by_videos_are_not_compared(tmp_path):
    files = results_of(tmp_path)
    result = json.loads(files[3].read_text("utf-8"))
    files[3].write_text(json.dumps(result | {"samples": 8 * result["samples"]}), encoding="utf-8")
    with pytest.raises(ValueError, match="are scores of different"):
        read_results(files)


@pytest.mark.parametrize(
    "changes",
    [
        *({"samples": said} for said in (None, ["the dog"], [{"video_id": "v"}])),
        *({"diagnosis": groups} for groups in (None, {}, [1], {"all": None}, {"all": {"metrics": {"J": 1}}})),
        *({"diagnosis": {"all": {"metrics": {"J": n}, "intervals": {"J": [0, 1]}}}} for n in ("1", -3)),
        *({"diagnosis": {"all": {"metrics": {"J": 1}, "intervals": {"J": ends}}}} for ends in (None, [0], [0, ""])),
    ],
)
def test_damaged_results_are_named(tmp_path, changes):
    with pytest.raises(ValueError, match=r"0_scale.json is damaged; write it again with evaluate --json"):
        read_results(results_of(tmp_path, **changes))


def test_a_method_may_have_any_name(tmp_path):
    pytest.importorskip("seaborn")
    figure = draw(read_results(results_of(tmp_path, source="runs/$x_{$")[2:3]))
    figure.canvas.draw()
    plt.close("all")


def test_the_command_replaces_its_own_picture_and_nothing_else(tmp_path, monkeypatch, capsys):
    pytest.importorskip("seaborn")
    files = [str(file) for file in results_of(tmp_path)]
    out = tmp_path / "a" / "compare.png"
    for _ in range(2):
        monkeypatch.setattr("sys.argv", ["diagnosis", *files, "--out", str(out)])
        main()
    with Image.open(out) as picture:
        assert picture.width <= 850 and "written by dtse" in picture.text["Description"]
    assert capsys.readouterr().out.count("| scale | 25.0 (15.0-35.0) | 75.0 (65.0-85.0) |") == 2
    foreign = tmp_path / "mine.png"
    foreign.write_bytes(b"a photo")
    for name, told in ((foreign, "not with the mark"), (tmp_path / "x.pdf", "is not the name of a PNG")):
        monkeypatch.setattr("sys.argv", ["diagnosis", *files, "--out", str(name)])
        with pytest.raises(SystemExit):
            main()
        assert told in capsys.readouterr().err
    assert foreign.read_bytes() == b"a photo"
