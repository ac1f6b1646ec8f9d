"""Every command that the texts give is taken by the command's own parser, and README's first steps run as pasted."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dtse_core import predict
from dtse_core.data.toy.world import ToyWorld, render
from dtse_core.video.files import EXAMPLE, read_frames, video_info

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def scene():
    """The scene that the shipped clip shows: colors (T, H, W, 3), ids (T, H, W), and an instance for each sentence."""
    world = ToyWorld("twins", 1104, height=96, width=144)
    drawn = world.scene(1103)
    frames, ids = render(drawn, range(drawn.length), 96, 144)
    return frames, ids, {sentence.text: sentence.instance for sentence in drawn.sentences}


def test_the_clip_that_ships_is_small_and_shows_its_scene(scene):
    info = video_info("example")
    assert (info.length, info.fps, info.height, info.width) == (25, 12, 96, 144) and EXAMPLE.stat().st_size < 40_000
    difference = np.abs(read_frames("example", range(25)).astype(int) - scene[0])
    assert difference.mean() < 4, "compressed, and the same pictures"


def test_a_video_of_ones_own_goes_before_the_clip_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "example" / "0.png")
    assert video_info("example").length == 1


def test_readmes_python_runs_as_pasted_in_an_empty_folder_and_its_mask_is_right(tmp_path, monkeypatch, scene):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in code_blocks(README, "python"):
        exec(block, names)
    [picture] = tmp_path.iterdir()
    assert Image.open(picture).n_frames == 25
    result, (_, ids, instances) = names["result"], scene
    truth = ids == instances[result.expression]
    union = (result.masks | truth).sum((1, 2))
    assert ((result.masks & truth).sum((1, 2)) / union).min() > 0.75


def test_readmes_first_command_runs_as_pasted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = next(b for b in code_blocks(README, "bash") if "dtse_core.predict" in b).splitlines()[0]
    arguments = re.findall(r'"[^"]*"|\S+', line)
    monkeypatch.setattr(sys, "argv", [a.strip('"') for a in arguments[2:]])
    predict.main()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"] and video_info(tmp_path / "out.mp4").length == 25
    assert "the dog walking towards the left" in capsys.readouterr().out
