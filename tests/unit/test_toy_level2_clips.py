"""The toy world's second level as a data set: windows, masks, words and settings."""

import pickle

import numpy as np
import pytest

from dtse_core.config import from_dict, preset, to_dict
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import KINDS, window_indices
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.level2.clips import DiagnosticClips
from dtse_core.data.toy.level2.facts import Facts
from dtse_core.data.toy.level2.programs import from_json, targets
from dtse_core.data.toy.level2.scene import Thing, render
from dtse_core.data.toy.level2.words import WORDS
from dtse_core.data.toy.world import SPLITS, video_id
from dtse_core.evaluate import EvaluateCommand, run_command
from dtse_core.train import train

SIZE = {"height": 32, "width": 48}
COUNT = 4 * len(KINDS)


def same(one, two) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(two).values(), strict=True))


@pytest.mark.parametrize("causal", [False, True])
def test_a_clip_is_a_window_of_its_scene_and_masks_whom_its_program_means(causal):
    world, empty, several, positions = DiagnosticClips("test", COUNT, 4, **SIZE, causal=causal), 0, 0, set()
    for k in range(COUNT):
        clip, film = world[k], world.scene(k)
        indices, slot = window_indices(clip.frame_id, film.length, 3, 6, causal)
        frames, ids = render(film.scene, indices, 32, 48)
        said = next(s for s in film.sentences if s.text == clip.expression)
        meant = targets(from_json(said.program["program"]), Facts(film.scene))
        assert clip.current == slot and np.array_equal(clip.frames, frames) and clip.evidence == said.evidence
        assert np.array_equal(clip.mask, sum((ids[slot] == number for number in meant), np.zeros((32, 48), bool)))
        assert clip.instance_id == "_".join(map(str, meant)) and clip.twin_mask is None
        empty, several = empty + (not meant), several + (len(meant) > 1)
        positions.add(clip.frame_id)
    assert empty and several and max(positions) > 32 and min(positions) < 8  # of clips of 24 to 64 frames


def test_a_clip_is_the_same_every_time_in_every_process_and_from_the_cache(tmp_path):
    world = DiagnosticClips("train", 3, 1, **SIZE)
    copy = pickle.loads(pickle.dumps(world))
    assert all(same(world[k], world[k]) and same(world[k], copy[k]) for k in range(3))
    data = preset("tiny", **{"data.level": 2, "data.toy_seed": 1, "data.size": (32, 48), "data.toy_clips": 3}).data
    drawn = build_dataset(data, "train", 3)
    cached = preset("tiny", **{"data.level": 2, "data.toy_seed": 1, "data.size": (32, 48), "data.cache": str(tmp_path)})
    for _ in range(2):
        kept = build_dataset(cached.data, "train", 3)
        assert all(same(kept[k], drawn[k]) and same(drawn[k], world[k]) for k in range(3))
    first = build_dataset(preset("tiny", **{"data.size": (32, 48), "data.cache": str(tmp_path)}).data, "train", 3)
    assert not same(first[0], kept[0])  # the levels share no file
    assert {path.name.split("_")[0] for path in tmp_path.iterdir()} == {"toy", "toy2"}


def test_no_clip_of_one_level_bears_the_name_of_one_of_the_other():
    names = [video_id(seed, split, k) for seed in (0, 2**31 - 1) for split in SPLITS for k in range(50)]
    names += [video_id(seed, s, k, level=2) for seed in (0, 2**31 - 1) for s in SPLITS[:3] for k in range(50)]
    assert len(set(names)) == len(names)


def test_what_there_is_not_is_refused():
    with pytest.raises(IndexError, match="scene 3 of a toy world of 3 clips"):
        DiagnosticClips("test", 3)[3]
    with pytest.raises(ValueError, match="unknown split 'twins' of the toy world.*guidance"):
        build_dataset(preset("tiny", **{"data.level": 2}).data, "twins", 3)
    with pytest.raises(ValueError, match="data.level is 3; it must be 1 or 2"):
        preset("tiny", **{"data.level": 3})


def test_runs_from_before_there_were_levels_are_of_the_first():
    settings = to_dict(preset("tiny", **{"data.level": 2}))
    del settings["data.level"]
    assert from_dict(settings).data.level == 1


def test_each_level_s_words_are_single_pieces_of_its_tokenizer_alone():
    one, two = load_tokenizer("tiny-bert", 1), load_tokenizer("tiny-bert", 2)
    assert len(one) == len(two) == 256
    assert all(two.tokenize(word) == [word] for word in WORDS)
    assert one.tokenize("chases")[0] == "c" and two.tokenize("crawling")[0] == "c"


def test_nobody_gets_the_words_of_a_level_without_saying_which():
    with pytest.raises(TypeError, match="level"):
        load_tokenizer("tiny-bert")


def test_what_is_done_is_named_as_a2d_names_it():
    def thing(kind, act="", *legs):
        return Thing(1, kind, "red", 200, 5, 0, 0, legs, act).action

    assert thing("dog", "jumps", (9, 5, 0)) == "jumping" and thing("bird", "eats") == "eating"
    assert thing("ball", "", (9, 5, 0)) == "rolling" and thing("bird", "", (9, 0, 5)) == "flying"
    assert thing("car", "", (9, -5, 0)) == "running" and thing("cat", "", (9, 5, 0)) == "walking"
    assert thing("cat") == thing("cat", "", (9, 0, 0)) == "none"


def test_a_model_trains_and_is_scored_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr("dtse_core.data.build.HELD_OUT", COUNT)
    small = {"train.steps": 1, "train.batch": 2, "train.eval_samples": 4, "data.size": (32, 48), "data.toy_clips": 8}
    config = preset("tiny", out=str(tmp_path / "run"), **small, **{"data.level": 2})
    train(config)
    tokenizer = load_tokenizer(tmp_path / "run" / "final", 2)
    assert tokenizer.tokenize("the dog that chases") == ["the", "dog", "that", "chases"]
    result = run_command(EvaluateCommand(checkpoint=str(tmp_path / "run"), split="test", data=config.data))
    assert list(result["by_evidence"]) == list(KINDS) and "twins_accuracy" not in result
    assert result["counts"] == {"samples": COUNT} and result["config"]["data.level"] == 2


@pytest.mark.parametrize("split", ["test", "guidance", "granularity"])
def test_a_sample_s_family_is_that_of_its_programs(split):
    world = DiagnosticClips(split, 6, 4, **SIZE)
    told = world.programs()
    for k in range(6):
        film = world.scene(k)
        _, family = told[film.video_id, film.sentences[0].text]
        assert world.family_of(k) == (family if split != "test" else "") and (
            split != "test" or family == film.video_id
        )


def test_more_clips_than_usual_can_be_scored_and_the_usual_ones_are_the_first_of_them():
    config = preset("tiny", **{"data.level": 2, "data.size": (32, 48)}).data
    usual, more = (build_dataset(config, "scale", 3, clips=clips) for clips in (20, 600))
    assert (len(usual), len(more)) == (500, 600) and same(usual[3], more[3])
    assert len(build_dataset(config, "train", 3, clips=600)) == config.toy_clips
