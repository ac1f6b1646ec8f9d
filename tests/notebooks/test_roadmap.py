"""The map that opens each notebook: drawn by the script, attached as drawn, and lit where the notebook is."""

import base64
import tomllib
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from dtse_core.video.overlay import GUIDANCE, LANGUAGE, MASK, TIME, VISION
from figures.make_roadmap import ARROWS, BOXES, LIT, attach, draw_roadmap

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def maps(path: Path) -> list[tuple[str, bytes]]:
    """(text, attached picture) of the cells tagged `roadmap`."""
    cells = [c for c in nbformat.read(path, as_version=4).cells if "roadmap" in c.metadata.get("tags", [])]
    name = f"roadmap_{path.name[:2]}.png"
    return [(c.source, base64.b64decode(c.get("attachments", {}).get(name, {}).get("image/png", ""))) for c in cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_notebook_holds_its_map_as_drawn(path):
    [(text, picture)] = maps(path)
    number = path.name[:2]
    assert f"](attachment:roadmap_{number}.png)" in text
    assert picture == (ROOT / f"figures/roadmap_{number}.png").read_bytes(), f"python figures/make_roadmap.py {number}"


@pytest.mark.parametrize("number", LIT)
def test_a_palette_keeps_the_hue_of_every_concept(number):
    """A border is thin: a palette of the most frequent colors may leave its hue out."""
    shown = np.asarray(Image.open(ROOT / f"figures/roadmap_{number}.png").convert("RGB")).astype(int)
    for hue in (VISION, LANGUAGE, GUIDANCE, TIME, MASK):
        assert np.abs(shown - 255 * np.array(to_rgb(hue))).max(2).min() < 16, hue


def test_every_lesson_has_a_map_and_every_lit_box_exists():
    lessons = tomllib.loads((ROOT / "notebooks/lessons.toml").read_text(encoding="utf-8"))["lesson"]
    assert list(LIT) == [row["name"][:2] for row in lessons]
    named = {name for lit in LIT.values() for name in lit} | {name for arrow in ARROWS for name in arrow}
    assert named <= set(BOXES)


@pytest.mark.parametrize("number", ["00", "08"])
def test_the_script_draws_the_map_that_is_stored(number, tmp_path):
    draw_roadmap(LIT[number], tmp_path / "map.png")
    drawn, stored = (
        np.asarray(Image.open(p).convert("RGB")).astype(int)
        for p in (tmp_path / "map.png", ROOT / f"figures/roadmap_{number}.png")
    )
    assert drawn.shape == stored.shape and np.abs(drawn - stored).mean() < 1
    other = np.asarray(Image.open(ROOT / "figures/roadmap_04.png").convert("RGB")).astype(int)
    assert np.abs(drawn - other).mean() > 1  # so the comparison tells maps apart


def test_attaching_replaces_the_picture(tmp_path):
    notebook, picture = tmp_path / "07_x.ipynb", tmp_path / "roadmap_07.png"
    cell = nbformat.v4.new_markdown_cell("![map](attachment:roadmap_07.png)", metadata={"tags": ["roadmap"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell("other")]), notebook)
    for content in (b"first", b"second"):
        picture.write_bytes(content)
        attach(picture, notebook)
        assert maps(notebook) == [("![map](attachment:roadmap_07.png)", content)]
    assert "attachments" not in nbformat.read(notebook, as_version=4).cells[1]
