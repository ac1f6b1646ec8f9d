"""The page of film strips says and shows what the diagnostic world draws."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dtse_core.data.toy.level2.cast import KINDS
from dtse_core.data.toy.level2.facts import Facts
from dtse_core.data.toy.level2.programs import from_json, targets, to_json
from dtse_core.data.toy.level2.slices import THEMES
from figures import make_strips

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/strips.md").read_text(encoding="utf-8")
STRIPS = {strip.name: strip for _, _, strips in make_strips.sections() for strip in strips}
AGAIN = "python -m figures.make_strips"


def test_the_page_has_every_kind_and_slice_in_the_words_of_the_world(tmp_path, monkeypatch):
    monkeypatch.setattr(make_strips, "draw", lambda *_: None)
    make_strips.write(tmp_path)
    assert (tmp_path / "docs/strips.md").read_text(encoding="utf-8") == PAGE, AGAIN
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE) == [*KINDS, *(f"The slice {name}" for name in THEMES)]
    for strip in STRIPS.values():
        meant = targets(strip.sentence.program, Facts(strip.scene))
        assert meant == strip.sentence.targets and f"**{strip.sentence.text}**" in PAGE


@pytest.mark.parametrize("name", STRIPS)
def test_a_strip_outlines_whom_the_sentence_means_in_frames_of_the_world(name):
    strip = STRIPS[name]
    frames, ids = strip.frames()
    shown = np.asarray(Image.open(ROOT / f"figures/strips/{name}.png").convert("RGB")).astype(int)
    height, width = (size + make_strips.GAP for size in make_strips.SIZE)
    for k, (frame, one) in enumerate(zip(frames, ids, strict=True)):
        y, x = k // make_strips.COLUMNS * height, k % make_strips.COLUMNS * width
        apart = np.abs(shown[y : y + height - make_strips.GAP, x : x + width - make_strips.GAP] - frame).max(2)
        mask = np.isin(one, strip.sentence.targets)
        grown = np.pad(mask, 3)
        near = np.any([grown[i : i + len(mask), j : j + mask.shape[1]] for i in range(7) for j in range(7)], 0)
        changed = apart > 40
        assert not (changed & ~(near & ~mask)).any(), f"frame {k} is not as drawn outside of the line: {AGAIN}"
        assert changed.any() == mask.any(), f"frame {k}: {AGAIN}"


def test_the_strips_of_a_slice_differ_as_they_say():
    def pair(name, one, two):
        a, b = STRIPS[f"{name}_{one}"], STRIPS[f"{name}_{two}"]
        assert a.sentence.targets != b.sentence.targets
        return a, b, [x.sentence.text.split() for x in (a, b)]

    a, b, (here, there) = pair("guidance", 0, 1)
    assert a.scene == b.scene and sum(x != y for x, y in zip(here, there, strict=True)) == 1
    for name in ("guidance", "coherence", "scale"):
        a, b, (here, there) = pair(name, 0, 2)
        assert a.scene != b.scene and here == there
    a, b, (here, there) = pair("granularity", 0, 1)
    assert a.scene == b.scene and sorted(here) == sorted(there)
    a, b, _ = pair("coherence", 0, 2)
    assert all(np.array_equal(x, y[::-1]) for x, y in zip(a.frames(), b.frames(), strict=True))


def test_a_program_is_read_as_the_page_explains():
    said = {
        "first(hides, cat & does(hides))": ["nth", "hides", 0, ["and", ["kind", "cat"], ["does", "hides"]]],
        "both(car)": ["only", 2, ["and", ["kind", "car"]]],
        "all(car & not(does(moves)))": ["only", 0, ["and", ["kind", "car"], ["not", ["does", "moves"]]]],
        "ball & red & left of(dog & chases(cat))": [
            "and",
            ["kind", "ball"],
            ["color", "red"],
            ["related", "left of", ["and", ["kind", "dog"], ["related", "chases", ["and", ["kind", "cat"]]]]],
        ],
    }
    for text, tree in said.items():
        assert to_json(from_json(tree)) == tree and make_strips.readable(tree) == text
