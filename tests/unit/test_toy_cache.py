"""Toy clips kept as files are the clips that were drawn."""

import re
import shutil

import numpy as np
import pytest

from dtse_core.config import DataConfig
from dtse_core.data import ToyWorld
from dtse_core.data.build import build_dataset
from dtse_core.data.toy.cache import KeptToyWorld

SIZE = {"height": 32, "width": 48}


def assert_same_clips(one, other):
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == getattr(other, name).dtype and np.array_equal(value, getattr(other, name)), name
        else:
            assert type(value) is type(getattr(other, name)) and value == getattr(other, name), name


@pytest.fixture
def no_drawing(monkeypatch):
    """After a call of it, nothing can be drawn."""

    def refuse(*_):
        raise AssertionError("drawn again")

    return lambda: monkeypatch.setattr(ToyWorld, "draw", refuse)


@pytest.mark.parametrize("split", ["test", "twins"])
def test_a_clip_is_drawn_once_and_read_the_same(split, tmp_path, no_drawing):
    drawn = [ToyWorld(split, 5, **SIZE)[k] for k in range(5)]
    world = KeptToyWorld(tmp_path, split, 5, **SIZE)
    first = [world[k] for k in range(5)]
    no_drawing()
    second = [KeptToyWorld(tmp_path, split, 5, **SIZE)[k] for k in range(5)]
    for one, two, three in zip(drawn, first, second, strict=True):
        assert_same_clips(one, two)
        assert_same_clips(one, three)


def test_several_sentences_are_kept_beside_the_first(tmp_path, no_drawing):
    drawn = ToyWorld("twins", 1, **SIZE).several(0, 3)
    alone = KeptToyWorld(tmp_path, "twins", 1, **SIZE)[0]
    KeptToyWorld(tmp_path, "twins", 1, **SIZE).several(0, 3)
    no_drawing()
    world = KeptToyWorld(tmp_path, "twins", 1, **SIZE)
    for one, two in zip([*drawn, drawn[0]], [*world.several(0, 3), alone], strict=True):
        assert_same_clips(one, two)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"window": 1}, {"offset": 3}, {"causal": True}, {"height": 48, "width": 72}, {"split": "val"}],
    ids=str,
)
def test_another_world_reads_other_files(change, tmp_path):
    settings = {"split": "train", "length": 1, **SIZE}
    KeptToyWorld(tmp_path, **settings)[0]
    assert_same_clips(KeptToyWorld(tmp_path, **settings | change)[0], ToyWorld(**settings | change)[0])


def test_a_longer_world_shares_the_files_of_a_shorter_one(tmp_path, no_drawing):
    KeptToyWorld(tmp_path, "train", 1, **SIZE)[0]
    no_drawing()
    KeptToyWorld(tmp_path, "train", 9, **SIZE)[0]


def test_a_damaged_file_is_drawn_anew(tmp_path, no_drawing):
    world = KeptToyWorld(tmp_path, "test", 1, **SIZE)
    whole = world[0]
    (file,) = tmp_path.rglob("*.npz")
    for cut in (0, 100, len(file.read_bytes()) // 2):
        file.write_bytes(file.read_bytes()[:cut])
        assert_same_clips(world[0], whole)
    no_drawing()
    assert_same_clips(world[0], whole)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("mask", np.float64, "mask is 2-D float64, expected 2-D bool"),
        ("mask", np.ravel, "mask is 1-D bool, expected 2-D bool"),
        ("twin_mask", np.uint8, "twin_mask is 2-D uint8, expected 2-D bool"),
        ("frames", np.int16, "frames is 4-D int16, expected 4-D uint8"),
        ("current", np.float32, "current is float, expected int"),
        ("expression", np.bytes_, "expression is bytes, expected str"),
    ],
)
def test_a_clip_of_other_types_is_refused_by_its_file_with_the_folder_to_delete(name, change, said, tmp_path):
    world = KeptToyWorld(tmp_path, "twins", 1, **SIZE)
    whole = world[0]
    (file,) = tmp_path.rglob("*.npz")
    with np.load(file) as kept:
        fields = dict(kept)
    np.savez(file, **fields | {name: change(fields[name])})
    with pytest.raises(ValueError, match=re.escape(f"{file} was not written by dtse: {said}; delete the folder ")) as e:
        world[0]
    shutil.rmtree(re.search("the folder (.*), and its clips are drawn again", str(e.value))[1])
    assert_same_clips(world[0], whole)


def test_a_clip_that_does_not_exist_is_refused_as_without_a_cache(tmp_path):
    with pytest.raises(IndexError, match="scene 3 of a toy world of 3 clips"):
        KeptToyWorld(tmp_path, "test", 3, **SIZE)[3]


def test_data_cache_keeps_the_toy_world_s_clips(tmp_path):
    with_cache = build_dataset(DataConfig(name="toy", size=(32, 48), cache=str(tmp_path)), "val", 3)
    without = build_dataset(DataConfig(name="toy", size=(32, 48)), "val", 3)
    assert_same_clips(with_cache[4], without[4])
    assert len(list(tmp_path.rglob("*.npz"))) == 1 and len(with_cache) == len(without)
