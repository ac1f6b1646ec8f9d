"""The diagrams, one a component, the opening film and the study: stored as their scripts draw them, held by their
notebooks, and readable on light and dark pages."""

import base64
import io
import re
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image, ImageSequence

from figures import make_data, make_encoder, make_model, make_opening, make_study

ROOT = Path(__file__).resolve().parents[2]
DRAWN = {  # name: (module that draws it, notebook that shows it)
    **{name: (make_encoder, stem) for name, stem in make_encoder.NOTEBOOKS.items()},
    **{name: (make_model, stem) for name, stem in make_model.NOTEBOOKS.items()},
    "data": (make_encoder, make_data.NOTEBOOK),
}


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def held(stem: str, name: str) -> bytes:
    """The picture that a notebook holds under that name."""
    cells = nbformat.read(ROOT / f"notebooks/{stem}.ipynb", as_version=4).cells
    [cell] = [c for c in cells if name in c.get("attachments", {})]
    assert f"](attachment:{name})" in cell.source
    return base64.b64decode(next(iter(cell.attachments[name].values())))


def test_each_component_of_01_to_07_has_a_diagram():
    assert sorted(stem[:2] for _, stem in DRAWN.values()) == ["01", "02", "03", "04", "05", "06", "07"]
    assert {f"{name}.svg" for name in DRAWN} == {p.name for p in (ROOT / "figures").glob("*.svg")}


@pytest.mark.parametrize("name", DRAWN)
def test_the_stored_diagram_is_the_one_that_the_script_draws(name, tmp_path):
    module, stem = DRAWN[name]
    picture = module.draw(name, tmp_path)
    drawn, stored = ((folder / f"{name}.svg").read_text(encoding="utf-8") for folder in (tmp_path, ROOT / "figures"))
    words = re.findall(r">([^<>\n]+)</(?:text|tspan)>", drawn)
    assert len(words) > 8 and re.findall(r">([^<>\n]+)</(?:text|tspan)>", stored) == words
    assert not re.search(r"<path[^>]*fill: #ffffff", drawn), "the ground must be transparent"
    assert len(picture) < 60_000
    shown = pixels(held(stem, f"{name}.png"))
    assert shown.shape == pixels(picture).shape and np.abs(shown - pixels(picture)).mean() < 1


def contrast(one: str, other: str) -> float:
    """WCAG's ratio, from 1 (the same) to 21 (black on white)."""
    linear = [[x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(c)] for c in (one, other)]
    low, high = sorted(np.array(linear) @ (0.2126, 0.7152, 0.0722))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert round(contrast("black", "white")) == 21 and contrast("red", "red") == 1
    assert round(contrast("#777777", "white"), 2) == 4.48  # the standard's own example of a near miss


@pytest.mark.parametrize("name", DRAWN)
def test_words_and_arrows_stand_out_on_their_box_and_on_light_and_dark_pages(name):
    figure, ax = plt.subplots()
    DRAWN[name][0].DIAGRAMS[name][0](ax)
    boxes = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    for word in (t for t in ax.texts if t.get_text()):
        x, y = word.get_position()
        under = [b.get_facecolor() for b in boxes if b.get_path().get_extents().contains(x, y)]
        for ground in under or ("white", "#0d1117"):
            assert contrast(word.get_color(), ground) > 3, f"{word.get_text()!r} on {ground}"
    for arrow in (p for p in ax.patches if isinstance(p, FancyArrowPatch)):
        assert min(contrast(arrow.get_edgecolor(), ground) for ground in ("white", "#0d1117")) > 3
    plt.close(figure)


def test_the_opening_film_is_drawn_by_its_script_and_its_masks_follow_the_words(tmp_path):
    found = make_opening.draw_opening(tmp_path / "film.gif")
    assert min(found.values()) > 0.8 and list(found) == ["the black car", "the white car", "the cat"]
    stored = (ROOT / "figures/opening.gif").read_bytes()
    assert held(make_opening.NOTEBOOK, "opening.gif") == stored and len(stored) < 80_000
    films = [
        np.stack([np.asarray(page.convert("RGB")).astype(int) for page in ImageSequence.Iterator(Image.open(film))])
        for film in (tmp_path / "film.gif", ROOT / "figures/opening.gif")
    ]
    assert films[0].shape == films[1].shape and np.abs(films[0] - films[1]).mean() < 2


def test_the_pictures_of_the_study_are_drawn_from_its_tables(tmp_path):
    make_study.draw(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["learning_curves.png", "study.png"]
    for file in tmp_path.iterdir():
        drawn, stored = (pixels((folder / file.name).read_bytes()) for folder in (tmp_path, ROOT / "figures"))
        assert drawn.shape == stored.shape and np.abs(drawn - stored).mean() < 0.2, file.name
