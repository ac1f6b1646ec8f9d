"""The training loop: order of samples, rates, exact repetition and resume, refusals."""

import ast
import dataclasses
import importlib.util
import inspect
import json
import os
import re
import sys
import time
from importlib.machinery import ModuleSpec
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import LoggerType
from huggingface_hub import ModelCard, PyTorchModelHubMixin
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from dtse_core import DTSE, ReferringVideoPredictor, preset
from dtse_core.checkpoints.find import read_run_config
from dtse_core.config import FORMAT, ModelConfig, RunConfig, override, to_dict
from dtse_core.data import A2DSentences, ToyWorld
from dtse_core.data.batch import Batch
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.transforms import swap_left_right
from dtse_core.metrics import mean_iou
from dtse_core.model import DTSEOutput
from dtse_core.train import main, train, train_step
from dtse_core.training import preparation
from dtse_core.training.batches import TrainingSamples, batch_order, by_video
from dtse_core.training.optimizer import checkpoint_streams, has_idle_parameters, parameter_groups, rate_factor
from dtse_core.training.outcome import MEASURED, outcome
from dtse_core.training.run_folder import append_history, checkpoints, open_run, save_weights

SMALL = {
    "data.size": (32, 48),
    "data.toy_clips": 40,
    "train.batch": 4,
    "train.steps": 6,
    "train.eval_every": 0,
    "train.eval_samples": 4,
    "train.checkpoint_every": 2,
    "train.log_every": 2,
}


def small(out, **changes):
    return preset("tiny", out=str(out), **{**SMALL, **changes})


def history(out):
    return [json.loads(line) for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_same_weights(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 3), st.integers(0, 20))
def test_an_order_resumed_at_a_step_is_the_rest_of_the_order(samples, batch, seed, start):
    whole = list(islice(batch_order(samples, batch, seed), start + 5))
    assert list(islice(batch_order(samples, batch, seed, start), 5)) == whole[start:]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 3))
def test_every_epoch_shows_each_sample_once(samples, batch, epochs):
    steps = -(-samples * epochs // batch)
    draws = [key for b in islice(batch_order(samples, batch, 0), steps) for key in b][: samples * epochs]
    assert [draw for draw, _ in draws] == list(range(samples * epochs))
    for epoch in range(epochs):
        assert sorted(i for _, i in draws[epoch * samples : (epoch + 1) * samples]) == list(range(samples))


def test_by_video_a_short_one_comes_as_often_as_a_long_one_and_any_step_can_be_resumed():
    videos = [np.arange(0, 90), np.arange(90, 97), np.arange(97, 100)]
    drawn = [k for batch in islice(batch_order(100, 6, 0, videos=videos), 2000) for _, k in batch]
    shares = [np.isin(drawn, video).mean() for video in videos]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02) and set(drawn) == set(range(100))
    whole = list(islice(batch_order(100, 6, 0, videos=videos), 60))
    assert list(islice(batch_order(100, 6, 0, 40, videos=videos), 20)) == whole[40:]


def test_videos_are_told_from_the_windows_of_a_data_set(toy_a2d_root):
    dataset = A2DSentences(toy_a2d_root, "train")
    videos = by_video(dataset)
    assert sorted(k for video in videos for k in video) == list(range(len(dataset)))
    assert all(len({dataset[int(k)].video_id for k in video}) == 1 for video in videos) and len(videos) == 4


@pytest.mark.parametrize("draw", range(12))
def test_a_crop_cuts_all_frames_and_masks_alike_and_never_a_target(draw):
    clips = ToyWorld("train", 6, height=64, width=96).several(draw % 6, 2)
    marked = [
        dataclasses.replace(c, frames=np.repeat(np.stack([c.mask] * 3)[..., None], 3, -1).astype(np.uint8))
        for c in clips
    ]
    samples = TrainingSamples(SimpleNamespace(several=lambda *_: marked, offset=6), 0, "no", 2, crop=0.5)
    cropped, again = samples[draw, 0], samples[draw, 0]
    for clip, before, same in zip(cropped, clips, again, strict=True):
        assert clip.mask.sum() == before.mask.sum()
        assert all(np.array_equal(clip.frames[t, ..., 0] > 0, clip.mask) for t in range(3))
        assert all(0.5 * whole <= side <= whole for side, whole in zip(clip.mask.shape, (64, 96), strict=True))
        assert np.array_equal(same.mask, clip.mask)
    assert len({clip.mask.shape for clip in cropped}) == 1
    assert len({samples[k, 0][0].mask.shape for k in range(20)}) > 10


def test_references_lie_at_every_distance_of_the_range_and_follow_from_the_draw():
    asked = SimpleNamespace(offset=2, several_apart=lambda k, count, offset: [offset])
    samples = TrainingSamples(asked, 0, "no", farthest=5)
    drawn = [samples[draw, 0] for draw in range(60)]
    assert {offset for (offset,) in drawn} == {2, 3, 4, 5} and [samples[draw, 0] for draw in range(60)] == drawn


def test_a_run_with_all_settings_for_few_videos_is_cut_and_ends_as_one_that_was_not(tmp_path, toy_a2d_root):
    few = {"data.name": "a2d", "data.root": str(toy_a2d_root), "data.crop": 0.6, "data.offset": 1, "data.farthest": 4}
    few |= {
        "train.by_video": True,
        "train.ema": 0.8,
        "train.steps": 4,
        "train.checkpoint_every": 2,
        "train.log_every": 1,
    }

    def cut(record):
        if record["step"] == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(small(tmp_path / "cut", **few), False, cut)
    runs = [train(small(tmp_path / name, **few), False) for name in ("cut", "whole")]
    assert_same_weights(*map(weights, runs))
    other = train(small(tmp_path / "plain", **few | {"train.by_video": False}), False)
    assert any(not torch.equal(w, weights(other)[n]) for n, w in weights(runs[0]).items())


def test_the_average_of_a_loop_over_all_steps_is_validated_and_saved_and_changes_no_step(tmp_path, monkeypatch):
    """Statistics of batch norms are averaged with the weights, their counts are not."""
    validated, scores = [], preparation.validation_scores

    def noted(accelerator, model, *more):
        validated.append({name: x.clone() for name, x in model.state_dict().items()})
        return scores(accelerator, model, *more)

    monkeypatch.setattr(preparation, "remove_checkpoints", lambda _: None)
    monkeypatch.setattr(preparation, "validation_scores", noted)
    settings = {"model.norm": "batch", "train.steps": 4, "train.checkpoint_every": 1, "train.keep": 9}
    plain, averaged = small(tmp_path / "plain", **settings), small(tmp_path / "run", **settings, **{"train.ema": 0.7})
    last, final = weights(train(plain, False)), train(averaged, False)
    steps = [*map(weights, checkpoints(tmp_path / "run")), last]
    assert len(steps) == 4
    for name, found in weights(final).items():
        mean, *later = (step[name].double().numpy() for step in steps)
        for now in later:
            mean = 0.7 * mean + 0.3 * now
        np.testing.assert_allclose(found, mean if found.is_floating_point() else last[name], 1e-5, 1e-6)
    assert_same_weights(weights(final), weights(tmp_path / "run" / "best"))
    alone, words = SimpleNamespace(process_index=0, num_processes=1, device="cpu"), load_tokenizer("tiny-bert", 1)
    scored = scores(alone, DTSE.from_pretrained(final), ToyWorld("val", 500, height=32, width=48), words, averaged)
    assert history(tmp_path / "run")[-1].items() >= scored.items()
    assert_same_weights(validated[-1], weights(final))


@given(st.integers(4, 30), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]), st.integers(0, 5))
@settings(max_examples=20)
def test_processes_and_their_parts_share_out_the_batches_of_one(samples, processes, parts, start):
    one = next(batch_order(samples, 8, 0, start))
    shares = [
        list(islice(batch_order(samples, 8, 0, start, rank, processes, parts), parts)) for rank in range(processes)
    ]
    assert sorted(key for share in shares for part in share for key in part) == sorted(one)
    assert {len(part) for share in shares for part in share} == {8 // processes // parts}


def test_rates_halve_at_the_milestones_of_the_paper_preset():
    config = preset("paper")
    shares = [0, 9.9 / 15, 10 / 15, 11.9 / 15, 12 / 15, 14 / 15, 1]
    assert [rate_factor(s, 1000, config) for s in shares] == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.125]


def test_warm_up_rises_to_one_and_the_second_half_falls_to_zero():
    config = preset("tiny", **{"train.warmup": 10})
    assert [round(rate_factor(0, step, config), 6) for step in (0, 4, 9, 50)] == [0.1, 0.5, 1.0, 1.0]
    assert [rate_factor(share, 100, config) for share in (0.5, 0.75, 0.9, 1.0)] == pytest.approx([1, 0.5, 0.2, 0])


def test_every_parameter_is_in_one_group_at_its_rate():
    config = preset(
        "tiny", **{"train.optimizer": "adamw", "train.lr": 3.0, "train.stream_lr": 2.0, "train.gate_lr": 1.0}
    )
    model = DTSE(config.model)
    groups = parameter_groups(model, config)
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    assert sum(len(g["params"]) for g in groups) == len(rate) == len(list(model.parameters()))
    assert rate[id(model.encoder.visual.resnet.embedder.embedder.convolution.weight)] == 2.0
    assert rate[id(model.encoder.text.bert.embeddings.word_embeddings.weight)] == 2.0
    assert rate[id(model.encoder.vlmg["4"].gate_V)] == rate[id(model.encoder.vlmg["4"].gate_L)] == 1.0
    assert rate[id(model.encoder.vlmg["4"].W_v.weight)] == rate[id(model.decoder.heads[0].weight)] == 3.0


STILL = {f"train.{name}": 0.0 for name in ("lr", "stream_lr", "gate_lr", "muon_lr", "weight_decay")}


def test_a_run_starts_from_the_weights_of_another_and_goes_on_without_it(tmp_path):
    first = train(small(tmp_path / "one", **{"train.steps": 1}))
    second = train(small(tmp_path / "two", **STILL | {"train.start": str(tmp_path / "one"), "train.seed": 5}))
    assert_same_weights(weights(first), weights(second))
    assert read_run_config(second).train.start == str(tmp_path / "one")
    third = small(tmp_path / "three", **{"train.start": str(tmp_path / "one")})
    whole = train(override(third, {"out": str(tmp_path / "whole")}))

    def stop(record):
        if record["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(third, on_log=stop)
    (tmp_path / "one").rename(tmp_path / "gone")
    assert_same_weights(weights(train(third)), weights(whole))


def test_a_run_can_add_a_refinement_to_what_another_has_learned(tmp_path):
    first = train(small(tmp_path / "one", **{"train.steps": 1}))
    head = {"train.start": str(first), "model.refine": 4, "train.freeze": ("encoder", "lmdf", "decoder")}
    second = train(small(tmp_path / "two", **head))
    old, new = weights(first), weights(second)
    assert_same_weights(old, {name: new[name] for name in old})
    assert {name.partition(".")[0] for name in new.keys() - old.keys()} == {"refinement"}
    assert new["refinement.heads.weight"].any(), "it learns nothing"
    third = train(small(tmp_path / "three", **STILL | {"train.start": str(second)}))  # and leave it out again
    assert_same_weights(weights(third), old)
    fourth = train(small(tmp_path / "four", **STILL | {"train.start": str(second), "model.refine": 8}))
    assert_same_weights(old, {name: weights(fourth)[name] for name in old})
    assert len(weights(fourth)["refinement.near.weight"]) == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.lmdf": "off"}, "has model.lmdf full, this run off; give both the same"),
        ({"model.filtered": "current"}, "has model.filtered reference, this run current; give both the same"),
        ({"data.level": 2}, "knows other words than this run; give both the same data.level"),
        ({"train.start": "nowhere"}, "no checkpoint 'nowhere': looked for .*; tiny ships with the package"),
    ],
)
def test_a_start_of_another_kind_is_refused_before_anything_is_written(tmp_path, changes, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        train(small(tmp_path / "run", **{"train.start": "tiny"} | changes))
    assert "\n" not in str(caught.value) and not (tmp_path / "run" / "run.json").exists()


def test_what_is_frozen_stays_and_the_rest_learns(tmp_path):
    config = small(tmp_path / "run", **{"train.freeze": ("encoder.text", "encoder.visual.resnet.embedder")})
    torch.manual_seed(config.train.seed)
    before, after = DTSE(config.model).state_dict(), weights(train(config, False))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith(config.train.freeze)} and len(same) > 50


def test_a_run_of_which_nothing_learns_is_refused_before_it_writes(tmp_path):
    with pytest.raises(
        ValueError, match="train.freeze encoder, lmdf, decoder leaves no weight that learns; name fewer"
    ):
        train(small(tmp_path / "run", **{"train.freeze": ("encoder", "lmdf", "decoder")}), False)
    assert not (tmp_path / "run").exists()


def test_others_may_read_what_a_run_wrote(tmp_path):
    before = os.umask(0o022)
    try:
        final = train(small(tmp_path / "run", **{"train.steps": 1, "train.checkpoint_every": 0}), False)
    finally:
        os.umask(before)
    files = [path for path in final.parent.rglob("*") if path.is_file()]
    assert {path.name: path.stat().st_mode & 0o777 for path in files} == {path.name: 0o644 for path in files}
    assert {"best", "final"} <= {path.parent.name for path in files if path.name == "model.safetensors"}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("text", "the model has encoder, "),
        ("encoder.txt", "encoder. has visual, text, "),
        ("encoder.visual.convnextv2.embeddings", "encoder.visual. has resnet$"),
        ("encoder.visual.resnet.encoder.stages.9", "encoder.visual.resnet.encoder.stages. has 0, 1, 2, 3$"),
    ],
)
def test_a_part_to_freeze_that_does_not_exist_is_refused_with_the_names_that_do(name, known):
    config = preset("tiny", **{"train.freeze": (name,)})
    with pytest.raises(ValueError, match=f"no weight's name begins with train.freeze '{name}'; {known}"):
        parameter_groups(DTSE(config.model), config)


@pytest.mark.parametrize("farthest", [3, 6])
def test_a_farthest_distance_that_would_change_nothing_is_refused(tmp_path, farthest):
    config = small(tmp_path / "run", **{"data.offset": 6, "data.farthest": farthest})
    with pytest.raises(
        ValueError, match=f"data.farthest is {farthest}, no farther than data.offset 6, .*; lower data.offset"
    ):
        train(config, False)


def test_two_trainings_give_identical_weights_and_another_seed_does_not(tmp_path):
    runs = [
        train(small(tmp_path / name, **{"train.seed": seed}), False) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert_same_weights(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0])["decoder.heads.3.weight"], weights(runs[2])["decoder.heads.3.weight"])


def test_a_finished_run_says_so_and_is_left_alone(tmp_path, capsys):
    config = small(tmp_path / "run", **{"train.steps": 2})
    final = train(config, False)
    before = os.stat(final / "model.safetensors").st_mtime_ns
    assert train(config, False) == final
    assert "is finished" in capsys.readouterr().out
    assert os.stat(final / "model.safetensors").st_mtime_ns == before


def test_the_checkpoints_of_a_run_that_was_killed_before_they_went_go_when_it_says_that_it_is_finished(
    tmp_path, monkeypatch
):
    config = small(tmp_path / "run", **{"train.steps": 2, "train.checkpoint_every": 1})
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "remove_checkpoints", lambda _: None)
        final = train(config, False)
    assert checkpoints(tmp_path / "run")
    before = weights(final)
    assert train(config, False) == final
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert_same_weights(weights(final), before)


def test_a_run_folder_refuses_other_settings_and_names_them(tmp_path):
    config = small(tmp_path / "run", **{"train.steps": 2})
    train(config, False)
    with pytest.raises(ValueError, match=r"train.lr: 0.001 there, 0.1 now; train.ema: 0.0 .*another --out"):
        train(override(config, {"train.lr": 0.1, "train.ema": 0.9}), False)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    kept = []
    config = small(tmp_path / "run", **{"train.steps": 9, "train.keep": 2, "train.checkpoint_every": 1})
    train(config, False, on_log=lambda _: kept.append([f.name for f in checkpoints(tmp_path / "run")]))
    assert kept[3] == ["step_000000006", "step_000000007"]


@pytest.mark.parametrize(
    ("flip", "sided", "plain"), [("no", False, False), ("swap", True, True), ("skip", False, True)]
)
def test_half_of_the_clips_are_mirrored_save_those_that_the_setting_spares(flip, sided, plain):
    world = ToyWorld("val", 30, height=32, width=48)
    samples, changed = TrainingSamples(world, 0, flip), {True: [], False: []}
    for draw in range(30):
        names_a_side = swap_left_right(world[draw].expression) != world[draw].expression
        changed[names_a_side].append(not np.array_equal(samples[draw, draw][0].frames, world[draw].frames))
    assert len(changed[True]) > 5 and len(changed[False]) > 5
    assert any(changed[True]) == sided and any(changed[False]) == plain
    assert not all(changed[True] + changed[False])


@pytest.mark.parametrize("flip", ["swap", "skip"])
def test_all_sentences_about_a_window_are_mirrored_with_it_or_none(flip):
    world, sided = ToyWorld("val", 30, height=32, width=48), 0
    samples = TrainingSamples(world, 0, flip, sentences=2)
    for draw in range(30):
        (first, second), plain = samples[draw, draw], world.several(draw, 2)
        mirrored = not np.array_equal(first.frames, plain[0].frames)
        assert np.array_equal(first.frames, second.frames)
        for clip, before in zip((first, second), plain, strict=True):
            swapped = swap_left_right(before.expression)
            assert clip.expression == (swapped if mirrored else before.expression)
            assert np.array_equal(clip.mask, before.mask[:, ::-1] if mirrored else before.mask)
            sided += swapped != before.expression
            assert not (flip == "skip" and mirrored and swapped != before.expression)
    assert sided > 5


def test_a_step_takes_each_window_once_for_all_its_sentences(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("dtse_core.train.train_step", lambda *a: seen.append(a[1]) or train_step(*a))
    train(small(tmp_path / "run", **{"train.steps": 2, "train.sentences": 2, "train.accumulate": 2}), False)
    assert [(len(batch.frames), *batch.input_ids.shape[:1], *batch.masks.shape[:1]) for batch in seen] == [
        (1, 2, 2)
    ] * 4


def gradients_of(monkeypatch, config) -> list[dict[str, torch.Tensor]]:
    """The gradients that each step of a training clips."""
    seen = []

    def note(self, parameters, max_norm):
        seen.append([p.grad.clone() for p in parameters if p.grad is not None])

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", note)
    train(config, False)
    return seen


def test_a_batch_in_parts_has_the_gradient_of_the_whole(tmp_path, monkeypatch):
    """Whatever a launcher's environment says of parts."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "3")
    one = {"train.steps": 1, "train.mixed_precision": "no"}
    (whole,) = gradients_of(monkeypatch, small(tmp_path / "whole", **one))
    (parts,) = gradients_of(monkeypatch, small(tmp_path / "parts", **one, **{"train.accumulate": 4}))
    assert len(whole) == len(parts)
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    losses = [history(tmp_path / name)[0]["loss"] for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize("accumulate", [3, 8])
def test_a_batch_that_does_not_divide_is_refused(tmp_path, accumulate):
    with pytest.raises(ValueError, match=f"train.batch 4 must divide evenly among 1 .* train.accumulate {accumulate}"):
        train(small(tmp_path / "run", **{"train.accumulate": accumulate}), False)


def small_batch(config):
    torch.manual_seed(0)
    frames = torch.randn(2, config.model.window, 3, *config.data.size)
    ids = torch.randint(5, 200, (2, 7))
    return Batch(frames, ids, torch.ones_like(ids), (torch.rand(2, *config.data.size) > 0.5).float(), [])


def test_the_iou_of_a_step_counts_an_empty_answer_to_an_empty_target_as_right():
    config = small("unused")
    batch, answers = small_batch(config), torch.ones(4, *config.data.size)
    batch = dataclasses.replace(batch, masks=torch.rand(4, *config.data.size).round())
    batch.masks[1:3], answers[2:] = 0, -1  # an object, a false alarm, nothing in either, an object that was missed
    loss, iou = train_step(lambda *_: SimpleNamespace(logits=answers, aux_logits=()), batch, config)
    assert iou.item() == pytest.approx(mean_iou((answers > 0).numpy(), batch.masks.numpy())) and loss.isfinite()


def test_recomputed_streams_have_the_same_gradients_and_keep_far_less(monkeypatch):
    config = small("unused")
    model, batch, found, kept = DTSE(config.model).train(), small_batch(small("unused")), [], []

    def pack(x):
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    for recomputed in (False, True):
        if recomputed:
            checkpoint_streams(model)
        sizes: dict[int, int] = {}
        model.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            loss, _ = train_step(model, batch, config)
            kept.append(sum(sizes.values()))
        loss.backward()
        found.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert kept[1] < 0.7 * kept[0]


def test_recomputed_streams_refuse_batch_norms_that_would_count_twice():
    model = DTSE(preset("tiny", **{"model.norm": "batch"}).model)
    with pytest.raises(ValueError, match="train.checkpoint_streams needs .*model.freeze_batch_norm .*model.norm group"):
        checkpoint_streams(model)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model.lmdf": "off"},
        {"model.lmdf": "static"},
        {"model.lmdf": "current_only"},
        {"model.lmdf_language": False},
        {"model.lmdf_stages": (3, 4, 5)},
        {"model.lmdf_stages": (4,)},
        {"model.lmdf_stages": (3, 4, 5), "model.lmdf_language": False},
        {"model.vlmg_stages": (5,)},
        {"model.vision_to_language": False},
        {"model.language_to_vision": False},
        {"model.vision_to_language": False, "model.language_to_vision": False},
        {"model.vlmg_stages": ()},
        {"model.vlmg_stages": (), "model.lmdf": "off"},
        {"model.window": 1},
        {"model.text_levels": "last"},
    ],
)
def test_parameters_without_a_gradient_are_foreseen(changes):
    config = small("unused", **changes)
    model = DTSE(config.model)
    loss, _ = train_step(model, small_batch(config), config)
    loss.backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None]
    assert bool(idle) <= has_idle_parameters(config.model), f"{idle} get no gradient"
    assert has_idle_parameters(config.model) <= bool(idle or not config.model.vlmg_stages)


def test_a_run_carries_the_format_of_its_settings_and_is_not_resumed_in_another(tmp_path, monkeypatch):
    out = tmp_path / "run"
    train(small(out, **{"train.steps": 1}), False)
    for file in (out / "run.json", out / "final" / "run.json"):
        assert json.loads(file.read_text(encoding="utf-8"))["format"] == FORMAT
    before = (out / "run.json").read_bytes()
    monkeypatch.setattr("dtse_core.config.FORMAT", FORMAT + 1)
    said = f"run.json: settings of format {FORMAT}, this dtse reads format {FORMAT + 1}; [^;]*$"
    with pytest.raises(ValueError, match=said):
        train(small(out, **{"train.steps": 1}), False)
    assert (out / "run.json").read_bytes() == before


def test_patience_ends_a_run_and_best_is_the_best_by_the_chosen_score(tmp_path, monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.25, 0.9])

    def validate(*_):
        return {"val_mean_iou": 0.5, "val_P@0.5": next(scores)}

    saved = []
    monkeypatch.setattr(preparation, "validation_scores", validate)
    monkeypatch.setattr(preparation, "save_weights", lambda folder, *_: saved.append(folder.name))
    patient = {"train.eval_every": 1, "train.best_by": "P@0.5", "train.patience": 2, "train.log_every": 1}
    train(small(tmp_path / "run", **patient), False)
    assert saved == ["best", "best", "final"]
    assert [r["val_P@0.5"] for r in history(tmp_path / "run") if "val_P@0.5" in r] == [0.1, 0.3, 0.2, 0.25]


def test_patience_survives_a_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "validation_scores", lambda *_: {"val_mean_iou": 0.5})
    patient = small(tmp_path / "run", **{"train.eval_every": 1, "train.patience": 3, "train.checkpoint_every": 1})

    def cut(record):
        if record["step"] == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(patient, False, cut)
    train(patient, False)
    assert history(tmp_path / "run")[-1]["step"] == 4  # better at step 1, then three that are not


def test_a_record_says_how_long_the_model_waited_for_data(tmp_path, monkeypatch):
    draw, drawn = ToyWorld.several, []

    def slow(self, k, count):
        drawn.append(k)
        time.sleep(0.5 if len(drawn) > 8 else 0)
        return draw(self, k, count)

    monkeypatch.setattr(ToyWorld, "several", slow)
    train(small(tmp_path / "run", **{"train.steps": 4, "train.eval_samples": 1}), False)
    first, second = [r["wait"] for r in history(tmp_path / "run") if "wait" in r]
    assert 0 < first < second < 1 and second > 0.3


def test_versions_name_the_packages_and_the_machine(tmp_path):
    open_run(tmp_path, small(tmp_path))
    found = json.loads((tmp_path / "versions.json").read_text(encoding="utf-8"))
    assert found["torch"] == torch.__version__.partition("+")[0] or found["torch"] == torch.__version__
    assert {"python", "transformers", "accelerate", "numpy", "commit", "system", "machine", "gpus"} <= found.keys()
    assert found["cores"] == os.cpu_count()


class Pixels(torch.nn.Module, PyTorchModelHubMixin):
    """A model of another kind: it looks at the colors of the current frame alone."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config, self.color = config, torch.nn.Conv2d(3, 1, 1)

    def forward(self, frames, input_ids, attention_mask):
        return DTSEOutput(self.color(frames[:, frames.shape[1] // 2])[:, 0], (), {})


def test_a_model_of_another_class_is_trained_resumed_and_saved_in_the_same_way(tmp_path):
    def cut(record):
        if record["step"] == 4:
            raise InterruptedError

    whole = train(small(tmp_path / "whole"), False, make_model=Pixels)
    with pytest.raises(InterruptedError):
        train(small(tmp_path / "cut"), False, cut, Pixels)
    assert [f.name for f in checkpoints(tmp_path / "cut")] == ["step_000000002"]
    final = train(small(tmp_path / "cut"), False, make_model=Pixels)
    loaded, kept = Pixels.from_pretrained(final), weights(whole)
    assert loaded.config == small("unused").model
    assert kept.keys() == {"color.weight", "color.bias"}
    assert_same_weights(loaded.state_dict(), kept)
    torch.manual_seed(0)
    assert not torch.equal(kept["color.weight"], Pixels(loaded.config).color.weight)


def test_a_finished_folder_holds_what_the_training_page_lists(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    section = page.partition("## What a run folder holds")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([\w.]+)/?` \|", section, re.MULTILINE))
    config, ever = small(tmp_path / "run", **{"train.steps": 3}), set()
    final = train(config, False, lambda _: ever.update(f.name for f in (tmp_path / "run").iterdir()))
    left = {f.name for f in final.parent.iterdir()}
    assert ever | left == listed and left == listed - {"checkpoints", "lock"}
    assert read_run_config(final) == override(config, {"out": "run"})
    assert DTSE.from_pretrained(final).config.window == 3 and len(load_tokenizer(final, 1)) > 100


def test_the_card_of_a_checkpoint_tells_scores_and_limits_and_nothing_of_this_machine(tmp_path):
    run, scores = tmp_path / "my_run", {"val_mean_iou": 0.4321, "val_overall_iou": 0.3, "val_P@0.5": 0.25}
    model, words = DTSE(small("unused").model), load_tokenizer("tiny-bert", 1)
    cards = {}
    for name in ("toy", "a2d"):
        for records in ([{"step": 20, "seconds": 1, "loss": 2.0}], [{"step": 3000, "seconds": 9, **scores}]):
            append_history(run, records[0]) if run.is_dir() else run.mkdir()
            save_weights(run / "best", model, words, small(run, **{"data.name": name}))
            cards[name, len(records[0])] = ModelCard.load(run / "best" / "README.md")
        (run / "history.jsonl").unlink()
    assert {card.data.license for card in cards.values()} == {"apache-2.0"}
    assert "Not validated yet." in cards["toy", 3].text and "no steps of 4 clips of `toy`" in cards["toy", 3].text
    toy, real = (cards[name, 5].text for name in ("toy", "a2d"))
    assert "| 3,000 | 0.432 | 0.300 | 0.250 |" in toy and "on `val`" in toy and "on `local-val`" in real
    assert "1.0 million" in toy and "at most 64 word pieces" in toy and "# my_run" in toy
    assert "drawn cartoons alone: on real footage its masks mean nothing" in toy
    assert "seen `a2d` alone" in real and "cartoons" not in real
    texts = [path.read_text(encoding="utf-8") for path in (run / "best").iterdir() if path.suffix in (".md", ".json")]
    assert len(texts) >= 5 and not any(str(tmp_path) in text for text in texts)


def test_half_precision_computes_in_16_bits_and_keeps_weights_in_32(tmp_path):
    losses = []
    for precision in ("no", "bf16"):
        config = small(tmp_path / precision, **{"train.steps": 2, "train.mixed_precision": precision})
        assert all(w.dtype == torch.float32 for w in weights(train(config, False)).values())
        losses.append(history(tmp_path / precision)[0]["loss"])
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.01)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_tracker_gets_the_settings_and_all_that_the_history_gets(tmp_path, monkeypatch, name):
    """Through accelerate's own adapters, down to a stand-in for the package, which need not be installed."""
    got, told, ended = {}, {}, []

    class Writer:  # of both packages
        def __init__(self, *_, **__): ...

        def log(self, values, step):
            got.update({(step, key): value for key, value in values.items()})

        def add_scalar(self, key, value, global_step):
            got[global_step, key] = value

        def add_hparams(self, values, metric_dict):
            told.update(values)

        def flush(self): ...

        def finish(self):
            ended.append(name)

        close = finish

    package, board = ModuleType(name), ModuleType("torch.utils.tensorboard")
    package.__spec__ = ModuleSpec(name, None)
    package.init, board.SummaryWriter = Writer, Writer
    package.config = SimpleNamespace(update=lambda values, **_: told.update(values))
    monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, board.__name__, board)
    monkeypatch.setattr("accelerate.tracking._available_trackers", [LoggerType(name)])
    train(small(tmp_path / "run", **{"train.steps": 4, "train.tracker": name}), False)
    assert got == {(r["step"], key): value for r in history(tmp_path / "run") for key, value in r.items()}
    assert told.keys() == to_dict(RunConfig()).keys() and told["train.tracker"] == name and told["train.steps"] == 4
    assert ended == [name]


def test_a_tracker_that_is_not_installed_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="train.tracker wandb .* missing: pip install wandb"):
        train(small(tmp_path / "run", **{"train.tracker": "wandb"}), False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.keep", 0, "train.keep is 0; it must be 1 or more"),
        ("train.accumulate", 0, "train.accumulate is 0; it must be 1 to 65536"),
        ("train.ema", 1.0, "train.ema is 1.0; it must be 0 to below 1"),
        ("train.schedule", "trapez", "train.schedule is 'trapez'; it must be one of milestones, trapezoid"),
        ("train.best_by", "iou", "train.best_by is 'iou'; it must be one of mean_iou"),
        ("train.tracker", "tb", "train.tracker is 'tb'; it must be one of none, tensorboard, wandb"),
    ],
)
def test_a_bad_setting_is_named_with_what_is_allowed(key, value, message):
    with pytest.raises(ValueError, match=message):
        preset("tiny", **{key: value})


def test_the_training_page_names_every_training_setting_and_no_other():
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    named, known = set(re.findall(r"\b(?:train|data|model)\.(?!md\b)[a-z]\w*", text)), set(to_dict(RunConfig()))
    commands = {word for word in re.findall(r"dtse_core\.\w+", text)}
    assert named <= known, f"no such setting: {named - known}"
    assert {key for key in known if key.startswith("train.")} <= named
    assert all(importlib.util.find_spec(command) for command in commands)


def test_training_clips_come_from_the_chosen_split(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(preparation, "build_dataset", lambda data, split, *_: asked.append(split) or [])
    with pytest.raises(ValueError, match="no clip to train on: split twins of toy is empty"):
        train(small(tmp_path / "run", **{"data.train_split": "twins", "data.val_split": "val"}), False)
    assert asked == ["twins", "val"]
    with pytest.raises(ValueError, match="data.val_split is 'test', which is scored"):
        train(small(tmp_path / "run", **{"data.val_split": "test"}), False)
    assert len(asked) == 2


def test_the_loop_fits_on_one_screen():
    (loop,) = [node for node in ast.walk(ast.parse(inspect.getsource(train))) if isinstance(node, ast.While)]
    assert loop.end_lineno - loop.lineno < 40


def test_the_command_ends_with_steps_validation_and_what_more_would_give(tmp_path, monkeypatch, capsys):
    flags = "--train.steps 2 --train.batch 4 --train.eval_samples 4 --data.toy_clips 40 --data.size 32 48"
    command = f"train --preset tiny --out {tmp_path / 'run'} {flags}"
    monkeypatch.setattr(sys, "argv", command.split())
    main()
    made, warning, more, weights = capsys.readouterr().out.splitlines()[-4:]
    score = history(tmp_path / "run")[-1]["val_mean_iou"]
    assert re.fullmatch(rf"2 steps in \d+\.\d minutes, mean IoU {score:.3f} on val", made)
    assert "few steps" in warning and "2,500" in warning
    assert all(f"{iou} after {steps:,} steps" in more for steps, iou in MEASURED.items())
    assert weights == f"final weights: {tmp_path / 'run' / 'final'}"


@pytest.mark.parametrize(
    ("steps", "lines", "expected"), [(100, 3, "2,500 steps (50 minutes"), (2500, 2, "9,000 steps"), (9000, 1, "9,000")]
)
def test_the_outcome_tells_only_of_longer_runs_and_how_long_they_take_here(tmp_path, steps, lines, expected):
    records = [{"step": steps, "seconds": 120, "val_mean_iou": 0.5}, {"step": steps, "seconds": 120, "loss": 1.0}]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    said = outcome(small(tmp_path)).splitlines()
    assert len(said) == lines and expected in said[-1] and said[0].startswith(f"{steps:,} steps in 2.0 minutes")


@pytest.mark.parametrize(
    "changes", [{"data.name": "a2d", "data.root": "genuine"}, {"preset": "colab"}, {"data.level": 2}]
)
def test_the_outcome_expects_nothing_of_what_was_not_measured(tmp_path, changes):
    record = {"step": 100, "seconds": 120, "val_mean_iou": 0.5}
    (tmp_path / "history.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    said = outcome(small(tmp_path, **changes))
    assert "not measured" in said and not any(iou in said for iou in MEASURED.values())


def test_expectations_are_those_of_the_recipe_page():
    page = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")
    last = page.partition("## References only as far as they are read")[2]
    runs = re.findall(r"^\| \d \| (2,[45]\d\d) \| (0\.\d+)", last, re.MULTILINE)
    assert len(runs) == 3 and {f"{float(iou):.2f}" for _, iou in runs} == {MEASURED[2500]}
    (hour,) = re.findall(r"after 9,000 (0\.\d+) and", last)
    assert f"{float(hour):.2f}" == MEASURED[9000]
    assert [*MEASURED] == [2500, 9000]


def test_a_checkpoint_knows_that_its_clips_were_drawn_also_where_they_were_files(tmp_path, toy_a2d_root):
    on_disk = {"data.name": "a2d", "data.root": str(toy_a2d_root)}
    final = train(small(tmp_path / "run", **on_disk, **{"train.steps": 1}), progress=False)
    assert read_run_config(final).data.name == "a2d"
    predictor = ReferringVideoPredictor.from_pretrained(final, "cpu")
    assert "drawn cartoons" in predictor.caution
    said = json.loads((final / "run.json").read_text(encoding="utf-8"))
    (final / "run.json").write_text(json.dumps(said | {"drawn": False}), encoding="utf-8")
    assert ReferringVideoPredictor.from_pretrained(final, "cpu").caution == ""
