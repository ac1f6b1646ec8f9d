"""Does a process that works for long keep what it should give back?

    python benchmarks/soak.py --minutes 30 --frames 2000 --figure figures/soak.png

For so many minutes one process trains, evaluates, predicts into a film and a folder of masks, and draws the explorers
of notebook 10, round after round, all on a toy world in files. Then it streams a video of so many frames. After each
round, and every hundred frames, it notes its resident memory, open files, threads, child processes and temporary
folders. Once warmed up, memory must stay within 5 % and nothing else may grow: exit status 1 if something does.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import psutil

matplotlib.use("Agg")  # figures are drawn and shown to nobody
import matplotlib.pyplot as plt

from dtse_core import ReferringVideoPredictor, preset
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.world import ToyWorld
from dtse_core.evaluate import parse_command, run_command
from dtse_core.notebook.explore import explore
from dtse_core.notebook.inside import Lens
from dtse_core.notebook.views import draw_filters, draw_shuffle, draw_swap, draw_words
from dtse_core.train import train
from dtse_core.video.export import write_prediction
from dtse_core.video.files import iterate_frames, video_fps
from dtse_core.video.film import use_style

SENTENCES = ["the dog walking towards the left", "a dog walking towards the right"]
WITHIN = 0.05  # of the memory once warm
WARM = 0.3  # the first part of the notes, in which libraries load and allocators settle


def held(temporary: Path) -> dict[str, float]:
    """What this process holds now."""
    gc.collect()
    own = psutil.Process()
    return {
        "memory_mb": own.memory_info().rss / 2**20,
        "files": own.num_fds() if hasattr(own, "num_fds") else own.num_handles(),
        "threads": threading.active_count(),
        "processes": len(own.children(recursive=True)),
        "temporary": sum(1 for _ in temporary.iterdir()),
    }


def a_round(place: Path, world: Path, predictor: ReferringVideoPredictor) -> None:
    """Everything once, in an empty folder."""
    data = {"data.name": "a2d", "data.root": str(world), "data.workers": 0, "out": str(place / "run")}
    config = preset("tiny", **data, **{"train.batch": 4, "train.steps": 4, "train.eval_every": 2})
    for _ in range(2):  # the second time it says that the run is finished
        train(config)
    run_command(parse_command(["--checkpoint", str(place / "run"), "--pictures", str(place / "pictures")]))
    for out in ("film.mp4", "masks"):
        steps = predictor.stream("example", SENTENCES, None)
        write_prediction(steps, SENTENCES, str(place / out), video_fps("example"), "example")
    draw_all(Lens(predictor, [ToyWorld("val", window=3, offset=6)[0]]))


def draw_all(lens: Lens) -> None:
    """Each explorer once, of the first clip."""
    word = lens.clips[0].expression.split()[-1]
    for draw in (
        partial(draw_words, lens, 0, word=word, row=2, column=5),
        partial(draw_filters, lens, 0, row=2, column=7),
        partial(draw_swap, lens, 0, word=word, by="cat"),
        partial(draw_shuffle, lens, order="exchanged", clip=0),
    ):
        explore(draw)
        plt.close("all")  # as a notebook does once it has shown them


def frames(count: int) -> Iterator[np.ndarray]:
    """The clip "example", played over and over."""
    clip = list(iterate_frames("example"))
    yield from (clip[k % len(clip)] for k in range(count))


def grown(notes: list[dict[str, float]]) -> dict[str, str]:
    """What grew after the warm-up, by name; memory by the medians of the first and the last third, all else at all."""
    warm = notes[round(WARM * len(notes)) :]
    third = max(1, len(warm) // 3)
    before, after = (statistics.median(n["memory_mb"] for n in part) for part in (warm[:third], warm[-third:]))
    found = {"memory_mb": f"{before:.0f} to {after:.0f}"} if after > (1 + WITHIN) * before else {}
    for name in notes[0].keys() - {"memory_mb"}:
        if warm[-1][name] > warm[0][name]:
            found[name] = f"{warm[0][name]:.0f} to {warm[-1][name]:.0f}"
    return found


def soak(minutes: float, count: int, say: Callable[[str], None] = print) -> dict:
    """Runs both parts; the result has every note and what grew."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, "temporary")
        temporary.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)  # what others leave is then seen
        try:
            return _soak(minutes, count, Path(folder), temporary, say)
        finally:
            tempfile.tempdir = None
            del os.environ["TMPDIR"]


def _soak(minutes: float, count: int, folder: Path, temporary: Path, say: Callable[[str], None]) -> dict:
    world = folder / "world"
    write_toy(world, {"train": 8, "val": 4, "test": 6, "compositional": 2, "twins": 2}, workers=1)
    predictor = ReferringVideoPredictor.from_pretrained("tiny", "cpu")
    rounds: list[dict[str, float]] = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end or len(rounds) < 4:
        place = folder / "round"
        place.mkdir()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            a_round(place, world, predictor)
        shutil.rmtree(place)
        rounds.append(held(temporary))
        say(f"round {len(rounds)}: " + ", ".join(f"{name} {value:.0f}" for name, value in rounds[-1].items()))
    streamed: list[dict[str, float]] = []
    for step in predictor.stream(frames(count), SENTENCES, None):
        if step.index % 100 == 99:
            streamed.append(held(temporary))
            say(f"frame {step.index + 1}: memory_mb {streamed[-1]['memory_mb']:.0f}")
    parts = {"rounds": rounds, "streamed": streamed}
    return {"minutes": minutes, "frames": count, "grown": {k: grown(v) for k, v in parts.items()}, **parts}


def draw(result: dict, out: Path) -> None:
    """Memory after each round and along the video, and in gray the 5 % within which it must stay."""
    use_style()
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.2), sharey=True, layout="constrained")
    parts = {f"rounds in {result['minutes']:g} minutes": result["rounds"], "frames streamed": result["streamed"]}
    for ax, (what, notes), each in zip(axes, parts.items(), (1, 100), strict=True):
        memory = [note["memory_mb"] for note in notes]
        warm = statistics.median(memory[round(WARM * len(memory)) :])
        ax.axhspan((1 - WITHIN) * warm, (1 + WITHIN) * warm, color="0.93")
        ax.plot([each * (k + 1) for k in range(len(memory))], memory, marker=".")
        ax.set(xlabel=what, ylim=(0.8 * warm, 1.2 * warm))
    axes[0].set_ylabel("resident memory, MB")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write all notes here")
    parser.add_argument("--figure", type=Path, help="draw them here")
    options = parser.parse_args()
    os.environ["DTSE_HEADLESS"] = "1"
    for file in filter(None, (options.json, options.figure)):
        file.parent.mkdir(parents=True, exist_ok=True)  # before all those minutes
    result = soak(options.minutes, options.frames, partial(print, flush=True))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.figure:
        draw(result, options.figure)
    print({name: found or "nothing grew" for name, found in result["grown"].items()})
    sys.exit(1 if any(result["grown"].values()) else 0)


if __name__ == "__main__":
    main()
