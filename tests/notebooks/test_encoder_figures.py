"""The encoder's diagrams: stored as the script draws them, readable on dark pages, and shown by their notebooks."""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from figures.make_encoder import DIAGRAMS, NOTEBOOKS, draw

ROOT = Path(__file__).resolve().parents[2]


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_stored_diagram_is_the_one_that_the_script_draws(name, tmp_path):
    picture = draw(name, tmp_path)
    drawn, stored = ((folder / f"{name}.svg").read_text() for folder in (tmp_path, ROOT / "figures"))
    words = re.findall(r">([^<>\n]+)</text>", drawn)
    assert len(words) > 8 and re.findall(r">([^<>\n]+)</text>", stored) == words
    assert "fill: #ffffff" not in drawn.partition("<text")[0], "the ground must be transparent"
    assert len(picture) < 60_000

    cells = nbformat.read(ROOT / f"notebooks/{NOTEBOOKS[name]}.ipynb", as_version=4).cells
    [held] = [c.attachments[f"{name}.png"]["image/png"] for c in cells if f"{name}.png" in c.get("attachments", {})]
    shown = pixels(base64.b64decode(held))
    assert shown.shape == pixels(picture).shape and np.abs(shown - pixels(picture)).mean() < 1
