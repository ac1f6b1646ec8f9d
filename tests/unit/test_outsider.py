"""The outsider's program learns from the files alone, and what it writes is scored."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dtse_core.config import DataConfig
from dtse_core.data.build import build_dataset
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.evaluate import EvaluateCommand, run_command

PROGRAM = Path(__file__).resolve().parents[2] / "docs/outsider.py"
ALONE = """
import runpy, sys
sys.modules["dtse_core"] = None  # an import of it fails
before = set(sys.modules)
runpy.run_path("outsider.py", run_name="__main__")
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the program, and a world of 26 clips to learn from and 13 to answer."""
    place = tmp_path_factory.mktemp("outsider")
    write_toy(place / "world", {"train": 26, "test": 13}, "mevis", height=32, width=48, level=2)
    shutil.copy(PROGRAM, place)
    return place


def run(place, *arguments):
    command = [sys.executable, "-I", "-c", ALONE, *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, encoding="utf-8")


def test_an_outsider_needs_the_files_alone_and_beats_answers_that_never_change(place):
    done = run(place, "world", "test", "masks")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"PIL", "numpy"} <= loaded and not loaded & {"dtse_core", "torch", "pycocotools", "scipy", "h5py"}

    data = DataConfig("mevis", str(place / "world"))
    result = run_command(EvaluateCommand(masks=str(place / "masks"), split="test", data=data))
    dataset = build_dataset(data, "test", 1)
    assert result["counts"]["sentences"] == len(dataset.videos)
    truths = [[dataset.read_target(video, k)[0] for k in range(len(video.frames))] for video in dataset.videos]
    nothing, everything = (
        np.mean([np.mean([worth(truth) for truth in film]) for film in truths])
        for worth in (lambda truth: not truth.any(), np.mean)
    )
    assert result["metrics"]["J"] > 2 * max(nothing, everything) > 0


def test_an_outsider_is_told_what_was_wrong(place):
    done = run(place, "world", "tests", "masks")
    assert (done.returncode, done.stderr) == (1, "world has no split 'tests' to answer; it has test\n")
    assert "outsider.py WORLD SPLIT OUT" in run(place, "world").stderr
    assert "has no split 'train' to answer; it has test" in run(place, "world", "train", "out").stderr
    assert "toy_world.json is missing; make_toy_world.py --layout mevis" in run(place, "nowhere", "test", "out").stderr
