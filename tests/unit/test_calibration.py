"""The confidence below which nothing is marked: the best on validation clips, kept and obeyed by the checkpoint."""

import json
import os
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from dtse_core import ReferringVideoPredictor
from dtse_core.checkpoints.find import PACKAGED, checkpoint_folder, model_sha256, read_run_config
from dtse_core.config import preset
from dtse_core.data import build
from dtse_core.data.sentences import load_tokenizer
from dtse_core.evaluate import EvaluateCommand, run_command
from dtse_core.metrics import mean_iou
from dtse_core.model import DTSE
from dtse_core.scoring.calibration import Command, calibrate, emptied, least_confidence, main
from dtse_core.scoring.clips import evaluate
from dtse_core.scoring.records import Sample

TINY = checkpoint_folder("tiny")


def sample(k, confidence, target, answer, both):
    """A sample of masks of so many pixels."""
    return Sample(f"v {k}", "", both, target + answer - both, confidence, target=target)


def samples_at_random(rng):
    """Few different confidences, so that some are equal; targets and answers may be empty."""
    found = [sample(99, 0.8, 0, 3, 0)]  # nothing fits one at least
    for k in range(rng.integers(12)):
        target, answer = (rng.integers(0, 5, 2) * (rng.random(2) < 0.7)).tolist()
        both = int(rng.integers(0, min(target, answer) + 1))
        found.append(sample(k, float(rng.integers(10, 16) / 16) if answer else 0.0, target, answer, both))
    return found


def worth(samples, least):
    """Mean IoU of masks of as many pixels, of which those below the threshold are emptied."""
    pixels, masks, targets = np.arange(99), [], []
    for s in samples:
        answer = (pixels >= s.target - s.intersection) & (pixels < s.union)
        masks.append(answer[None] & (s.confidence >= least))
        targets.append(pixels[None] < s.target)
    return mean_iou(masks, targets)


@pytest.mark.parametrize("seed", range(60))
def test_no_threshold_is_better_and_no_lower_one_as_good(seed):
    samples = samples_at_random(np.random.default_rng(seed))
    chosen, levels = least_confidence(samples), sorted({s.confidence for s in samples})
    tried = {least: worth(samples, least) for least in levels}  # each keeps the most confident answer
    first = min(least for least, value in tried.items() if value > max(tried.values()) - 1e-9)
    assert worth(samples, chosen) == pytest.approx(tried[first])
    assert chosen == 0 if first == levels[0] else levels[levels.index(first) - 1] < chosen < first


def test_where_something_is_to_be_marked_everywhere_there_is_nothing_to_choose():
    with pytest.raises(ValueError, match="every sample has something to mark"):
        least_confidence([sample(1, 0.6, 3, 3, 0), sample(2, 0.9, 3, 3, 3)])


def test_an_evaluation_marks_nothing_below_the_threshold_and_all_the_rest_as_ever(monkeypatch):
    monkeypatch.setattr(build, "HELD_OUT", 13)  # a sentence of each kind
    data = replace(preset("tiny").data, level=2, size=(32, 48))
    dataset, tokenizer = build.build_dataset(data, "val", 3), load_tokenizer("tiny-bert", level=1)
    about = DTSE.from_pretrained(TINY), dataset, tokenizer, data.size, torch.device("cpu")
    before, masks = evaluate(*about), {}
    least = float(np.median([s.confidence for s in before]))
    after = evaluate(*about, on_mask=lambda clip, mask: masks.update({clip.sample_id: mask.any()}), least=least)
    assert after == emptied(before, least) != before
    assert masks == {s.sample_id: s.confidence >= least for s in before}


def test_a_stream_marks_nothing_below_the_threshold_and_all_the_rest_as_ever():
    predictor, said = ReferringVideoPredictor.from_pretrained(TINY, "cpu"), ["the dog", "the red car"]
    frames = np.random.default_rng(0).integers(0, 256, (6, 40, 60, 3), np.uint8)
    before, rejected = list(predictor.stream(frames, said)), 0
    predictor.least = float(np.median([step.confidence for step in before]))
    for old, new in zip(before, predictor.stream(frames, said), strict=True):
        for k, sure in enumerate(old.confidence >= predictor.least):
            assert (new.logits[k] == (old.logits[k] if sure else -np.abs(old.logits[k]))).all()
            assert new.confidence[k] == (old.confidence[k] if sure else 0)
            assert (new.masks[k] == (new.logits[k] > 0)).all()
            rejected += not sure and old.masks[k].any()
    assert rejected


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(TINY, tmp_path / "copy")


def test_the_command_keeps_its_choice_in_the_checkpoint_which_answers_by_it_ever_after(copy, monkeypatch, capsys):
    monkeypatch.setattr(build, "HELD_OUT", 26)
    options = f"--checkpoint {copy} --data.level 2 --data.size 32 48 --samples 20"
    monkeypatch.setattr(sys, "argv", ["calibration", *options.split()])
    main()
    said = capsys.readouterr().out
    run = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    least = run.pop("least_confidence")
    assert 0 < least < 1 and all(f"| {row} | 20 |" in said for row in ("as it was", f"confidence at least {least:.3f}"))
    assert run == json.loads((TINY / "run.json").read_text(encoding="utf-8"))
    assert ReferringVideoPredictor.from_pretrained(copy, "cpu").least == least
    assert model_sha256(copy) != model_sha256(TINY)

    data = replace(read_run_config(copy).data, level=2, size=(32, 48))
    new, old = (run_command(EvaluateCommand(str(folder), split="val", data=data)) for folder in (copy, TINY))
    assert new["least_confidence"] == least and "least_confidence" not in old
    for one, other in zip(new["samples"], old["samples"], strict=True):
        assert one == other if other["confidence"] >= least else one["confidence"] == 0
    now, before = (result["diagnosis"]["all"]["metrics"]["rejected"] for result in (new, old))
    assert now > before


def test_what_ships_with_the_package_or_lies_in_a_cache_is_not_changed(copy, tmp_path):
    (copy / "run.json").rename(tmp_path / "blob")
    (copy / "run.json").symlink_to(tmp_path / "blob")
    (tmp_path / "link").symlink_to(PACKAGED)
    for name in ("tiny", str(copy), os.path.relpath(PACKAGED / "tiny"), str(tmp_path / "link" / "tiny")):
        with pytest.raises(ValueError, match="stays as it is; calibrate a copy of it"):
            calibrate(Command(name))


@pytest.mark.parametrize("wrong", ["x", None, -0.1, 1.5, [0.5]])
def test_a_threshold_that_cannot_be_is_refused_by_its_file(copy, wrong):
    run = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    (copy / "run.json").write_text(json.dumps(run | {"least_confidence": wrong}), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"run.json does not tell .*: least_confidence is .*; copy the checkpoint again"
    ):
        ReferringVideoPredictor.from_pretrained(copy, "cpu")
