"""The benchmarks measure what they say: sides in turns, median of pairs, true peaks, one JSON object each."""

import itertools
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import measure

    return measure


@pytest.fixture
def bench(measure, monkeypatch):
    import bench

    monkeypatch.setattr(measure, "PAIRS", 1)
    return bench


def test_sides_take_turns_after_a_warm_up_and_the_median_of_the_pairs_counts(measure, monkeypatch):
    monkeypatch.setattr(measure, "PAIRS", 3)
    turns, values = [], {"a": iter([99, 1, 2, 30]), "b": iter([99, 1, 1, 10])}

    def take(side):
        turns.append(side)
        return next(values[side])

    result = measure.measured("x", "<= 2.5", {"one": "a", "two": "b"}, take, "units", part="p")
    assert "".join(turns) == "ab" * 4
    assert (result["ratio"], result["met"], result["pairs"], result["part"]) == (2, True, 3, "p")
    assert result["sides"] == {"one": 2, "two": 1}


def test_bounds_are_kept_on_their_own_side(measure):
    assert measure.meets(1.2, "<= 1.2") and not measure.meets(1.21, "<= 1.2")
    assert measure.meets(2.7, ">= 2.7") and not measure.meets(2.69, ">= 2.7")


@pytest.mark.parametrize(("threads", "clock"), [(1, "process_time"), (2, "perf_counter")])
def test_one_thread_is_timed_by_its_own_processor_time_and_more_by_the_wall(measure, monkeypatch, threads, clock):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(measure, "time", SimpleNamespace(**{clock: itertools.count().__next__}))  # has no other
    assert measure.compare("x", None, {"one": int, "two": int})["sides"] == {"one": 1, "two": 1}


def test_the_peak_counts_what_is_held_at_once(measure):
    def run():
        a = torch.ones(1000)  # 4,000 bytes
        b = a + 1  # 8,000 held
        del a
        return b + b  # 8,000 held again

    assert 8000 <= measure.peak_bytes(run) < 9000


def test_the_filter_allocates_nothing_but_its_output(bench):
    x, filters = torch.randn(2, 8, 20, 20), [torch.randn(2, 8, 9, 20, 20)]
    peak = bench.peak_bytes(lambda: bench.filter_forward(bench.dynamic_filter, 1, x, filters))
    assert peak <= 1.05 * x.nelement() * 4
    assert bench.peak_bytes(lambda: bench.filter_forward(bench.unfold, 1, x, filters)) >= 18 * x.nelement() * 4


def test_a_benchmark_prints_one_json_object(bench, monkeypatch, capsys):
    from functools import partial

    sides = {"a": partial(torch.ones, 9), "b": partial(torch.ones, 9)}
    monkeypatch.setitem(bench.BENCHMARKS, "memory", lambda: [bench.compare("memory", "<= 9", sides)] * 2)
    monkeypatch.setattr(sys, "argv", ["bench.py", "memory", "--json", "--pairs", "2"])
    bench.main()
    result = json.loads(capsys.readouterr().out)
    assert {"name", "ratio", "bound", "met", "pairs", "sides", "threads", "machine", "torch", "more"} <= result.keys()
    assert result["pairs"] == 2 and len(result["more"]) == 1 and result["machine"]["cores"] >= 1


def test_every_benchmark_stands_in_the_readme(bench):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(bench.BENCHMARKS) <= set(re.findall(r"`(\w+)`", text))


def test_scored_masks_are_disturbed_and_have_contours_of_their_size(bench):
    import scoring

    lengths = []
    for cell in (240, 60):
        targets, masks = scoring.blobs(2, cell)
        assert targets.shape == masks.shape == (2, 480, 854) and targets.dtype == bool
        assert 0 < (targets != masks).mean() < 0.2
        lengths.append(sum(scoring.contour(target).sum() for target in targets))
    assert 0 < 2 * lengths[0] < lengths[1]


def test_both_sides_of_predict_video_write_the_same_film_and_only_one_in_threads(bench, monkeypatch):
    from dtse_core.shared import processes

    used, make = [], processes.ahead
    monkeypatch.setattr(processes, "ahead", lambda *given: used.append(1) or make(*given))
    [result] = bench.predict_video(frames=5, height=36, width=64)
    assert result["sides"].keys() == {"one after the other", "side by side"}
    assert len(used) == 2 * 2  # a warm-up and a turn, each with a thread that reads and one that answers


def test_loading_counts_clips_a_second_against_half_of_thirty(bench):
    import scoring

    one, two = scoring.loading(batches=1, height=36, width=64)
    assert (one["part"], two["part"]) == ("processor time", "two workers")
    for result, needed in ((one, 15), (two, 30)):
        rate, limit = result["sides"].values()
        assert rate > 0 and limit == needed and result["met"] == (result["ratio"] >= 1)


def test_a_roughened_frame_is_as_large_a_file_as_a_photograph_of_its_size(bench, tmp_path):
    import scoring
    from PIL import Image

    Image.new("RGB", (854, 480), "gray").save(tmp_path / "a.jpg")
    smooth = (tmp_path / "a.jpg").stat().st_size
    assert smooth < 10_000 < 80_000 < scoring.photograph(tmp_path / "a.jpg") < 200_000
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (854, 480)


def test_both_sides_of_decode_read_the_same_frames(bench, toy_a2d_root):
    import numpy as np
    import scoring

    from dtse_core.video.files import read_frames

    dataset = scoring.A2DSentences(toy_a2d_root)
    for k in (0, len(dataset) - 1):
        assert np.array_equal(dataset[k].frames, read_frames(*scoring.window_of(dataset, dataset.samples[k])))


def test_a_gpu_is_measured_with_every_preset_in_every_precision_and_errors_are_rows(measure, tmp_path):
    import gpu

    whole = [(name, *changes.values()) for run, name, changes in gpu.plan(gpu.Command(tmp_path)) if run is gpu.steps]
    names, precisions = ("modern", "colab", "paper", "tiny"), ("no", "fp16", "bf16")
    assert sorted(row for row in whole if len(row) == 2) == sorted(itertools.product(names, precisions))
    assert [row[1:] for row in whole if len(row) > 2] == [("no", 2), ("no", True)]
    assert gpu.found_or_error(divmod, 1, 0)["error"].startswith("ZeroDivisionError: ")


def test_steps_of_the_training_loop_stand_beside_their_estimates(measure, tmp_path):
    import gpu

    changes = {"train.mixed_precision": "no", "train.batch": 2}
    found = gpu.steps(gpu.Command(tmp_path, device="cpu"), tmp_path, "tiny", changes)
    assert 2 < found["loss"] < 5  # four heads, ln 2 each, and dice
    speed = {"matmul": 1e30, "conv": 1e30, "memory": 1e30, "update": 1e30, "start": 1, "queued": True}
    rows = [
        {"row": "speed", "preset": "", **changes, "speed": speed},
        {"row": "steps", "preset": "tiny", **changes, **found},
    ]
    (tmp_path / "gpu.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    head, _, row = (line.strip("| ").split(" | ") for line in gpu.tables(tmp_path / "gpu.jsonl").splitlines())
    shown = dict(zip(head, row, strict=False))
    assert float(shown["seconds"]) == pytest.approx(found["seconds"], abs=1e-3)  # at any speed: one number, twice
    assert float(shown["by_operators"]) > 1000  # a second for each operator


@pytest.mark.parametrize(
    "odd",
    [
        {"seconds": None},
        {"held_gb": "9"},
        {"train.mixed_precision": ["no"]},
        {"speed": {"matmul": 1.0, "conv": 1.0}},
        {"speed": None},
    ],
)
def test_a_row_of_another_version_is_passed_over(measure, tmp_path, capsys, odd):
    import gpu

    row = {"row": "speed", "preset": "", "train.mixed_precision": "no"}
    (tmp_path / "gpu.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row | odd)}\n", encoding="utf-8")
    assert len(gpu.tables(tmp_path / "gpu.jsonl").splitlines()) == 2  # the head alone
    assert "line 2 is cut short or damaged, and passed over" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "rows.jsonl"], "no GPU can be used here; --device cpu tries the steps on the CPU"),
        (["--out", "rows.jsonl", "--tables", "True"], "rows.jsonl holds no row; measure some first"),
        (["--out", ".", "--device", "cpu"], "Is a directory"),
    ],
)
def test_what_cannot_be_measured_or_written_is_said_before_the_first_row(
    measure, tmp_path, monkeypatch, capsys, options, said
):
    import gpu

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "in_a_process", lambda *_: pytest.fail("a row was measured"))
    with pytest.raises(SystemExit):
        gpu.main()
    assert said in capsys.readouterr().err
    assert not (tmp_path / "rows.jsonl").exists()


def test_steps_that_are_all_skipped_are_counted_though_no_loss_is_logged(measure, tmp_path, monkeypatch):
    import gpu
    from accelerate import Accelerator

    monkeypatch.setattr(gpu, "WARM", 1)
    monkeypatch.setattr(gpu, "STEPS", 2)
    monkeypatch.setattr(Accelerator, "optimizer_step_was_skipped", True)
    changes = {"train.mixed_precision": "no", "train.batch": 2}
    found = gpu.steps(gpu.Command(tmp_path, device="cpu"), tmp_path, "tiny", changes)
    assert found["skipped"] == 3 and "loss" not in found
