"""What every data set answers, and which videos are learned from, which choose the best weights, which are scored."""

import inspect
import pickle
from dataclasses import replace

import numpy as np
import pytest

from dtse_core import data
from dtse_core.config import DATASETS, PRESETS, DataConfig, preset
from dtse_core.data import listing
from dtse_core.data.build import build_dataset, scored_split, training_splits
from dtse_core.data.clip import ClipDataSet, ReferringClip, VideoDataSet
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.level2.slices import THEMES

STORED = sorted(set(DATASETS) - {"toy"})
LEARNED = sorted(set(STORED) - {"jhmdb"})  # J-HMDB has no training part


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Toy worlds by layout: read them, never write to them."""
    folder = tmp_path_factory.mktemp("worlds")
    for name in STORED:
        write_toy(folder / name, {"train": 5, "val": 1, "test": 2}, name, seed=1, height=32, width=48)
    return folder


@pytest.fixture(scope="module")
def genuine(roots, tmp_path_factory):
    """The same without the toy world's own listing, as genuine data is."""
    folder = tmp_path_factory.mktemp("genuine")
    for name in STORED:
        (folder / name).mkdir()
        for entry in (roots / name).iterdir():
            if entry.name != "toy_world.json":
                (folder / name / entry.name).symlink_to(entry)
    return folder


def data_set(root, name: str, split: str = "test", **more) -> ClipDataSet:
    return build_dataset(DataConfig(name=name, root=str(root / name), toy_clips=3, **more), split, window=3)


def video_ids(dataset) -> set[str]:
    if isinstance(dataset, VideoDataSet):
        return {video.video_id for video in dataset.videos}
    return {sample.video for sample in dataset.samples}


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_answers_what_is_asked_of_any(roots, name):
    dataset = data_set(roots, name, offset=0)
    assert isinstance(dataset, ClipDataSet) and type(dataset).__name__ == DATASETS[name].loader
    assert (dataset.window, dataset.offset, dataset.causal, dataset.split) == (3, DATASETS[name].offset, False, "test")
    clip = dataset[0]
    assert isinstance(clip, ReferringClip) and len(clip.frames) == 3 and clip.mask.any()
    about = dataset.videos[0] if isinstance(dataset, VideoDataSet) else clip.video_id
    assert dataset.labelled and isinstance(dataset.version, str) and isinstance(dataset.choices(), dict)
    assert dataset.category(about) is None or isinstance(dataset.category(about), str)
    again = pickle.loads(pickle.dumps(dataset))
    assert len(again) == len(dataset) and np.array_equal(again[0].frames, clip.frames)
    if isinstance(dataset, VideoDataSet):
        assert dataset.annotator(about) in ((0, 1, 2, 3) if name == "ref_davis" else (None,))
        assert all(path.is_file() for path in dataset.frame_paths(about))
        mask, void = dataset.read_target(about, 0)
        assert mask.dtype == bool and (void is None or void.shape == mask.shape)


@pytest.mark.parametrize("name", DATASETS)
def test_a_window_cut_at_another_distance_changes_no_later_one_and_no_choice_of_samples(roots, name):
    near, other, far = (data_set(roots, name, offset=offset) for offset in (1, 1, 4))
    k = 1
    (apart,) = near.several_apart(k, 1, 4)  # before anything else was asked of it
    assert near.offset == 1 and len(near) == len(other)
    clips = (far[i] for i in range(len(far)))
    expected = next(c for c in clips if (c.sample_id, c.expression) == (apart.sample_id, apart.expression))
    assert np.array_equal(apart.frames, expected.frames)
    assert (apart.sample_id, apart.expression) == (other[k].sample_id, other[k].expression)
    assert np.array_equal(near[k].frames, other[k].frames) and (
        name == "refcoco" or not np.array_equal(apart.frames, other[k].frames)
    )
    with pytest.raises(IndexError):
        near.several_apart(len(near), 1, 4)
    assert near.offset == 1


@pytest.mark.parametrize("name", STORED)
def test_the_defaults_of_a_loader_are_those_of_the_table(roots, genuine, name):
    loader, home = getattr(data, DATASETS[name].loader), DATASETS[name]
    given = inspect.signature(loader).parameters
    assert list(given)[:6] == ["root", "split", "window", "offset", "causal", "cache"]
    dataset = loader(roots / name, "test")
    assert (dataset.window, dataset.offset, dataset.causal, dataset.cache) == (3, home.offset, False, "")
    assert scored_split(DataConfig(name=name, root=str(genuine / name))) == home.scored
    assert scored_split(DataConfig(name=name, root=str(roots / name))) == "test"


@pytest.mark.filterwarnings("ignore:.*without an integer instance")
@pytest.mark.parametrize("settings", PRESETS)
@pytest.mark.parametrize("name", LEARNED)
def test_the_best_weights_are_chosen_on_videos_that_are_neither_learned_from_nor_scored(
    genuine, monkeypatch, name, settings
):
    monkeypatch.setattr(listing, "HELD_OUT", 2)  # as the copy is small
    config = preset(settings, **{"data.name": name, "data.root": str(genuine / name)}).data
    train, val = (video_ids(build_dataset(config, split, 1)) for split in training_splits(config))
    whole = video_ids(build_dataset(config, "train", 1))
    whole |= video_ids(build_dataset(config, "val", 1)) if name == "own" else set()  # one has a val of one's own
    assert train and val and not train & val and train | val == whole
    assert training_splits(config) == ("local-train", "local-val")
    if name != "refer_youtube_vos":  # which is scored on local-val, as it publishes no other masks
        assert not video_ids(build_dataset(config, scored_split(config), 1)) & whole


@pytest.mark.parametrize("name", LEARNED)
def test_a_toy_world_is_validated_on_its_own_part_and_learned_from_whole(roots, name):
    config = DataConfig(name=name, root=str(roots / name))
    assert training_splits(config) == ("train", "val")
    splits, _ = listing.read_toy(roots / name / "toy_world.json")
    assert len(video_ids(build_dataset(config, "train", 1))) == len(splits["train"]) >= 4
    assert training_splits(DataConfig()) == ("train", "val")


@pytest.mark.parametrize("name", LEARNED)
def test_a_part_that_is_named_is_taken_unless_it_is_scored(roots, genuine, name):
    for root, scored in ((genuine / name, DATASETS[name].scored), (roots / name, "test"), (roots / name, "twins")):
        config = DataConfig(name=name, root=str(root))
        assert training_splits(replace(config, val_split="train")) == ("train", "train")
        if (root, scored) == (genuine / "refer_youtube_vos", "local-val"):  # it publishes no other masks
            assert training_splits(replace(config, val_split=scored))[1] == "local-val"
            continue
        with pytest.raises(ValueError, match=f"data.val_split is '{scored}', which is scored: .* leave it empty"):
            training_splits(replace(config, val_split=scored))
    for scored in ("test", "twins", *THEMES):
        with pytest.raises(ValueError, match=f"data.val_split is '{scored}', which is scored"):
            training_splits(DataConfig(val_split=scored, level=2))


def test_who_is_held_out_depends_on_the_name_alone_and_is_one_in_seventeen():
    names = [f"{k:x}" for k in range(3400)]
    held = set(listing.videos_of("local-val", names, None, "a file"))
    assert 150 < len(held) < 250 and held == {name for name in reversed(names) if listing.held_out(name)}
    assert set(listing.videos_of("local-train", names, None, "a file")) == set(names) - held


def test_the_smallest_copy_holds_one_video_out_and_no_copy_holds_more_for_it():
    names = [name for name in (f"{k:x}" for k in range(40)) if not listing.held_out(name)][:9]
    held = listing.videos_of("local-val", names, None, "a file")
    assert len(held) == 1 and held == listing.videos_of("local-val", names[::-1], None, "a file")
    assert set(listing.videos_of("local-train", names, None, "a file")) == set(names) - set(held)
    assert listing.videos_of("local-val", [], None, "a file") == []
