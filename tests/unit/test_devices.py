"""What a GPU asks of the code, on GPUs that are pretended: see `tests/pretended_gpu.py`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from dtse_core import DTSE, ReferringVideoPredictor, layers, predict, preset
from dtse_core import train as trainer
from dtse_core.config import DataConfig
from dtse_core.data.batch import Batch
from dtse_core.layers import PyramidPool
from dtse_core.notebook.lesson import setup
from dtse_core.scoring.answers import ModelAnswers
from dtse_core.shared.console import usable_device
from dtse_core.train import train, train_step
from dtse_core.training import preparation
from dtse_core.training.preparation import join_processes
from tests.pretended_gpu import OnGPU, pretended_gpus

SECOND = torch.device("cuda:1")


@pytest.fixture
def gpus(monkeypatch):
    """Two pretended GPUs; what accelerate has learned of them is forgotten afterwards."""
    with pretended_gpus():
        yield
    preparation.AcceleratorState._reset_state(reset_partial_state=True)


def short(out: Path, **changes):
    """A training of three steps that ends with a validation."""
    settings = {"out": str(out), "data.size": (32, 48), "data.toy_clips": 8, "train.batch": 2, "train.steps": 3}
    settings |= {"train.log_every": 1, "train.eval_samples": 2, "train.device": "cuda:1"}
    return preset("tiny", **settings | changes)


def history(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def noted(seen: list):
    """A DTSE that notes what goes in and what comes out: in training and in validation."""

    class Noted(DTSE):
        def forward(self, frames, *words):
            out = super().forward(frames, *words)
            given = (frames, *words, *self.parameters())
            seen.append((self.training, {x.device for x in given}, out.logits))
            return out

    return Noted


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory) -> list[dict]:
    """The history of `short` on the CPU."""
    train(short(out := tmp_path_factory.mktemp("cpu") / "run", **{"train.device": "cpu"}), False)
    return history(out)


PRECISIONS = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}  # of a training


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_whole_training_and_its_validation_run_on_a_gpu_in_each_precision(tmp_path, on_cpu, gpus, precision):
    """What they compute is what the CPU computes, and nothing is left on another device or of another type."""
    seen = []
    train(short(tmp_path / "run", **{"train.mixed_precision": precision}), False, None, noted(seen))
    for _, places, logits in seen:
        assert places == {SECOND} == {logits.device} and logits.shape == (2, 32, 48)
        assert logits.dtype is PRECISIONS[precision]
    assert [training for training, *_ in seen] == [True] * 3 + [False]
    for found, expected in zip(history(tmp_path / "run"), on_cpu, strict=True):
        numbers = {name: x for name, x in expected.items() if name not in ("seconds", "wait")}
        exact = precision == "no"
        assert {name: found[name] for name in numbers} == (numbers if exact else pytest.approx(numbers, abs=0.05))


@pytest.mark.parametrize(
    "changes",
    [
        {"model.norm": "batch", "train.optimizer": "adamw"},
        {"model.lmdf": "static", "train.accumulate": 2, "train.checkpoint_streams": True},
    ],
    ids=str,
)
def test_other_ways_to_train_run_on_a_gpu_too(tmp_path, gpus, changes):
    train(short(tmp_path / "run", **{"train.mixed_precision": "fp16", "train.steps": 2, **changes}), False)
    assert [0 < r["loss"] < 10 for r in history(tmp_path / "run") if "loss" in r] == [True, True]


@pytest.mark.parametrize("precision", predict.PRECISIONS)
def test_a_whole_prediction_runs_on_a_gpu_in_each_precision(gpus, precision):
    there, here = (ReferringVideoPredictor.from_pretrained("tiny", name, precision) for name in ("cuda:1", "cpu"))
    frames, sentences = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), np.uint8), ["the dog", "the ball"]
    assert {p.device for p in there.fast.parameters()} == {SECOND}
    for a, b in zip(there.stream(frames, sentences, 2), here.stream(frames, sentences, 2), strict=True):
        assert type(a.logits) is np.ndarray and np.allclose(a.logits, b.logits, atol=1e-5)


def test_a_run_goes_on_from_its_checkpoint_on_another_device(tmp_path, on_cpu, gpus):
    class Stop(Exception):
        pass

    def stop(record):
        if record["step"] == 2:
            raise Stop

    with pytest.raises(Stop):
        train(short(tmp_path / "run", **{"train.checkpoint_every": 1}), False, stop)
    train(short(tmp_path / "run", **{"train.device": "cpu"}), False)
    assert [r.get("loss") for r in history(tmp_path / "run")] == [r.get("loss") for r in on_cpu]


def left_on_the_cpu(patch):
    patch.setattr(Batch, "to", lambda self, *_, **__: self)


def on_the_other_gpu(patch):
    moved = Batch.to
    patch.setattr(Batch, "to", lambda self, *_, **__: moved(self, "cuda:0"))


def coordinates_without_a_device(patch):
    made = layers.coordinates
    patch.setattr("dtse_core.vlmg.coordinates", lambda h, w, like: made(h, w, torch.empty(0)))


def padding_without_a_device(patch):
    zeros = torch.zeros

    def on_the_cpu(*size, device=None, **options):
        return zeros(*size, device=None if isinstance(size[0], torch.Size) else device, **options)

    patch.setattr(torch, "zeros", on_the_cpu)


def regions_without_a_device(patch):
    means = PyramidPool._means
    patch.setattr(PyramidPool, "_means", lambda self, size, like: means(self, size, like.cpu()))


def arrays_that_were_not_brought_back(patch):
    patch.setattr(torch.Tensor, "cpu", lambda self: self)


FORGOTTEN = [left_on_the_cpu, on_the_other_gpu, coordinates_without_a_device, regions_without_a_device]


@pytest.mark.parametrize("forget", [*FORGOTTEN, padding_without_a_device, arrays_that_were_not_brought_back])
def test_a_move_that_was_forgotten_is_found(tmp_path, gpus, monkeypatch, forget):
    forget(monkeypatch)
    with pytest.raises((RuntimeError, TypeError), match="on the same device|device type tensor to numpy"):
        train(short(tmp_path / "run", **{"train.steps": 1}), False)


def test_types_that_were_mixed_are_found(gpus):
    conv = torch.nn.Conv2d(3, 4, 1).to("cuda:1", torch.bfloat16)
    with pytest.raises(RuntimeError, match="one scalar type"):
        conv(torch.zeros(1, 3, 4, 4, device="cuda:1"))


def test_a_device_s_name_means_the_same_to_a_lesson_training_evaluation_and_prediction(gpus, capsys):
    train_on = setup(profile="smoke", seed=0, device="cuda:1").config.train.device
    for name, expected in (("cuda:1", "cuda:1"), ("cuda", "cuda:0"), ("auto", "cuda:0"), ("cpu", "cpu")):
        assert join_processes(preset("tiny", **{"train.device": name})).device == torch.device(expected)
        device = usable_device(name)
        assert device == torch.device(expected)
        assert {p.device for p in ReferringVideoPredictor.from_pretrained("tiny", name).model.parameters()} == {device}
        answers = ModelAnswers("tiny", DataConfig(size=(64, 96)), device, 1)
        assert answers.predictor.device == device
    assert train_on == "cuda:1"


def test_each_process_of_a_launch_has_a_gpu_of_its_own(gpus, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank, expected in enumerate(("cuda:0", "cuda:1", "cuda:0")):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        own = torch.device(expected)
        assert {usable_device(name) for name in ("auto", "cuda", expected, own)} == {own}
    with pytest.raises(ValueError, match="device 'cuda:1' is one GPU, and each process of a launch has its own"):
        usable_device("cuda:1")
    assert usable_device("cpu").type == "cpu"


def overflowing(monkeypatch, steps):
    """Makes the loss of some steps infinite; returns the weights before each step."""
    before = []

    def step(model, batch, config):
        before.append([p.detach().cpu().clone() for p in model.parameters()])
        loss, iou = train_step(model, batch, config)
        return loss * float("inf") if len(before) in steps else loss, iou

    monkeypatch.setattr(trainer, "train_step", step)
    return before


def test_a_step_that_is_not_finite_is_skipped_and_counted_under_fp16(tmp_path, gpus, monkeypatch):
    before = overflowing(monkeypatch, {3, 4, 6, 8})
    settings = {"train.mixed_precision": "fp16", "train.steps": 8, "train.log_every": 2, "train.ema": 0.5}
    config = short(tmp_path / "run", **settings)
    final = load_file(train(config, False) / "model.safetensors")
    unchanged = [all(map(torch.equal, a, b)) for a, b in zip(before, before[1:], strict=False)]
    assert unchanged == [False, False, True, True, False, True, False]
    logged = [r for r in history(tmp_path / "run") if "loss" in r]
    assert [(r["step"], r.get("skipped", 0)) for r in logged] == [(2, 0), (6, 3), (8, 1)]
    assert all(0 < r["loss"] < 10 for r in logged)
    taken = zip(*(before[step] for step in (1, 2, 5, 7)), strict=True)  # what the average is of
    for (name, _), (one, two, five, seven) in zip(DTSE(config.model).named_parameters(), taken, strict=True):
        torch.testing.assert_close(final[name], one / 8 + two / 8 + five / 4 + seven / 2)


def test_a_skipped_step_leaves_the_statistics_of_batch_norm_as_they_were(tmp_path, gpus, monkeypatch):
    """A forward pass that overflows has put infinity into them, where no later step would get it out."""
    before = []

    def step(model, batch, config):
        before.append({n: x.detach().cpu().clone() for n, x in model.named_buffers() if "running" in n})
        if len(before) == 3:
            batch.frames.fill_(float("inf"))
        return train_step(model, batch, config)

    monkeypatch.setattr(trainer, "train_step", step)
    changes = {"model.norm": "batch", "train.mixed_precision": "fp16", "train.steps": 5, "train.log_every": 1}
    train(short(tmp_path / "run", **changes), False)
    assert [r.get("skipped", 0) for r in history(tmp_path / "run") if "loss" in r] == [0, 0, 1, 0]
    same = [all(torch.equal(a[n], b[n]) for n in a) for a, b in zip(before, before[1:], strict=False)]
    assert before[0] and same == [False, False, True, False]


def test_a_training_whose_steps_are_all_skipped_ends_with_a_line(tmp_path, gpus, monkeypatch):
    monkeypatch.setattr(preparation, "MOST_SKIPPED", 3)
    overflowing(monkeypatch, range(100))
    with pytest.raises(FloatingPointError, match="the gradients of the last 3 steps were not finite; there was no"):
        train(short(tmp_path / "run", **{"train.mixed_precision": "fp16", "train.steps": 9}), False)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_pooling_that_a_device_lacks_has_the_same_numbers(gpus, monkeypatch, dtype):
    """Apple's refuses sides that the bins do not divide. The numbers are those of pooling in the map's own type."""
    pool, bins = F.adaptive_avg_pool1d, (1, 3, 4, 8)
    expected = torch.cat([pool(torch.eye(7, dtype=dtype), b) for b in bins], 1).T

    def divisible(x, b):
        if isinstance(x, OnGPU) and x.shape[-1] % b:
            raise RuntimeError("Adaptive pool MPS: input sizes must be divisible by output sizes.")
        return pool(x, b)

    monkeypatch.setattr(F, "adaptive_avg_pool1d", divisible)
    found = PyramidPool(bins)._means(7, torch.zeros(1, dtype=dtype, device="cuda"))
    assert found.device.type == "cuda" and found.dtype is dtype
    assert torch.equal(found.cpu(), expected) and found.stride() == expected.stride()
