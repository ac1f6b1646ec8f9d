"""The checkpoint in the package is the one that its card describes, and scores what the card says."""

import json
import re
from pathlib import Path

import pytest
import torch

from dtse_core import DTSE
from dtse_core.checkpoints.find import checkpoint_folder, checkpoint_sha256
from dtse_core.config import preset, to_dict
from dtse_core.data import ToyWorld
from dtse_core.data.sentences import load_tokenizer
from dtse_core.scoring.clips import evaluate
from dtse_core.scoring.summary import summarize, twins_accuracy
from dtse_core.shared.files import read_json
from dtse_core.train import parse_command

TINY = checkpoint_folder("tiny")
CARD = (TINY / "README.md").read_text(encoding="utf-8")


def test_the_card_names_these_very_weights_and_they_are_small():
    assert re.search(r"SHA-256 of `model.safetensors`: `(\w{64})`", CARD)[1] == checkpoint_sha256(TINY)
    assert sum(file.stat().st_size for file in TINY.iterdir()) < 12e6


def test_the_results_page_has_the_figures_of_the_card():
    page = (Path(__file__).parents[2] / "docs/results.md").read_text(encoding="utf-8")
    section = page[page.index("## The shipped checkpoint") : page.index("## Real videos")]
    said, shown = (
        {name: figures for name, *figures in ([c.strip(" *") for c in line.split("|")[1:-1]] for line in lines)}
        for lines in ([x for x in text.splitlines() if x.startswith("| ")] for text in (CARD, section))
    )
    rows = {name: figures for name, figures in said.items() if name and name in shown and figures[2]}
    assert len(rows) == 7
    for name, (samples, iou, precision, *_) in rows.items():
        assert shown[name][0] == samples
        assert [float(shown[name][k]) for k in (1, 3)] == pytest.approx([100 * float(iou), 100 * float(precision)])
    for share in re.search(r"told apart: (\S+) of \d+ from mp4, (\S+) of", CARD).groups():
        assert f"{100 * float(share):.1f} % of" in section


def test_the_card_s_two_commands_are_the_recipe_that_made_them():
    """The settings of each run are the preset's and what its command says."""
    free = {"out", "drawn", "train.eval_every", "train.eval_samples", "train.checkpoint_every"}  # of no weight
    commands = re.findall(r"python -m dtse_core\.train (--[^`]+)`", CARD)
    assert len(commands) == 2
    for command, file in zip(commands, (TINY / "start" / "run.json", TINY / "run.json"), strict=True):
        made, said = read_json(file), to_dict(parse_command(command.split()))
        known = {k: v for k, v in said.items() if k not in free}
        assert json.loads(json.dumps(known)) == {k: made.get(k, v) for k, v in known.items()}
        assert made.keys() <= said.keys() | free


def test_scoring_again_gives_the_card_s_figures():
    said = re.search(
        r"first (\d+) of these clips: mean IoU (0\.\d+), P@0\.5 (0\.\d+|1\.0+), (0\.\d+|1\.0+) of (\d+) twins", CARD
    )
    model, tokenizer, size = DTSE.from_pretrained(TINY), load_tokenizer(str(TINY), 1), preset("tiny").data.size
    world = ToyWorld("test", int(said[1]), height=size[0], width=size[1])
    samples = evaluate(model, world, tokenizer, size, torch.device("cpu"), progress=False)
    metrics = summarize(samples)["metrics"]
    assert metrics["mean_iou"] == pytest.approx(float(said[2]), abs=0.002)
    assert metrics["P@0.5"] == pytest.approx(float(said[3]), abs=0.02)
    assert twins_accuracy(samples) == pytest.approx(float(said[4]), abs=0.03)
    assert sum(sample.on_twin is not None for sample in samples) == int(said[5])
