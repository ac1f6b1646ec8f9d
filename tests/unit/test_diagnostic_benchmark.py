"""Trained methods on the diagnostic world: the recipe of the study, plain means as scores, the documented table."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dtse_core.config import from_dict, preset, to_dict
from dtse_core.data import build
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.level2.clips import DiagnosticClips

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


class Everything(torch.nn.Module):
    """Marks all of a frame."""

    config = preset("tiny").model

    def forward(self, frames, input_ids, attention_mask):
        return SimpleNamespace(logits=torch.ones(len(frames), *frames.shape[3:]))


def test_the_same_command_scores_only_what_it_has_not_scored(diagnostic, tmp_path, monkeypatch):
    asked, tokenizer = [], load_tokenizer("tiny-bert", level=2)
    monkeypatch.setattr(build, "HELD_OUT", 13)  # a sentence of each kind
    monkeypatch.setattr(diagnostic, "SPLITS", ("test", "coherence"))
    monkeypatch.setattr(diagnostic, "trained", lambda method, *more: asked.append(method) or (Everything(), tokenizer))
    for methods in (["shipped"], ["shipped", "dtse"]):
        command = diagnostic.parse_command(["--out", str(tmp_path / "out"), "--methods", *methods])
        result = diagnostic.run(command)
        assert list(result["scores"]) == methods
    assert asked == ["shipped", "dtse"]

    for split, of in result["scores"]["dtse"].items():
        clips = DiagnosticClips(split, 13, 0, 64, 96)
        asked_for = [clip.mask for clip in clips if clip.evidence != "control"]
        assert of["all" if split == "test" else "asked"]["count"] == len(asked_for)
        assert of["all" if split == "test" else "asked"]["mean_iou"][0] == round(np.mean(asked_for), 4)
    test = result["scores"]["dtse"]["test"]["all"]
    assert (test["answered"], test["rejected"]) == ([1.0] * 3, [0.0] * 3)  # all of a frame is never the empty answer


def test_a_row_of_the_table_is_a_score_of_each_method_in_percent(diagnostic):
    of = {"all": dict.fromkeys(diagnostic.METRICS, [0.5, 0.4, 0.6]), "control": {"mean_iou": [0.0, 0.0, 0.01]}}
    splits = {split: of | {"asked": {"mean_iou": [0.1 * k, 0.0, 1.0]}} for k, split in enumerate(diagnostic.SPLITS)}
    rows = [line.split(" | ") for line in diagnostic.table({"scores": {"one_idea": splits, "dtse": splits}})]
    assert rows[0] == ["| ", "one idea", "dtse |"]
    assert rows[2] == ["| `test`, mean IoU", "50 (40 to 60)", "50 (40 to 60) |"]
    assert rows[8] == ["| `scale`, mean IoU", "40 (0 to 100)", "40 (0 to 100) |"]
    assert rows[-1] == ["| `scale`, its controls", "0 (0 to 1)", "0 (0 to 1) |"] and len(rows) == 12
