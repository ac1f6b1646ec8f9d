"""What only a machine with a GPU can show: `make test-gpu`. Without one every test here fails, rather than pass unseen.

The unit tests run on the CPU everywhere, since what they say of bits holds there alone.
"""

import dataclasses
import gc
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from dtse_core import ReferringVideoPredictor, preset
from dtse_core.config import override
from dtse_core.experiments.runner import run_notebook
from dtse_core.train import train_step
from dtse_core.training.cost import build_model, count_cost, empty_batch
from dtse_core.training.optimizer import MuonAdamW, checkpoint_streams, parameter_groups
from dtse_core.training.speed import SHEETS, measure_speed

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SENTENCES = ["the dog walking towards the left", "the bird"]


@pytest.fixture(autouse=True)
def gpu():
    assert torch.cuda.is_available(), "no GPU can be used here; these tests are for a machine that has one"
    yield
    gc.collect()
    torch.cuda.empty_cache()


def lesson(name: str, out: Path, **parameters: str) -> str:
    """Runs a notebook, of which no claim may fail; what it printed."""
    result = run_notebook(NOTEBOOKS / f"{name}.ipynb", out, parameters)
    assert result.ok, result.error
    cells = nbformat.read(out / f"{name}.ipynb", as_version=4).cells
    return "".join(str(output.get("data", output.get("text"))) for cell in cells for output in cell.get("outputs", []))


def test_a_lesson_is_on_the_cpu_until_it_is_asked_for_the_gpu(tmp_path):
    assert "device cpu" in lesson("00_start_here", tmp_path / "unset")
    assert "device cuda" in lesson("00_start_here", tmp_path / "auto", DEVICE="auto")


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("[01]*.ipynb"))[1:])
def test_what_a_lesson_claims_holds_on_a_gpu(name, tmp_path):
    assert "device cuda" in lesson(name, tmp_path, DEVICE="cuda")


def test_masks_are_those_of_the_cpu_up_to_pixels_on_an_edge():
    masks = {}
    for device, precision in (("cpu", "fp32"), ("cuda", "fp32"), ("cuda", "bf16")):
        predictor = ReferringVideoPredictor.from_pretrained("tiny", device, precision)
        masks[device, precision] = np.stack([r.masks for r in predictor.segment("example", SENTENCES)])
    assert masks["cpu", "fp32"].any()
    assert (masks["cuda", "fp32"] != masks["cpu", "fp32"]).mean() < 1e-4
    assert (masks["cuda", "bf16"] != masks["cpu", "fp32"]).mean() < 1e-3


def losses(out: Path, *options: str) -> list[float]:
    """Of each of eight steps of a training in a process of its own."""
    short = ["--train.steps", "8", "--train.log_every", "1", "--train.eval_samples", "4", "--data.toy_clips", "64"]
    command = [sys.executable, "-m", "dtse_core.train", "--preset", "tiny", "--out", str(out), *short, *options]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    rows = map(json.loads, (out / "history.jsonl").read_text(encoding="utf-8").splitlines())
    return [row["loss"] for row in rows if "loss" in row]


def test_a_training_in_each_precision_follows_that_of_the_cpu(tmp_path):
    made = {name: losses(tmp_path / name, "--train.mixed_precision", name) for name in ("no", "fp16", "bf16")}
    versions = (tmp_path / "no" / "versions.json").read_text(encoding="utf-8")
    assert torch.cuda.get_device_name() in versions
    cpu = losses(tmp_path / "cpu", "--train.device", "cpu")
    assert len(cpu) == 8
    assert made["no"] == pytest.approx(cpu, rel=0.02)
    assert made["fp16"] == pytest.approx(cpu, rel=0.05) and made["bf16"] == pytest.approx(cpu, rel=0.05)


PLANS = [
    ("tiny", {}),
    ("paper", {}),
    ("paper", {"train.accumulate": 2}),
    ("paper", {"train.checkpoint_streams": True}),
    ("paper", {"train.mixed_precision": "fp16"}),
    ("colab", {}),
    ("colab", {"train.mixed_precision": "no"}),
    ("modern", {}),
]


@pytest.mark.parametrize("name, changes", PLANS)
def test_the_cost_model_knows_the_memory_of_a_step(name, changes):
    """Within 10 % of what PyTorch's allocator holds at most. Times depend on the machine: printed, not judged."""
    config = override(preset(name), changes)
    c, half = config.train, {"no": None, "fp16": torch.float16}[config.train.mixed_precision]
    cost, sheet = count_cost(config, gpu=True), SHEETS["h100"][half is not None]
    measured = cost.seconds(measure_speed("cuda", half))
    estimates = f"{cost.seconds(sheet):.3f} s by an H100's data sheet, {measured:.3f} s by measured operators"
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model = build_model(config).cuda()
    if c.checkpoint_streams:
        checkpoint_streams(model)
    optimizer = MuonAdamW(parameter_groups(model, config), weight_decay=c.weight_decay)
    batch = empty_batch(config, c.batch // c.accumulate)
    moved = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    batch = dataclasses.replace(batch, **{n: x.cuda() for n, x in moved.items() if torch.is_tensor(x)})
    scaler = torch.amp.GradScaler(enabled=half is torch.float16)

    def step() -> None:
        optimizer.zero_grad()
        for _ in range(c.accumulate):
            with torch.autocast("cuda", half, enabled=half is not None):
                loss, _ = train_step(model, batch, config)
            scaler.scale(loss).backward()
            del loss
        scaler.step(optimizer)
        scaler.update()

    step()
    step()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(5):
        step()
    end.record()
    torch.cuda.synchronize()
    held = torch.cuda.max_memory_allocated() - before
    print(
        f"{name} {changes}: {start.elapsed_time(end) / 5000:.3f} s a step; {estimates}; "
        f"{cost.peak / 1e9:.2f} GB counted, {held / 1e9:.2f} held"
    )
    assert abs(cost.peak / held - 1) < 0.1
