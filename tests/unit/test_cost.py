"""The cost model against what is counted and measured: parameters, operations, memory."""

import dataclasses
import functools
import gc
import multiprocessing
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from dtse_core import DTSE, preset
from dtse_core.config import override
from dtse_core.data import A2DSentences
from dtse_core.scoring.published import published_results
from dtse_core.train import train_step
from dtse_core.training import cost
from dtse_core.training.cost import TOOK, Cost, CostCommand, build_model, count_cost, describe, empty_batch, run_of
from dtse_core.training.optimizer import MuonAdamW, checkpoint_streams, parameter_groups
from dtse_core.training.speed import SHEETS, Speed, Tally, measure_speed

ZYGOTE = multiprocessing.get_context("forkserver")  # a clean process without the seconds of importing everything
ZYGOTE.set_forkserver_preload(["dtse_core.train"])
CONFIGS = {
    "tiny": preset("tiny", **{"train.batch": 8}),
    "tiny in parts": preset("tiny", **{"train.batch": 8, "train.accumulate": 2, "train.checkpoint_streams": True}),
    "paper, reduced": preset(
        "paper",
        **{
            "model.visual": "microsoft/resnet-50",
            "model.text": "tiny-bert",
            "data.size": (128, 128),
            "train.batch": 2,
        },
    ),
}
counted = functools.cache(lambda name: count_cost(CONFIGS[name]))


def make_step(config):
    """A real training step of `config`, and what counts the bytes of weights and moments."""
    model = build_model(config).to(memory_format=torch.channels_last)  # as training does
    if config.train.checkpoint_streams:
        checkpoint_streams(model)
    optimizer = MuonAdamW(parameter_groups(model, config))

    def step():
        for _ in range(config.train.accumulate):
            batch = empty_batch(config, config.train.batch // config.train.accumulate)
            loss, _ = train_step(model, batch, config)
            loss.backward()
            del loss, batch
        optimizer.step()
        optimizer.zero_grad()

    def held():
        moments = [x for state in optimizer.state.values() for x in state.values() if x.ndim]
        return sum(x.numel() * 4 for x in (*model.parameters(), *moments))

    return step, held


def resident_growth(name, answer):
    """Sends how far the memory of this process grows beyond what it was before the model."""

    def status(key):
        with open("/proc/self/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

    torch.set_num_threads(1)
    counted(name)  # without weights, but it imports the streams' libraries
    gc.collect()
    with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
        file.write("5")  # the peak starts again from here
    before = status("VmRSS")
    step, _ = make_step(CONFIGS[name])
    step(), step()
    answer.send(status("VmHWM") - before)


@pytest.mark.parametrize("name", ["tiny", "paper, reduced"])
def test_memory_of_a_process_is_foretold_within_a_fifth(name):
    here, there = ZYGOTE.Pipe(duplex=False)
    process = ZYGOTE.Process(target=resident_growth, args=(name, there))
    process.start()
    measured = here.recv()
    process.join()
    assert counted(name).needed(gpu=False) == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize(
    "counted, process",
    [(18.56, 20.98), (10.89, 12.36), (9.29, 11.34), (10.95, 12.60), (4.21, 5.63), (5.88, 7.16)],
)
def test_memory_of_a_gpu_is_foretold_to_half_a_gigabyte_or_generously(counted, process):
    """GB of `paper`, in two parts, with recomputed streams, in fp16, and of `colab` in fp16 and fp32, on an H100."""
    made = dataclasses.replace(cost_of(1), peak=counted * 1e9)
    assert -0.5e9 < made.needed(gpu=True) - process * 1e9 < 0.8e9


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_half_precision_of_a_gpu_can_be_counted_with_recomputed_streams(half):
    """What is computed again has the types of the first time, or torch refuses it."""
    changes = {"train.mixed_precision": half, "train.batch": 2}
    made = [count_cost(preset("tiny", **changes, **{"train.checkpoint_streams": c}), gpu=True) for c in (False, True)]
    assert made[1].activations < made[0].activations
    assert made[1].work["conv"] > made[0].work["conv"]


@pytest.mark.parametrize("name", ["tiny", "modern"])
def test_what_autocast_takes_out_of_half_precision_on_a_gpu_alone_is_counted_in_single(name):
    """Of the operators that meet half precision in the count, torch's own tables say which a GPU would convert."""

    class Meeting(TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            if any(isinstance(x, torch.Tensor) and x.dtype is torch.float16 for x in tree_leaves((args, kwargs))):
                met.add(operator.name())
            return operator(*args, **(kwargs or {}))

    met, config = set(), preset(name)
    with FakeTensorMode(), Tally():
        model = build_model(config)
        with torch.no_grad(), cost.autocast(torch.float16, True), Meeting():
            train_step(model, empty_batch(config, 1), config)
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    assert "aten::bmm" in met
    met = {x for x in met if x.startswith("aten::")}
    converted = {x for x in met if has(x, "AutocastCUDA") and not has(x, "AutocastCPU")}
    assert converted <= {"aten::convolution"}, "which a GPU computes in half precision"


@pytest.mark.parametrize("name", ["tiny", "tiny in parts"])
def test_peak_is_that_of_the_allocator_within_a_twentieth(name, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from measure import peak_bytes

    step, held = make_step(CONFIGS[name])
    step()  # the moments begin to exist
    assert counted(name).peak == pytest.approx(held() + peak_bytes(step), rel=0.05)
    assert counted(name).weights + counted(name).optimizer == pytest.approx(held(), rel=0.01)


def test_parameters_and_operations_are_those_of_a_real_step():
    config, found = CONFIGS["tiny"], counted("tiny")
    model = DTSE(config.model)
    assert found.parameters == sum(p.numel() for p in model.parameters()) == found.trained
    assert found.gradients == 4 * found.parameters and found.weights == pytest.approx(found.gradients, rel=0.01)
    average = count_cost(override(config, {"train.ema": 0.9})).weights - found.weights
    assert average == found.gradients
    step, _ = make_step(config)
    with FlopCounterMode(display=False) as counter:
        step()
    assert found.work["matmul"] + found.work["conv"] == counter.get_total_flops(), "of Muon too"


def test_recomputing_in_parts_takes_less_memory_and_more_work():
    whole, parts = counted("tiny"), counted("tiny in parts")
    assert parts.activations < 0.5 * whole.activations and parts.peak < whole.peak
    assert parts.work["conv"] > 1.1 * whole.work["conv"]


def test_frozen_batch_norms_are_not_trained():
    found = counted("paper, reduced")
    norms = [m for m in build_model(CONFIGS["paper, reduced"]).encoder.visual.modules() if hasattr(m, "running_mean")]
    assert found.parameters - found.trained == sum(2 * m.num_features for m in norms) > 0


def test_the_tally_counts_products_bytes_and_what_is_held():
    with FakeTensorMode(), Tally() as tally:
        a, b = torch.ones(4, 8), torch.ones(8, 3)
        assert tally.held == 4 * (32 + 24)
        tally.work.clear()
        c = a @ b
        assert tally.work == Counter(operators=1, matmul=2 * 4 * 8 * 3)
        d = c.view(12)[2:].unflatten(0, (2, 5))
        assert tally.work["operators"] == 1, "views cost nothing"
        assert tally.held == 4 * (32 + 24 + 12)
        e = d + 1
        assert tally.work["memory"] == 4 * (10 + 10) and tally.held == 4 * (32 + 24 + 12 + 10)
        del a, c, e
        assert tally.held == 4 * (24 + 12), "a view holds what it looks at"
        del d
        assert tally.held == 4 * 24 and tally.peak == 4 * (32 + 24 + 12 + 10)


def test_the_time_of_a_step_adds_each_kind_of_work_at_its_speed():
    made = cost_of(100, Counter(matmul=10, conv=20, memory=30, update=40, operators=4))
    assert made.seconds(Speed(matmul=5, conv=10, memory=10, update=8, start=0.5)) == 2 + 2 + 3 + 5 + 2


@pytest.mark.parametrize("start, seconds", [(0.5, 2 + 2 + 3 + 5), (4, 4 * 4)])
def test_a_gpu_waits_for_what_starts_its_operators_or_they_for_it(start, seconds):
    made = cost_of(100, Counter(matmul=10, conv=20, memory=30, update=40, operators=4))
    assert made.seconds(Speed(matmul=5, conv=10, memory=10, update=8, start=start, queued=True)) == seconds


def test_speeds_are_measured_here_or_refused(monkeypatch):
    monkeypatch.setattr("dtse_core.training.speed._fastest", lambda run, device: run() or 2.0)
    speed = measure_speed("cpu")
    assert speed.matmul == 3 * 2 * 2400 * 256 * 256 / 2, "forward, and the gradients of both factors"
    assert speed.conv == 3 * 2 * 12 * 1600 * 64 * 64 * 9 / 2
    assert speed.memory > 0 and 0 < speed.start < 1
    assert speed.update == 2 * 4 * 4 * 2**23 / 2, "weight, gradient and both moments, read and written"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no GPU can be used here; --device may also be cpu or one of t4"):
        measure_speed("cuda")


def test_every_data_sheet_can_be_chosen_and_half_precision_is_faster():
    assert {*SHEETS, "cpu", "cuda"} == set(CostCommand.__annotations__["device"].__args__)
    assert all(half.conv > single.conv for single, half in SHEETS.values())


def cost_of(clips, work=None):
    """A cost of 1 GB, and 1 GB more for each clip."""
    billion = 10**9
    return Cost(10**6, 10**6, billion, 0, 0, clips * billion, (1 + clips) * billion, billion, work or Counter())


@pytest.mark.parametrize(
    ("gigabytes", "said"),
    [
        (20, "fits in 20 GB"),
        (12, "does not fit in 12 GB; it does with --train.accumulate 2 --train.checkpoint_streams False"),
        (4.5, "does not fit in 4.5 GB; it does with --train.accumulate 16 --train.checkpoint_streams False"),
        (2, "does not fit in 2 GB; nor in parts of one window: take a smaller data.size, or mixed precision"),
    ],
)
def test_the_command_says_whether_it_fits_and_what_would(gigabytes, said, monkeypatch, capsys):
    monkeypatch.setattr(cost, "count_cost", lambda c, n, gpu: cost_of(c.train.batch // n // c.train.accumulate))
    arguments = ["cost", "--preset", "paper", "--device", "t4", "--memory-gb", str(gigabytes)]
    monkeypatch.setattr(sys, "argv", arguments)
    cost.main()
    out = capsys.readouterr().out
    assert out.splitlines()[-1].removeprefix("verdict").strip() == said
    assert "16 clips of 3 frames, 320 x 320" in out and "an estimate from its data sheet" in out


@pytest.mark.parametrize("processes", [1, 2])
def test_advice_keeps_the_sentences_of_a_window_together(processes, monkeypatch):
    tried = []

    def none_fits(command, n, gpu):
        tried.append(command.train.accumulate)
        return cost_of(100)

    monkeypatch.setattr(cost, "count_cost", none_fits)
    command = CostCommand(**vars(preset("paper", **{"train.sentences": 4})), device="t4", processes=processes)
    assert cost.fitting(command) is None
    assert tried == 2 * {1: [1, 2, 4], 2: [1, 2]}[processes]  # of 16 clips, 4 windows; without and with recomputing


@pytest.mark.parametrize(
    ("name", "device", "settings", "said"),
    [  # at one second a step, by hand
        ("paper", "t4", {}, "3.5 to 9.8 h for 15,000 steps, 15 passes over about 16,000 windows of a2d"),
        ("colab", "t4", {"data.name": "ref_davis", "train.minutes": 102.0},
         "2,600 to 7,200 steps in 1.7 h, 0.56 to 1.6 passes over about 37,000 windows of ref_davis"),
        ("colab", "cpu", {"data.name": "ref_davis", "train.minutes": 600.0, "train.steps": 35_000},
         "30,000 to 35,000 steps in 10 h, 6.5 to 7.6 passes over about 37,000 windows of ref_davis"),
        ("tiny", "cuda", {"data.toy_clips": 36_000},
         "1 to 3.5 h for 9,000 steps, 4 passes over 36,000 windows of toy"),
        ("colab", "l4", {"data.name": "jhmdb"}, "not known: jhmdb has nothing to count without --data.root"),
    ],
)  # fmt: skip
def test_the_time_of_a_run_follows_from_that_of_its_steps(name, device, settings, said):
    assert run_of(CostCommand(**vars(preset(name, **settings)), device=device), 1.0) == said


def test_a_data_set_that_is_here_is_counted(toy_a2d_root):
    settings = {"data.root": str(toy_a2d_root), "train.epochs": 2.0, "train.batch": 1}
    config = preset("colab", **settings)
    count = len(A2DSentences(toy_a2d_root, "train"))  # a toy world's validation part is another
    said = run_of(CostCommand(**vars(config)), 3600.0)
    assert said.endswith(f"h for {2 * count} steps, 2 passes over {count} windows of a2d")


def test_the_range_of_a_run_is_that_of_the_steps_measured_in_the_training_page():
    page = (Path(__file__).resolve().parents[2] / "docs/training.md").read_text(encoding="utf-8")
    tables = [part.split("\n\n")[0] for part in page.split("| seconds measured | by data sheet |")[1:]]
    lines = [line for table in tables for line in table.splitlines()[2:]]
    rows = [[float(x) for x in re.findall(r"\| (\d\.\d+)", line)[-3:]] for line in lines]
    assert len(tables) == 3 and len(rows) >= 27
    for column, source in ((1, "sheet"), (2, "cuda")):
        ratios = [row[0] / row[column] for row in rows]
        assert TOOK[source][0] <= min(ratios) <= 1.1 * TOOK[source][0]
        assert max(ratios) <= TOOK[source][1] <= 1.1 * max(ratios)


def test_modern_trains_on_one_gpu_of_16_gb():
    made = count_cost(preset("modern"), gpu=True)
    assert 50e6 < made.parameters < 60e6 and made.parameters == made.trained
    assert 5e9 < made.needed(gpu=True) < 15e9
    assert made.peak == pytest.approx(9.11e9, rel=0.03), "as an H100 held"


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="train.batch 8 does not divide among 3 processes of 1 parts"):
        count_cost(CONFIGS["tiny"], 3)
    assert describe.__doc__


def test_scores_to_expect_in_the_training_page_are_published_ones():
    page = (Path(__file__).resolve().parents[2] / "docs/training.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| ([^|]+) \| `(\w+)`, (\S+) \| ([^|]+) \|", page[page.index("### How good") :])
    assert len(rows) >= 8
    for method, dataset, split, numbers in rows:
        (row,) = (r for r in published_results(dataset) if (r.method, r.split) == (method.strip(), split))
        said = re.findall(r"(\S.*?) (\d+\.\d+)(?:, )?", numbers)
        names = {"overall IoU": "overall_iou", "mean IoU": "mean_iou"}
        assert said and all(row.metrics[names.get(name, name)] == float(value) for name, value in said)
