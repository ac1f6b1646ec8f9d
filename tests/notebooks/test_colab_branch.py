"""Notebook 08 in the colab profile: pretrained streams trained on an A2D root, without hub and GPU.

The hub's cache is filled with small networks under the names that the preset asks for; everything else is the preset's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel

from dtse_core.data.sentences import load_tokenizer
from dtse_core.streams import ARCHITECTURES

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "08_train_a_subset.ipynb"
# what two steps at random weights, and the two held-out clips of this world, cannot fulfill
LEARNING = {
    "the loss on one clip falls by more than 90 %",
    "the shipped model reads",
    "and beats the best constant mask",
}
RUN = """
import contextlib, io, json, sys
import nbformat
from dtse_core import config
from dtse_core.notebook import lesson
config.PRESETS["colab"] |= {"data.size": (64, 96), "data.workers": 0, "train.batch": 2}
claims = {}
lesson.check = lambda condition, claim: claims.update({claim: bool(condition)})
space = {}
for cell in nbformat.read(sys.argv[1], as_version=4).cells:
    tags = cell.metadata.get("tags", [])
    if cell.cell_type != "code" or "%pip" in cell.source:
        continue
    exec(cell.source.replace("(2e-4, 300)", "(2e-4, 2)").replace("steps=30", "steps=5"), space)
    if "parameters" in tags:
        space |= {"PROFILE": "colab", "DATA_ROOT": sys.argv[2], "DEVICE": "cpu", "MINUTES": 0.05, "OUT": sys.argv[3]}
    if "final = trainer.train(" in cell.source:
        training, model = cell.source, space["watch"].model
with contextlib.redirect_stdout(io.StringIO()) as again:
    exec(training, space)
print(json.dumps({
    "claims": claims,
    "streams": [model.config.visual, model.config.text, model.config.pretrained],
    "data": type(space["training"]).__name__,
    "steps": space["steps"],
    "again": again.getvalue(),
    "asked": [[clip.sample_id, clip.expression] for clip in space["asked"]],
    "loaded": float(model.encoder.visual.resnet.embedder.embedder.convolution.weight.abs().mean()),
}))
"""


def put_into_cache(cache: Path, name: str, *parts) -> None:
    """What a download of the hub's repository `name` leaves behind."""
    home = cache / "hub" / f"models--{name.replace('/', '--')}"
    for part in parts:
        part.save_pretrained(home / "snapshots" / ("0" * 40))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40, encoding="utf-8")


@pytest.mark.slow
def test_the_colab_profile_trains_pretrained_streams_on_an_a2d_root(tmp_path, toy_a2d_root):
    torch.manual_seed(0)
    resnet = ResNetModel(ResNetConfig(**ARCHITECTURES["tiny-resnet"]))
    resnet.embedder.embedder.convolution.weight.data.fill_(0.125)
    put_into_cache(tmp_path / "cache", "microsoft/resnet-50", resnet)
    bert = BertModel(BertConfig(**ARCHITECTURES["tiny-bert"]))
    put_into_cache(tmp_path / "cache", "bert-base-uncased", bert, load_tokenizer("tiny-bert", 1))
    more = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "DTSE_HEADLESS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, NOTEBOOK, toy_a2d_root, tmp_path / "kept"],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | more,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["streams"] == ["microsoft/resnet-50", "bert-base-uncased", True] and told["data"] == "A2DSentences"
    assert abs(told["loaded"] - 0.125) < 0.01  # the cache's weights, a few small steps later
    assert (tmp_path / "kept/final/model.safetensors").is_file()  # where OUT says
    assert told["steps"] and "kept is finished" in told["again"]  # and the same cell goes on from there
    assert {claim for claim, holds in told["claims"].items() if not holds} <= LEARNING
    assert len({*map(tuple, told["asked"])}) == len(told["asked"]) > 0  # no window is watched twice
    assert any(claim.startswith("the loss of steps 21 to 30 comes back") for claim in told["claims"])
