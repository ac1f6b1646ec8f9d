"""The evaluation command, with stand-in models whose right answer is known, and end to end on a toy world."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dtse_core import evaluate as evaluation
from dtse_core.checkpoints.find import checkpoint_sha256, model_sha256
from dtse_core.config import from_dict, preset, to_dict
from dtse_core.data import build
from dtse_core.data.clip import ReferringClip
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.world import ToyWorld
from dtse_core.evaluate import has_twins, main, parse_command
from dtse_core.metrics import P_AT
from dtse_core.model import DTSE
from dtse_core.notebook.plots import EVIDENCE
from dtse_core.predict import Step
from dtse_core.scoring import answers, pictures
from dtse_core.scoring.blind_answers import constant_baselines, largest_moving
from dtse_core.scoring.clips import evaluate, some_of
from dtse_core.scoring.mask_files import MaskWriter
from dtse_core.scoring.mask_reader import MaskReader
from dtse_core.scoring.protocols import protocol_for
from dtse_core.scoring.records import score_mask
from dtse_core.scoring.summary import summarize, twins_accuracy
from dtse_core.shared.files import ANY, write_json
from tests.packing import zip_bytes
from tests.small_videos import Truth

SIZE = (16, 24)
METRICS = {"mean_iou", "overall_iou", "AP_mean_precision", "mAP_coco", *(f"P@{k}" for k in P_AT)}


def square(height, width, top, left, side=6):
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def make_clip(k, mask, evidence=None, twin_mask=None, T=3):
    """A clip whose current frame is white on the mask and black elsewhere."""
    frames = np.zeros((T, *mask.shape, 3), np.uint8)
    frames[T // 2][mask] = 255
    return ReferringClip(frames, T // 2, mask, "the dog", f"v{k}", 1, "1", evidence, twin_mask)


class Reader(nn.Module):
    """Reads the mask off the current frame: right wherever the frame is not resized."""

    def forward(self, frames, input_ids, attention_mask):
        assert len(frames) == len(input_ids) == len(attention_mask)
        return SimpleNamespace(logits=frames[:, frames.shape[1] // 2].mean(1))


class Constant(nn.Module):
    """The same logits (h, w) for every clip."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, frames, input_ids, attention_mask):
        return SimpleNamespace(logits=self.logits.expand(len(frames), -1, -1))


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("tiny-bert", 1)


@pytest.fixture
def run(tokenizer):
    def run(model, clips, **options):
        return evaluate(model, clips, tokenizer, SIZE, "cpu", progress=False, **options)

    return run


CLIPS = [make_clip(k, square(*SIZE, k, 2 * k), "appearance" if k % 2 else "action") for k in range(7)]


# From a model to samples


def test_a_model_that_is_right_scores_one_everywhere(run):
    result = summarize(run(Reader(), CLIPS))
    assert result["metrics"] == {name: 1.0 for name in METRICS}
    assert [s["union"] for s in result["samples"]] == [36] * 7


def test_logits_are_resized_to_each_original_size_before_the_threshold(run):
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    clips = [
        make_clip(k, square(h, w, h // 4, w // 4, h // 2)) for k, (h, w) in enumerate([(16, 24), (33, 20), (50, 75)])
    ]
    for sample, clip in zip(run(Constant(logits), clips), clips, strict=True):
        full = nn.functional.interpolate(logits[None, None], clip.mask.shape, mode="bilinear")[0, 0]
        predicted = (full > 0).numpy()
        assert sample.intersection == (predicted & clip.mask).sum()
        assert sample.union == (predicted | clip.mask).sum()
        assert sample.confidence == pytest.approx(full.sigmoid().numpy()[predicted].mean(), abs=1e-6)
    first = nn.functional.interpolate((logits[None, None] > 0).float(), (50, 75))[0, 0].numpy() > 0
    assert (first & clip.mask).sum() != sample.intersection  # the other order would give another number


def test_batch_size_and_workers_do_not_matter(run):
    one = run(Reader(), CLIPS, batch=1)
    assert one == run(Reader(), CLIPS, batch=4) == run(Reader(), CLIPS, batch=3, workers=1)
    assert [s.sample_id for s in one] == [c.sample_id for c in CLIPS]


def test_an_empty_prediction_has_no_confidence_and_no_overlap(run):
    sample = run(Constant(torch.full((4, 6), -3.0)), CLIPS[:1])[0]
    assert (sample.intersection, sample.union, sample.confidence) == (0, 36, 0)


def test_the_model_leaves_as_it_came(run):
    model = Reader().train()
    model.forward = lambda *a: (model.training and pytest.fail("scored in train()")) or Reader.forward(model, *a)
    run(model, CLIPS)
    assert model.training
    with pytest.raises(ValueError, match="twice"):
        run(model, CLIPS[:1] * 2)
    assert model.training
    run(model.eval(), CLIPS)
    assert not model.training


def test_a_sample_that_occurs_twice_is_named(run):
    same_id = dataclasses.replace(CLIPS[2], expression="the cat")
    assert len(run(Reader(), [*CLIPS, same_id])) == 8  # another sentence about one object is another sample
    with pytest.raises(ValueError, match='v_v2_f_1_i_1 "the cat" occurs twice'):
        run(Reader(), [*CLIPS, same_id, same_id])


def test_an_empty_data_set_is_an_error(run):
    with pytest.raises(ValueError, match="no samples"):
        run(Reader(), [])
    with pytest.raises(ValueError, match="no samples"):
        summarize([])
    with pytest.raises(ValueError, match="no samples"):
        constant_baselines([])


def test_logits_that_are_not_finite_are_an_error(run):
    logits = torch.zeros(4, 6)
    logits[1, 2] = torch.nan
    with pytest.raises(FloatingPointError, match='v_v0_f_1_i_1 "the dog" are not finite'):
        run(Constant(logits), CLIPS)


# Twins


def test_twins_are_told_apart_by_mean_probability(run):
    left, right = square(*SIZE, 4, 2), square(*SIZE, 4, 14)
    slope = torch.linspace(3, -3, 24).expand(16, 24)  # higher on the left
    clips = [make_clip(0, left, twin_mask=right), make_clip(1, right, twin_mask=left), make_clip(2, left)]
    samples = run(Constant(slope), clips)
    assert samples[0].on_target > 0.5 > samples[0].on_twin
    assert (samples[0].on_target, samples[0].on_twin) == (samples[1].on_twin, samples[1].on_target)
    assert samples[2].on_twin is None
    p = slope.sigmoid().numpy()
    assert samples[0].on_target == pytest.approx(p[left].mean(), abs=1e-6)
    assert [twins_accuracy(samples[k:]) for k in range(2)] == [0.5, 0]
    assert twins_accuracy(run(Constant(torch.zeros(16, 24)), clips[:1])) == 0.5  # a tie


def test_a_twin_that_is_hidden_does_not_count(run):
    samples = run(Reader(), [make_clip(0, square(*SIZE, 4, 2), twin_mask=np.zeros(SIZE, bool))])
    assert samples[0].on_twin is None
    with pytest.raises(ValueError, match="no samples with a visible twin"):
        twins_accuracy(samples)


def test_evidence_is_listed_in_one_order_everywhere():
    from dtse_core.data.clip import EVIDENCE as drawn

    assert tuple(EVIDENCE) == tuple(drawn)


# Baselines


def moving_clip(paths, size=(60, 90), current=1, T=3):
    """Gray squares on black, each a path and a side; the first is the target."""
    frames = np.zeros((T, *size, 3), np.uint8)
    for t in range(T):
        for path, side in paths:
            frames[t][square(*size, *path(t), side=side)] = 200
    path, side = paths[0]
    return ReferringClip(frames, current, square(*size, *path(current), side=side), "it", "v", 1, "1")


def test_largest_moving_finds_the_mover_and_not_where_it_was():
    target = (lambda t: (20, 10 + 25 * t)), 14
    small, still = ((lambda t: (5, 60 - 10 * t)), 6), ((lambda t: (40, 60)), 16)
    clip = moving_clip([target, small, still])
    assert (largest_moving(clip) & clip.mask).sum() / (largest_moving(clip) | clip.mask).sum() > 0.9


def test_largest_moving_fills_holes_where_nothing_changed():
    clip = moving_clip([((lambda t: (20, 10 + 25 * t)), 20)])
    clip.frames[1, 26:34, 41:49] = 0  # as black as the background
    assert clip.mask[26:34, 41:49].all() and largest_moving(clip)[26:34, 41:49].all()


def test_nothing_moves_in_a_still_clip_or_a_single_frame():
    still = moving_clip([((lambda t: (20, 20)), 14)])
    assert not largest_moving(still).any()
    still.frames[0] += 10  # flicker
    still.frames[2] += 5
    assert not largest_moving(still).any()
    single = moving_clip([((lambda t: (20, 20)), 14)], current=0, T=1)
    assert not largest_moving(single).any()


def test_baselines_of_everything_and_nothing_are_the_area_and_zero():
    clips = [moving_clip([((lambda t: (20, 10 + 25 * t)), side)]) for side in (10, 20)]
    result = constant_baselines(clips)
    assert result["everything"] == pytest.approx((100 + 400) / 2 / 5400)
    assert result["nothing"] == 0
    assert result["largest_moving"] > 0.8


# The command


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tokenizer):
    """A run folder with random weights."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    config = preset("tiny", **{"data.offset": 4})
    DTSE(config.model).save_pretrained(folder / "final")
    tokenizer.save_pretrained(folder / "final")
    write_json(folder / "final" / "run.json", to_dict(config), ANY)
    return folder


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    main()


def test_command_scores_a_toy_root_with_evidence_and_twins(monkeypatch, capsys, tmp_path, checkpoint, toy_a2d_root):
    file = tmp_path / "new" / "result.json"
    options = [
        "--checkpoint",
        checkpoint,
        "--data.name",
        "a2d",
        "--data.root",
        toy_a2d_root,
        "--json",
        file,
        "--baselines",
    ]
    command(monkeypatch, *options)
    result, out = json.loads(file.read_text(encoding="utf-8")), capsys.readouterr().out
    assert set(result["metrics"]) == METRICS
    assert set(result["by_evidence"]) == set(EVIDENCE)
    assert 0 <= result["twins_accuracy"] <= 1
    assert set(result["baselines"]) == {"everything", "nothing", "largest_moving"}
    assert sum(g["count"] for g in result["by_evidence"].values()) == len(result["samples"])
    assert result["checkpoint_sha256"] == checkpoint_sha256(checkpoint / "final")
    assert result["model_sha256"] == model_sha256(checkpoint / "final")
    assert {"python", "torch", "transformers", "numpy", "dtse"} <= set(result["versions"])
    config = from_dict(result["config"])
    assert (config.data.name, config.data.root, config.data.offset) == ("a2d", str(toy_a2d_root), 4)
    assert (result["split"], result["compare"]) == ("test", ">=")
    total = sum(s["intersection"] for s in result["samples"]) / sum(s["union"] for s in result["samples"])
    assert result["metrics"]["overall_iou"] == pytest.approx(total)
    assert f"{100 * result['metrics']['mean_iou']:.1f}" in out and "P@0.5 (>=)" in out and "twins told apart" in out
    assert [p.name for p in file.parent.iterdir()] == ["result.json"]


def test_a_root_without_toy_listing_has_neither_evidence_nor_twins(
    monkeypatch, capsys, tmp_path, checkpoint, toy_a2d_root
):
    root, file = tmp_path / "a2d", tmp_path / "r.json"
    root.mkdir()
    for name in ("Release", "text_annotations"):
        (root / name).symlink_to(toy_a2d_root / name)
    blank = Constant(torch.full((4, 6), 1.0))
    blank.config = preset("tiny").model
    monkeypatch.setattr(DTSE, "from_pretrained", lambda folder: blank)
    options = ["--checkpoint", checkpoint, "--data.name", "a2d", "--data.root", root, "--split", "train"]
    command(monkeypatch, *options, "--json", file)
    assert re.search("^note: .* 0 rows without an integer instance", capsys.readouterr().err, re.M), "the genuine one"
    result = json.loads(file.read_text(encoding="utf-8"))
    assert not {"by_evidence", "twins_accuracy", "baselines"} & set(result)
    assert all(s["union"] == 64 * 96 for s in result["samples"])
    assert result["metrics"]["P@0.5"] == 0


def test_the_toy_world_in_memory_is_the_default(monkeypatch, capsys, checkpoint):
    calls = []
    monkeypatch.setattr(build, "HELD_OUT", 5)
    monkeypatch.setattr(answers, "evaluate", lambda *a, **k: calls.append(len(a[1])) or evaluate(*a, **k))
    command(monkeypatch, "--checkpoint", checkpoint, "--split", "twins", "--compare", ">")
    out = capsys.readouterr().out
    assert calls == [5]  # the split is scored once, though it is also the one for twins_accuracy
    assert "on toy, split twins" in out
    assert "P@0.5 (>)" in out
    assert "twins told apart" in out
    assert "appearance" not in out  # the twins split needs motion alone


def test_the_data_settings_are_those_of_the_checkpoint_unless_given(checkpoint):
    c = parse_command(["--checkpoint", str(checkpoint), "--data.toy-seed", "3", "--compare", ">"])
    assert c.data == dataclasses.replace(preset("tiny").data, offset=4, toy_seed=3)
    assert (c.compare, c.split, c.batch, c.baselines) == (">", "test", 16, False)
    assert parse_command([f"--checkpoint={checkpoint}"]).data.offset == 4


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--checkpoint", "no/such/run"], 1, "no/such/run/final/model.safetensors"),
        (["--checkpoint", "RUN", "--data.name", "a2d"], 1, "data.root"),
        (["--checkpoint", "RUN", "--data.name", "a2d", "--data.root", "nowhere"], 1, "nowhere"),
        (["--checkpoint", "RUN", "--data.root", "nowhere"], 1, "add --data.name a2d"),
        (["--checkpoint", "RUN", "--split", "tset"], 1, "tset"),
        (["--checkpoint", "RUN", "--device", "warp"], 1, "device 'warp'"),
        (["--checkpoint", "RUN", "--batch", "0"], 1, "batch"),
        (["--checkpoint", "RUN", "--json", "."], 1, "is a folder"),
        (["--checkpoint", "RUN", "--splt", "test"], 1, "did you mean '--split'?"),
        (["--checkpoint", "RUN", "--batch", "many"], 1, "batch is 'many'; it must be a whole number"),
    ],
)
def test_mistakes_end_in_one_line_and_a_status(monkeypatch, capsys, checkpoint, options, status, words):
    with pytest.raises(SystemExit) as stop:
        command(monkeypatch, *[checkpoint if o == "RUN" else o for o in options])
    error = capsys.readouterr().err
    assert stop.value.code == status
    assert words in error
    assert "Traceback" not in error
    if status == 1:
        assert error.startswith("error: ") and error.count("\n") == 1


def test_help_needs_no_checkpoint_and_explains_every_option(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "220")
    with pytest.raises(SystemExit) as stop:
        command(monkeypatch, "--checkpoint", "nowhere", "--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    options = {"checkpoint": "a run folder", "split": "part of the data set", "json": "file for the result"}
    options |= {"masks": "folder or zip", "validate": "zip to check", "submission": "for the server"}
    options |= {"compare": "of P@K", "baselines": "also score everything", "batch": "sentences about one video"}
    options |= {
        "device": "cpu, cuda, cuda:1 ... or auto",
        "data.name": "drawn in memory",
        "data.root": "the data set's folder",
    }
    for option, words in options.items():
        assert f"--{option}" in out
        assert words in out


def test_the_module_runs_as_a_command_without_traceback(tmp_path):
    arguments = [sys.executable, "-m", "dtse_core.evaluate", "--checkpoint", "no_such_run"]
    done = subprocess.run(arguments, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: no checkpoint 'no_such_run'") and done.stderr.count("\n") == 1


def test_only_toy_worlds_with_such_clips_have_twins(tmp_path, toy_a2d_root):
    data = preset("tiny").data
    assert has_twins(data)
    assert has_twins(dataclasses.replace(data, name="a2d", root=str(toy_a2d_root)))
    assert not has_twins(dataclasses.replace(data, name="a2d", root=str(tmp_path)))
    write_json(tmp_path / "toy_world.json", {"splits": {"test": ["a"], "twins": []}, "sentences": {}}, ANY)
    assert not has_twins(dataclasses.replace(data, name="a2d", root=str(tmp_path)))


# Every data set, from masks and from a checkpoint

VIDEO_SETS = ("ref_davis", "refer_youtube_vos", "mevis")


@pytest.fixture(scope="module")
def root_of(tmp_path_factory):
    """The root of a toy world of a few small clips, by layout: read it, never write to it."""
    roots = {}

    def root_of(layout):
        if layout not in roots:
            roots[layout] = tmp_path_factory.mktemp("world") / layout
            write_toy(roots[layout], {"val": 1, "test": 1, "twins": 1}, layout, seed=1, height=32, width=48)
        return roots[layout]

    return root_of


def data_set(name, root, split="test"):
    return build.build_dataset(dataclasses.replace(preset("tiny").data, name=name, root=str(root)), split, window=1)


def write_truth(folder, name, dataset):
    """Right masks, as `--save-masks` writes them."""
    writer = MaskWriter(folder, name)
    if name in VIDEO_SETS:
        protocol_for(dataset, Truth(), 16).score(writer, progress=False)
        return folder
    clips = [dataset[k] for k in range(len(dataset))]
    for clip in clips:
        writer.write_sample(clip, clip.mask)
    writer.write_index([score_mask(clip, clip.mask, 1.0) for clip in clips])
    return folder


def bright(self, frames, expressions, batch=1, refuse=True):
    """In the place of a model: the bright parts of a frame, moved a little for each further sentence."""
    for k, frame in enumerate(frames):
        maps = np.stack([np.roll(frame[..., 0] / 255 - 0.5, s, axis=1) for s in range(len(expressions))])
        yield Step(k, frame, maps > 0, maps.astype(np.float32), np.zeros(len(maps)))


def options_for(name, root, *more):
    return ["--data.name", name, "--data.root", root, *more]


@pytest.mark.parametrize("name", ["a2d", "jhmdb", *VIDEO_SETS])
def test_perfect_masks_score_one_without_any_model(monkeypatch, capsys, tmp_path, root_of, name):
    monkeypatch.setattr(DTSE, "from_pretrained", None)
    root, masks = root_of(name), tmp_path / "masks"
    dataset = data_set(name, root)
    write_truth(masks, name, dataset)
    if name in VIDEO_SETS:
        monkeypatch.setattr(type(dataset), "samples", None)  # to find the windows takes long, and nobody asks for them
    file = tmp_path / "r.json"
    command(monkeypatch, *options_for(name, root, "--masks", masks, "--json", file))
    result, out = json.loads(file.read_text(encoding="utf-8")), capsys.readouterr().out
    steady = {"temporal_consistency", "temporal_consistency_truth"}
    assert set(result["metrics"]) == ({"J", "F", "J&F"} | steady if name in VIDEO_SETS else METRICS)
    assert {value for key, value in result["metrics"].items() if key not in steady} == {1}
    assert result["by_evidence"] and "100.0" in out and "split test" in out
    assert len(result["masks_sha256"]) == 64 and result["config"]["data.name"] == name
    assert ("local J&F" in out) == (name in VIDEO_SETS[1:])
    assert ("frames: deterministic" in out) == (name == "jhmdb")
    assert ("Annotations_unsupervised" in out) == (name == "ref_davis")
    if name == "ref_davis":
        assert result["hungarian"]["J&F"] == 1 and len(result["annotators"]) == 4
        assert result["annotators"][0]["objects"][0] * 4 == len(result["samples"]) == len(dataset.videos)
    else:
        of_videos = {"videos": 1, "sentences": len(dataset.videos)} if name in VIDEO_SETS else {"samples": len(dataset)}
        assert result["counts"] == of_videos
    assert result["by_category"] if name != "mevis" else "by_category" not in result


def test_swapped_labels_are_forgiven_by_hungarian_matching_alone(monkeypatch, tmp_path, root_of):
    root, file = root_of("ref_davis"), tmp_path / "r.json"
    write_truth(tmp_path / "masks", "ref_davis", data_set("ref_davis", root))
    for path in (tmp_path / "masks").rglob("*.png"):
        with Image.open(path) as image:
            labels = np.asarray(image)
        numbers = np.array([0, 2, 3, 1, 4, 5, 6, 7], np.uint8)
        Image.fromarray(numbers[labels]).save(path)  # gray: the index alone counts
    command(monkeypatch, *options_for("ref_davis", root, "--masks", tmp_path / "masks", "--json", file))
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["metrics"]["J"] < 0.01 and result["hungarian"]["J&F"] == 1


def test_sequences_that_begin_without_an_object_are_scored_id_matched_alone(monkeypatch, capsys, tmp_path, root_of):
    root, file = shutil.copytree(root_of("ref_davis"), tmp_path / "world"), tmp_path / "r.json"
    for path in (root / "DAVIS/Annotations_unsupervised").rglob("00000.png"):
        with Image.open(path) as image:
            Image.new("L", image.size).save(path)
    masks = write_truth(tmp_path / "masks", "ref_davis", data_set("ref_davis", root))
    page = tmp_path / "r.md"
    command(monkeypatch, *options_for("ref_davis", root, "--masks", masks, "--json", file, "--markdown", page))
    result, (out, error) = json.loads(file.read_text(encoding="utf-8")), capsys.readouterr()
    assert result["metrics"]["J&F"] == 1 and "hungarian" not in result
    assert [set(one) for one in result["annotators"]] == [{"id_matched", "objects"}] * 4
    assert "note: no object in an annotator's first frames: hungarian" in error
    assert re.search("^all, hungarian +0$", out, re.MULTILINE) and "| all, hungarian | 0 |" in page.read_text("utf-8")


@pytest.mark.parametrize("name", ["a2d", "jhmdb", *VIDEO_SETS])
def test_a_checkpoint_and_the_masks_that_it_saves_score_alike(monkeypatch, tmp_path, checkpoint, root_of, name):
    monkeypatch.setattr(answers.ReferringVideoPredictor, "stream", bright)
    root, masks = root_of(name), tmp_path / "masks"
    files = [tmp_path / f"{k}.json" for k in range(2)]
    options = options_for(name, root, "--split", "test")
    command(monkeypatch, *options, "--checkpoint", checkpoint, "--save-masks", masks, "--json", files[0])
    command(monkeypatch, *options, "--masks", masks, "--json", files[1])
    one, other = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    for result in (one, other):
        for sample in result["samples"]:  # probabilities of twins are not in masks
            sample.pop("on_target", None), sample.pop("on_twin", None)
    own = {"source", "config", "checkpoint_sha256", "model_sha256", "masks_sha256", "twins_accuracy", "versions"}
    assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in other.items() if k not in own}
    assert ("twins_accuracy" in one) == (name == "a2d")
    assert 0 < one["metrics"].get("J", 0.5) < 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.json", "1.json", "masks"]


def test_the_models_masks_of_a_video_are_those_of_the_predictor_without_its_caution(tmp_path, capsys, checkpoint):
    write_toy(tmp_path, {"test": 1}, "refer_youtube_vos", height=32, width=48, traps=("short_clip",))
    dataset, data = data_set("refer_youtube_vos", tmp_path), preset("tiny").data
    model = answers.ModelAnswers(str(checkpoint), data, torch.device("cpu"), 4)
    group = dataset.videos[:2]
    frames = np.stack([np.asarray(Image.open(path)) for path in dataset.frame_paths(group[0])])
    alone = [model.predictor.segment(frames, video.expression).masks for video in group]
    assert np.mean(list(model.masks(dataset, group)) == np.stack(alone, 1)) > 0.999
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["a2d", "ref_davis", "refer_youtube_vos"])
def test_no_single_sentence_ends_an_evaluation(monkeypatch, capsys, tmp_path, checkpoint, name):
    root, file = tmp_path / "world", tmp_path / "result.json"
    write_toy(root, {"test": 1}, name, seed=1, height=32, width=48)
    odd = ["dog " * 80, "zyx qwv", "\u200b", "?"]
    if name == "a2d":
        path = root / "text_annotations" / "a2d_annotation.txt"
        lines = path.read_text(encoding="utf-8").splitlines()
        instance = lines[1].split(",")[:2]
        path.write_text("\n".join([*lines, *(",".join([*instance, text]) for text in odd)]) + "\n", encoding="utf-8")
    elif name == "ref_davis":
        path = root / "davis_text_annotations" / "Davis17_annot1.txt"
        lines = path.read_text(encoding="utf-8").splitlines()
        for text, annotator in zip(odd, ("annot1", "annot1_full_video", "annot2_full_video", "annot1"), strict=True):
            path = root / "davis_text_annotations" / f"Davis17_{annotator}.txt"
            coding = "latin-1" if "annot2" in annotator else "utf-8"
            lines = path.read_text(encoding=coding).splitlines()
            place = 1 if text == "?" else 0
            lines[place] = " ".join(lines[place].split()[:2]) + f' "{text if coding == "utf-8" else "!"}"'
            path.write_text("\n".join(lines) + "\n", encoding=coding)
    else:
        path = root / "meta_expressions" / "train" / "meta_expressions.json"
        table = json.loads(path.read_text(encoding="utf-8"))
        (video,) = table["videos"].values()
        entry = next(iter(video["expressions"].values()))
        video["expressions"] |= {f"9{k}": entry | {"exp": text} for k, text in enumerate(odd)}
        path.write_text(json.dumps(table), encoding="utf-8")
    options = ["--checkpoint", checkpoint, "--data.name", name, "--data.root", root, "--json", file]
    command(monkeypatch, *options)
    result, out = json.loads(file.read_text(encoding="utf-8")), capsys.readouterr().out
    assert (result["counts"]["unknown_sentences"], result["counts"]["cut_sentences"]) == (3, 1)
    assert "unknown_sentences: 3" in out and "cut_sentences: 1" in out
    answered = {sample["expression"] for sample in result["samples"]}
    assert {"dog " * 79 + "dog", "zyx qwv", "?"} <= answered
    assert all(np.isfinite(list(result["metrics"].values())))


# Submissions


def test_submissions_are_valid_and_the_same_from_checkpoint_and_from_masks(
    monkeypatch, capsys, tmp_path, checkpoint, root_of
):
    monkeypatch.setattr(answers.ReferringVideoPredictor, "stream", bright)
    options = options_for("refer_youtube_vos", root_of("refer_youtube_vos"))
    saved, files = tmp_path / "masks", [tmp_path / "a.zip", tmp_path / "b.zip"]
    command(monkeypatch, *options, "--checkpoint", checkpoint, "--submission", files[0], "--save-masks", saved)
    command(monkeypatch, *options, "--masks", saved, "--split", "valid", "--submission", files[1])
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "predictions alone" in capsys.readouterr().out
    command(monkeypatch, *options, "--validate", files[0])
    assert capsys.readouterr().out.endswith("valid\n")
    files[1].write_bytes(zip_bytes({"Annotations/a/0/00000.png": b"x"}))
    with pytest.raises(SystemExit) as stop:
        command(monkeypatch, *options, "--validate", files[1])
    out, error = capsys.readouterr()
    assert stop.value.code == 1 and "video missing: 1" in out and "is not valid, it breaks 2 rules" in error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--split", "valid", "--masks", "MASKS"], "score on split valid_u instead"),
        (["--masks", "MASKS/nowhere"], "no masks at"),
        (["--masks", "MASKS"], "lacks the masks of"),
        (["--submission", "MASKS"], "is a folder"),
        (["--validate", "nowhere.zip"], "no zip at nowhere.zip"),
        (["--masks", "MASKS", "--save-masks", "MASKS"], "is the input"),
        (["--data.name", "a2d", "--submission", "a.zip"], "a2d has no submission zips"),
        (["--masks", "MASKS", "--baselines"], "--baselines means nothing on --data.name mevis"),
        (["--masks", "MASKS", "--data.name", "a2d", "--first-appearance"], "means nothing on --data.name a2d"),
        (["--masks", "DAMAGED", "--data.workers", "1"], "00003.png cannot be read as an image"),
        (["--data.name", "a2d", "--validate", "a.zip"], "only refer_youtube_vos and mevis have a server"),
    ],
)
def test_mistakes_with_masks_end_in_one_line(monkeypatch, capsys, tmp_path, root_of, options, words):
    write_truth(tmp_path / "masks", "mevis", data_set("mevis", root_of("mevis")))
    if words == "lacks the masks of":
        for folder in (tmp_path / "masks").glob("*/*"):
            folder.rename(folder.with_name("99"))
            break
    if "valid" in options:
        write_truth(tmp_path / "masks", "mevis", data_set("mevis", root_of("mevis"), "val"))
    if "DAMAGED" in options:
        next((tmp_path / "masks").rglob("00003.png")).write_bytes(b"")
    options = [o.replace("MASKS", str(tmp_path / "masks")).replace("DAMAGED", str(tmp_path / "masks")) for o in options]
    with pytest.raises(SystemExit) as stop:
        command(monkeypatch, *options_for("mevis", root_of("mevis")), *options)
    error = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 1 and error.startswith("error: ") and words in error


# Pages, pictures, processes


def test_a_page_and_pictures_of_the_worst_and_best_cases(monkeypatch, tmp_path, root_of):
    assert pictures.CASES == 10
    monkeypatch.setattr(pictures, "CASES", 2)  # drawing takes time
    for name in ("jhmdb", "ref_davis"):
        masks = write_truth(tmp_path / name, name, data_set(name, root_of(name)))
        more = ["--pictures", tmp_path / f"{name}_pictures", "--markdown", tmp_path / "pages" / f"{name}.md"]
        command(monkeypatch, *options_for(name, root_of(name), "--masks", masks, *more))
        drawn = sorted((tmp_path / f"{name}_pictures").glob("*.png"))
        assert [path.name.split("_v_")[0] for path in drawn] == ["best_01", "best_02", "worst_01", "worst_02"]
        with Image.open(drawn[0]) as image:
            assert len(image.convert("RGB").getcolors(2**20)) > 50
            edge = image.convert("RGB").getpixel((4, 2 * image.height // 3))
            assert edge != (255, 255, 255), "frames fill the page from its edge, as in the lessons"
        assert "| all" in (tmp_path / "pages" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "package", "extra"), [("--pictures", "matplotlib", "experiments"), ("--baselines", "scipy", "data")]
)
def test_a_package_that_an_option_needs_is_asked_for_before_the_work(
    monkeypatch, capsys, tmp_path, root_of, option, package, extra
):
    for module in [name for name in sys.modules if name.partition(".")[0] == package] + [package]:
        monkeypatch.setitem(sys.modules, module, None)
    masks = write_truth(tmp_path / "masks", "a2d", data_set("a2d", root_of("a2d")))
    monkeypatch.setattr(evaluation, "protocol_for", lambda *_: pytest.fail("the work has begun"))
    out = tmp_path / "out"
    more = ["--json", out / "r.json", "--save-masks", out / "masks", option, *([out / "p"] * (option == "--pictures"))]
    with pytest.raises(SystemExit, match="1"):
        command(monkeypatch, *options_for("a2d", root_of("a2d"), "--masks", masks, *more))
    error = capsys.readouterr().err
    assert error.startswith(f"error: {option} needs the package {package}: pip install 'dtse[{extra}] @ ")
    assert error.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize("source", ["checkpoint", "masks"])
def test_pictures_that_cannot_be_drawn_cost_neither_scores_nor_masks(
    monkeypatch, capsys, tmp_path, checkpoint, root_of, source
):
    given = checkpoint if source == "checkpoint" else tmp_path / "truth"
    write_truth(tmp_path / "truth", "jhmdb", data_set("jhmdb", root_of("jhmdb")))
    options = options_for("jhmdb", root_of("jhmdb"), f"--{source}", given)
    command(monkeypatch, *options, "--json", tmp_path / "r.json", "--save-masks", tmp_path / "kept")
    expected, table = (tmp_path / "r.json").read_bytes(), capsys.readouterr().out.partition("written")[0]

    def fail(*_):
        raise OSError("no picture today")

    monkeypatch.setattr(pictures, "show_prediction", fail)
    for more in (["--save-masks", tmp_path / "b/kept"], []):  # without, a checkpoint's masks are on the way only
        out = tmp_path / ("b" if more else "c")
        with pytest.raises(SystemExit, match="1"):
            command(monkeypatch, *options, "--json", out / "r.json", "--pictures", out / "pictures", *more)
        said, error = capsys.readouterr()
        assert said == table and error.endswith("error: no picture today\n")
        assert (out / "r.json").read_bytes() == expected
        assert {path.name for path in out.iterdir()} == {"r.json", *(["kept"] if more else [])}
    masks = {path.relative_to(tmp_path / "kept"): path.read_bytes() for path in (tmp_path / "kept").rglob("*.png")}
    kept = tmp_path / "b/kept"
    assert masks and {path.relative_to(kept): path.read_bytes() for path in kept.rglob("*.png")} == masks


def test_some_of_a_data_set_holds_all_that_takes_turns_in_it():
    """The toy world's kinds of evidence take turns: 200 of 500 clips at an even stride hold one of `direction`."""
    clips = ToyWorld("test", 500)
    kinds = Counter(k % 5 for k in some_of(clips, 200))
    assert sorted(kinds) == list(range(5)) and min(kinds.values()) > 30
    assert some_of(clips, 200) == some_of(clips, 200) == sorted(set(some_of(clips, 200)))
    assert some_of(clips, 1000) == list(range(500))


def test_two_processes_give_the_result_of_one(monkeypatch, tmp_path, checkpoint, root_of):
    arguments = options_for("a2d", root_of("a2d"), "--checkpoint", checkpoint, "--batch", "2")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the launcher has it: sums depend on it in the last digit
    command(monkeypatch, *arguments, "--json", tmp_path / "one.json", "--save-masks", tmp_path / "one")
    torch.set_num_threads(threads)
    launch = "torch.distributed.run --nproc_per_node 2 -m dtse_core.evaluate"
    launch = [sys.executable, "-m", *launch.split()]
    arguments = [*map(str, arguments), "--json", str(tmp_path / "two.json"), "--save-masks", str(tmp_path / "two")]
    done = subprocess.run([*launch, *arguments], capture_output=True, encoding="utf-8", timeout=580)
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    assert {k: v for k, v in one.items() if k != "versions"} == {k: v for k, v in two.items() if k != "versions"}
    hashes = [MaskReader(tmp_path / name, "a2d").sha256() for name in ("one", "two")]
    assert hashes[0] == hashes[1] and done.stdout.count("split test") == 1
