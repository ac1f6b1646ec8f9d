"""The evaluation command, with stand-in models whose right answer is known, and end to end on a toy world."""

import dataclasses
import json
import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from dtse_core import evaluate as module
from dtse_core.checkpoint import checkpoint_sha256, write_json
from dtse_core.config import from_dict, preset, to_dict
from dtse_core.data import build
from dtse_core.data.baselines import constant_baselines, largest_moving
from dtse_core.data.clip import ReferringClip
from dtse_core.data.collate import load_tokenizer
from dtse_core.evaluate import Sample, evaluate, format_table, has_twins, main, parse_command, summarize
from dtse_core.metrics import P_AT
from dtse_core.model import DTSE
from dtse_core.viz import EVIDENCE

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
    return load_tokenizer("tiny-bert")


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
    assert module.twins_accuracy(samples) == 0.5
    assert module.twins_accuracy(samples[:1]) == 1
    assert module.twins_accuracy(samples[1:]) == 0
    flat = run(Constant(torch.zeros(16, 24)), clips[:1])
    assert module.twins_accuracy(flat) == 0.5  # a tie
    assert module.twins_accuracy(flat + samples[:1] * 3) == 0.875


def test_a_twin_that_is_hidden_does_not_count(run):
    samples = run(Reader(), [make_clip(0, square(*SIZE, 4, 2), twin_mask=np.zeros(SIZE, bool))])
    assert samples[0].on_twin is None
    with pytest.raises(ValueError, match="no samples with a visible twin"):
        module.twins_accuracy(samples)


# The summary


def sample(k, intersection, union, confidence=0.5, evidence=None):
    return Sample(f"v_{k:02}_f_1_i_1", "the dog", intersection, union, confidence, evidence)


SAMPLES = [sample(0, 8, 8, 0.9), sample(1, 6, 10, 0.8), sample(2, 4, 8, 0.7), sample(3, 0, 8, 0.0)]


def test_worked_example_of_the_protocol():
    metrics = summarize(SAMPLES)["metrics"]
    assert set(metrics) == METRICS
    expected = {"mean_iou": 0.525, "overall_iou": 18 / 34, "P@0.5": 0.75, "P@0.6": 0.5, "P@0.7": 0.25}
    expected |= {"AP_mean_precision": 0.35, "mAP_coco": 360 / 1010}
    assert {k: metrics[k] for k in expected} == pytest.approx(expected, abs=1e-12)
    assert summarize(SAMPLES, compare=">")["metrics"]["AP_mean_precision"] == pytest.approx(0.30)


def test_order_of_samples_does_not_matter_to_the_summary():
    rng = random.Random(0)
    samples = [sample(k, rng.randrange(9), 8 + rng.randrange(4), rng.randrange(3) / 4) for k in range(30)]
    shuffled = rng.sample(samples, len(samples))
    assert summarize(shuffled) == summarize(samples)  # equal confidences rank by id


def test_kinds_of_evidence_partition_the_samples():
    kinds = ["direction", "appearance", "action", "appearance", "direction", "appearance"]
    samples = [sample(k, k, 8, k / 8, evidence) for k, evidence in enumerate(kinds)]
    groups = summarize(samples)["by_evidence"]
    assert list(groups) == ["appearance", "action", "direction"]
    assert {k: g["count"] for k, g in groups.items()} == {"appearance": 3, "action": 1, "direction": 2}
    mean = sum(g["mean_iou"] * g["count"] for g in groups.values()) / 6
    assert mean == pytest.approx(summarize(samples)["metrics"]["mean_iou"])
    assert groups["action"]["mean_iou"] == 0.25


def test_what_does_not_apply_is_absent():
    result = summarize(SAMPLES)
    assert set(result) == {"metrics", "compare", "confidence_rank_correlation", "samples"}
    assert set(result["samples"][0]) == {"sample_id", "expression", "intersection", "union", "confidence"}
    assert "confidence_rank_correlation" not in summarize(SAMPLES[:1])


def test_evidence_is_listed_in_one_order_everywhere():
    from dtse_core.data.toy_world import EVIDENCE as drawn

    assert tuple(EVIDENCE) == tuple(drawn)


def test_table_prints_percent_with_one_decimal():
    samples = [dataclasses.replace(s, evidence="action") for s in SAMPLES]
    result = summarize(samples) | {"twins_accuracy": 0.515, "baselines": {"largest_moving": 0.3333}}
    head, everything, action, baseline, twins = format_table(result).splitlines()
    assert "P@0.5 (>=)" in head
    assert head.index("AP (mean P)") < head.index("mAP_coco (top-1)")
    assert everything.split() == ["all", "4", "52.5", "52.9", "75.0", "50.0", "25.0", "25.0", "25.0", "35.0", "35.6"]
    assert action.split()[1:] == everything.split()[1:]
    assert baseline.split() == ["baseline:", "largest", "moving", "33.3"]
    assert twins == "twins told apart: 51.5 (chance 50.0)"
    assert "P@0.5 (mttr)" in format_table(summarize(SAMPLES, compare="mttr"))


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
    write_json(folder / "final" / "run.json", to_dict(config))
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
    result, out = json.loads(file.read_text()), capsys.readouterr().out
    assert set(result["metrics"]) == METRICS
    assert set(result["by_evidence"]) == set(EVIDENCE)
    assert 0 <= result["twins_accuracy"] <= 1
    assert set(result["baselines"]) == {"everything", "nothing", "largest_moving"}
    assert sum(g["count"] for g in result["by_evidence"].values()) == len(result["samples"])
    assert result["checkpoint_sha256"] == checkpoint_sha256(checkpoint / "final")
    assert {"python", "torch", "transformers", "numpy", "dtse"} <= set(result["versions"])
    config = from_dict(result["config"])
    assert (config.data.name, config.data.root, config.data.offset) == ("a2d", str(toy_a2d_root), 4)
    assert (result["split"], result["compare"]) == ("test", ">=")
    total = sum(s["intersection"] for s in result["samples"]) / sum(s["union"] for s in result["samples"])
    assert result["metrics"]["overall_iou"] == pytest.approx(total)
    assert f"{100 * result['metrics']['mean_iou']:.1f}" in out and "P@0.5 (>=)" in out and "twins told apart" in out
    assert [p.name for p in file.parent.iterdir()] == ["result.json"]


def test_a_root_without_toy_listing_has_neither_evidence_nor_twins(monkeypatch, tmp_path, checkpoint, toy_a2d_root):
    root, file = tmp_path / "a2d", tmp_path / "r.json"
    root.mkdir()
    for name in ("Release", "text_annotations"):
        (root / name).symlink_to(toy_a2d_root / name)
    blank = Constant(torch.full((4, 6), 1.0))
    blank.config = preset("tiny").model
    monkeypatch.setattr(module.DTSE, "from_pretrained", lambda folder: blank)
    options = ["--checkpoint", checkpoint, "--data.name", "a2d", "--data.root", root, "--split", "train"]
    with pytest.warns(UserWarning, match="integer instance"):  # the genuine file has an odd row
        command(monkeypatch, *options, "--json", file)
    result = json.loads(file.read_text())
    assert not {"by_evidence", "twins_accuracy", "baselines"} & set(result)
    assert all(s["union"] == 64 * 96 for s in result["samples"])
    assert result["metrics"]["P@0.5"] == 0


def test_the_toy_world_in_memory_is_the_default(monkeypatch, capsys, checkpoint):
    calls = []
    monkeypatch.setattr(build, "HELD_OUT", 5)
    monkeypatch.setattr(module, "evaluate", lambda *a, **k: calls.append(len(a[1])) or evaluate(*a, **k))
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
        (["--checkpoint", "RUN", "--splt", "test"], 2, "--split"),
        (["--checkpoint", "RUN", "--batch", "many"], 2, "batch"),
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
    options = {"checkpoint": "a run folder", "split": "train or test", "json": "file for the result"}
    options |= {"compare": "of P@K", "baselines": "also score everything", "batch": "clips at a time"}
    options |= {"device": "cpu, cuda, or auto", "data.name": "drawn in memory", "data.root": "the data set's folder"}
    for option, words in options.items():
        assert f"--{option}" in out
        assert words in out


def test_the_module_runs_as_a_command_without_traceback(tmp_path):
    arguments = [sys.executable, "-m", "dtse_core.evaluate", "--checkpoint", "no_such_run"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: no checkpoint 'no_such_run'") and done.stderr.count("\n") == 1


def test_only_toy_worlds_with_such_clips_have_twins(tmp_path, toy_a2d_root):
    data = preset("tiny").data
    assert has_twins(data)
    assert has_twins(dataclasses.replace(data, name="a2d", root=str(toy_a2d_root)))
    assert not has_twins(dataclasses.replace(data, name="a2d", root=str(tmp_path)))
    write_json(tmp_path / "toy_world.json", {"splits": {"test": ["a"], "twins": []}})
    assert not has_twins(dataclasses.replace(data, name="a2d", root=str(tmp_path)))
