"""Trained methods on the diagnostic world: the recipe of the study, every window answered, the documented table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dtse_core.config import DataConfig, from_dict, to_dict
from dtse_core.data.batch import collate_clips
from dtse_core.data.build import build_dataset
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.decoder import resize_logits

ROOT = Path(__file__).parents[2]


@pytest.fixture
def diagnostic(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import diagnostic

    return diagnostic


def test_the_recipe_is_that_of_the_study_on_another_level(diagnostic):
    runs = pd.read_csv(ROOT / "dtse_core" / "experiments" / "study" / "runs.csv")
    of = runs[(runs["variant"] == "late concatenation") & (runs["budget"] == "steps") & (runs["SEED"] == 0)]
    studied = to_dict(from_dict(json.loads(of["config"].item())))
    ours = to_dict(diagnostic.recipe("late_concat", Path("here"), steps=600))
    differs = {name for name in ours if ours[name] != studied[name]}
    assert {name for name in differs if not name.startswith(("train.log", "train.eval", "train.checkpoint"))} == {
        *("data.level", "data.cache", "out"),
        "data.val_split",  # the study named val, which is what leaving it empty means
    }


def test_a_baseline_answers_each_frame_as_it_answers_its_window_alone(diagnostic, tmp_path):
    write_toy(tmp_path / "world", {"test": 1}, "mevis", level=2, height=32, width=48)
    config = diagnostic.recipe("temporal_duplex", tmp_path, steps=1)
    torch.manual_seed(0)
    model = diagnostic.BASELINES["temporal_duplex"](config.model)
    data = DataConfig("mevis", str(tmp_path / "world"), size=(32, 48), offset=6, level=2)
    answers = diagnostic.WindowAnswers(model, data)
    dataset = build_dataset(data, "test", *answers.window)
    masks = np.stack(list(answers.masks(dataset, dataset.videos)))  # (T, S, H, W)
    assert masks.shape == (len(dataset.videos[0].frames), len(dataset.videos), 32, 48) and masks.shape[1] > 1
    place = {video.expression: s for s, video in enumerate(dataset.videos)}
    for k in range(0, len(dataset), 7):
        clip = dataset[k]
        one = collate_clips([clip], answers.tokenizer, data.size, data.max_words)
        with torch.inference_mode():
            alone = resize_logits(model(one.frames, one.input_ids, one.attention_mask).logits[0], 32, 48) > 0
        t = dataset.videos[0].frames.index(f"{clip.frame_id:05d}")
        assert np.mean(masks[t, place[clip.expression]] != alone.numpy()) < 0.01  # rounding may turn a pixel
    assert 0 < masks.mean() < 1


class Truth:
    """Answers with the truth."""

    absent, window = frozenset(), (1, False)

    def masks(self, dataset, videos):
        for k in range(len(videos[0].frames)):
            yield np.stack([dataset.read_target(video, k)[0] for video in videos])


def test_the_same_command_scores_only_what_it_has_not_scored(diagnostic, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(diagnostic, "trained", lambda method, *more: asked.append(method) or Truth())
    words = ["--out", str(tmp_path / "out"), "--test", "1", "--slice", "1", "--methods"]
    for methods in (["shipped"], ["shipped", "dtse"]):
        result = diagnostic.run(diagnostic.parse_command([*words, *methods]))
        assert list(result["scores"]) == methods
    assert asked == ["shipped", "dtse"]
    one = [1.0, 1.0, 1.0]
    assert all(group["mean_iou"] == one for of in result["scores"]["dtse"].values() for group in of.values())
    rows = [line.split("|")[1:-1] for line in diagnostic.table(result)]
    assert rows[0][2:] == [" shipped ", " dtse "] and rows[4][2] == " 100 (100 to 100) "
    assert set(result["blinded"].values()) <= {0.5}  # of two answers one must be wrong
