"""The training loop: order of samples, rates, exact repetition and resume, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from dtse_core import DTSE, preset
from dtse_core.config import override
from dtse_core.data import ToyWorld
from dtse_core.data.transforms import swap_left_right
from dtse_core.run_folder import checkpoints
from dtse_core.train import TrainingSamples, batch_order, parameter_groups, rate_factor, train

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


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_same_weights(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 3), st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_an_order_resumed_at_a_step_is_the_rest_of_the_order(samples, batch, seed, start):
    whole = list(islice(batch_order(samples, batch, seed), start + 5))
    assert list(islice(batch_order(samples, batch, seed, start), 5)) == whole[start:]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_every_epoch_shows_each_sample_once(samples, batch, epochs):
    steps = -(-samples * epochs // batch)
    draws = [key for b in islice(batch_order(samples, batch, 0), steps) for key in b][: samples * epochs]
    assert [draw for draw, _ in draws] == list(range(samples * epochs))
    for epoch in range(epochs):
        assert sorted(i for _, i in draws[epoch * samples : (epoch + 1) * samples]) == list(range(samples))


@given(st.integers(4, 30), st.sampled_from([2, 4]))
@settings(max_examples=20, deadline=None)
def test_processes_share_out_the_batches_of_one(samples, processes):
    one = next(batch_order(samples, 8, 0))
    shares = [next(batch_order(samples, 8, 0, 0, rank, processes)) for rank in range(processes)]
    assert sorted(k for share in shares for k in share) == sorted(one)
    assert {len(share) for share in shares} == {8 // processes}


def test_rates_halve_at_the_milestones_of_the_paper_preset():
    config = preset("paper")
    shares = [0, 9.9 / 15, 10 / 15, 11.9 / 15, 12 / 15, 14 / 15, 1]
    assert [rate_factor(s, 1000, config) for s in shares] == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.125]


def test_warm_up_rises_to_one_and_the_cosine_ends_at_zero():
    config = preset("tiny", **{"train.warmup": 10})
    assert [round(rate_factor(0, step, config), 6) for step in (0, 4, 9, 50)] == [0.1, 0.5, 1.0, 1.0]
    assert rate_factor(0.5, 100, config) == pytest.approx(0.5)
    assert rate_factor(1.0, 100, config) == pytest.approx(0.0)


def test_every_parameter_is_in_one_group_at_its_rate():
    config = preset("tiny", **{"train.lr": 3.0, "train.stream_lr": 2.0, "train.gate_lr": 1.0})
    model = DTSE(config.model)
    groups = parameter_groups(model, config)
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    assert sum(len(g["params"]) for g in groups) == len(rate) == len(list(model.parameters()))
    assert rate[id(model.encoder.visual.resnet.embedder.embedder.convolution.weight)] == 2.0
    assert rate[id(model.encoder.text.bert.embeddings.word_embeddings.weight)] == 2.0
    assert rate[id(model.encoder.vlmg["4"].gate_V)] == rate[id(model.encoder.vlmg["4"].gate_L)] == 1.0
    assert rate[id(model.encoder.vlmg["4"].W_v.weight)] == rate[id(model.decoder.heads[0].weight)] == 3.0


def test_two_trainings_give_identical_weights_and_another_seed_does_not(tmp_path):
    runs = [
        train(small(tmp_path / name, **{"train.seed": seed}), False) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert_same_weights(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0])["decoder.heads.3.weight"], weights(runs[2])["decoder.heads.3.weight"])


def test_a_killed_training_resumes_to_the_weights_of_one_never_stopped(tmp_path):
    flags = [f"--{k}={v}" for k, v in {**SMALL, "train.steps": 30}.items() if k != "data.size"]
    command = [sys.executable, "-m", "dtse_core.train", "--preset=tiny", *flags, "--data.size", "32", "48"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([*command, f"--out={killed}"], stderr=subprocess.DEVNULL)
    while not checkpoints(killed) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (killed / "final").exists()
    resumed = subprocess.run([*command, f"--out={killed}"], capture_output=True, text=True)
    assert resumed.returncode == 0 and "resuming" in resumed.stdout, resumed.stderr
    final = train(small(whole, **{"train.steps": 30}), False)
    assert_same_weights(weights(killed / "final"), weights(final))
    steps = [json.loads(line)["step"] for line in (killed / "history.jsonl").read_text().splitlines()]
    assert steps == [json.loads(line)["step"] for line in (whole / "history.jsonl").read_text().splitlines()]


def test_a_finished_run_says_so_and_is_left_alone(tmp_path, capsys):
    config = small(tmp_path / "run", **{"train.steps": 2})
    final = train(config, False)
    before = os.stat(final / "model.safetensors").st_mtime_ns
    assert train(config, False) == final
    assert "is finished" in capsys.readouterr().out
    assert os.stat(final / "model.safetensors").st_mtime_ns == before


def test_a_run_folder_refuses_other_settings_and_names_them(tmp_path):
    config = small(tmp_path / "run", **{"train.steps": 2})
    train(config, False)
    with pytest.raises(ValueError, match=r"train.lr: 0.001 there, 0.1 now.*another --out"):
        train(override(config, {"train.lr": 0.1}), False)


def test_a_loss_that_is_not_finite_stops_with_the_remedy(tmp_path):
    config = small(tmp_path / "run", **{"train.lr": 1e30, "train.warmup": 0, "train.clip": 1e30})
    with pytest.raises(FloatingPointError, match="train.lr"):
        train(config, False)


def test_a_damaged_checkpoint_is_named_with_the_remedy(tmp_path):
    config = small(tmp_path / "run")
    train(config, False, on_log=None)
    out = tmp_path / "run"
    folder = out / "checkpoints" / "step_000000002"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"cut short")
    (out / "final" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"step_000000002 is damaged; delete it"):
        train(config, False)


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
        changed[names_a_side].append(not np.array_equal(samples[draw, draw].frames, world[draw].frames))
    assert len(changed[True]) > 5 and len(changed[False]) > 5
    assert any(changed[True]) == sided and any(changed[False]) == plain
    assert not all(changed[True] + changed[False])
