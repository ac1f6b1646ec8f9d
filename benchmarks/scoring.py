"""Four benchmarks of what surrounds the model: scoring masks, reading clips, feeding a training, and drawing them."""

import functools
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from measure import compare, measured
from PIL import Image
from torch.utils.data import DataLoader

from dtse_core.config import preset
from dtse_core.data import A2DSentences
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import window_indices
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.level2.clips import DiagnosticClips
from dtse_core.data.toy.world import ToyWorld
from dtse_core.metrics import contour
from dtse_core.scoring.video_metrics import j_and_f
from dtse_core.shared.images import read_rgb
from dtse_core.training.batches import TrainingSamples, batch_order, collate_training


def metrics() -> list[dict]:
    """J and F of 1,000 masks of 480 x 854, vos-benchmark's evaluator over ours."""
    import cv2
    from vos_benchmark.evaluator import Evaluator

    cv2.setNumThreads(1)

    def theirs(masks: np.ndarray, targets: np.ndarray, turns: int):
        for _ in range(turns):
            evaluator = Evaluator()
            for mask, target in zip(masks.view(np.uint8), targets.view(np.uint8), strict=True):
                evaluator.feed_frame(mask, target)
        return [values[1] / 100 for values in evaluator.conclude()]

    def ours(masks: np.ndarray, targets: np.ndarray, turns: int):
        for _ in range(turns):
            scores = j_and_f(masks, targets)
        return scores.mean(axis=0)

    results = []
    for part, cell in (("large objects", 240), ("small objects everywhere", 60)):
        targets, masks = blobs(50, cell)
        assert np.allclose(ours(masks, targets, 1), theirs(masks, targets, 1), rtol=0, atol=1e-6)
        sides = {o.__name__: functools.partial(o, masks, targets, 20) for o in (theirs, ours)}
        length = round(float(np.mean([np.count_nonzero(contour(target)) for target in targets])))
        about = {"masks": 1000, "frame": [480, 854], "contour_pixels": length}
        results.append(compare("metrics", ">= 3", sides, part=part, **about))
    return results


def blobs(frames: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth masks about `cell` pixels across, and the same ones slightly disturbed: (frames, 480, 854) bool each."""
    torch.manual_seed(0)
    coarse = torch.randn(2, frames, 480 // cell + 2, 854 // cell + 2)
    smooth, disturbance = F.interpolate(coarse, (480, 854), mode="bicubic")
    return (smooth > 0.6).numpy(), (smooth + 0.15 * disturbance > 0.6).numpy()


def decode() -> list[dict]:
    """Toy A2D clips through the loader, masks included: frames a second over those of bare PyAV for the same."""
    import av

    def window(path: str, wanted: list[int]) -> list[np.ndarray]:
        """The wanted frames, decoded from the file's start as in PyAV's documentation, in one thread."""
        with av.open(path) as container:
            container.streams.video[0].thread_count = 1
            frames = itertools.islice(container.decode(video=0), max(wanted) + 1)
            found = {k: frame.to_ndarray(format="rgb24") for k, frame in enumerate(frames) if k in wanted}
        return [found[k] for k in wanted]

    results = []
    for size, bound in (((320, 480), ">= 0.9"), ((96, 144), None)):  # as high as A2D's clips; the toy world's default
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "a2d"
            write_toy(root, {"test": 4}, height=size[0], width=size[1])
            dataset = A2DSentences(root)
            asked = [window_of(dataset, sample) for sample in dataset.samples]

            def bare(asked=asked):
                return [window(path, wanted) for path, wanted in asked]

            def loader(dataset=dataset):
                return [dataset[k].frames for k in range(len(dataset))]

            assert all(np.array_equal(a, b) for a, b in zip(loader(), bare(), strict=True))
            about = {"part": f"{size[0]} x {size[1]}", "frames": sum(len(wanted) for _, wanted in asked)}
            results.append(compare("decode", bound, {"bare": bare, "loader": loader}, **about))
    return results


def window_of(dataset: A2DSentences, sample) -> tuple[str, list[int]]:
    """The file that a sample's frames come from, and their indices."""
    length = dataset.videos[sample.video].length
    indices, _ = window_indices(int(sample.stem) - 1, length, dataset.window, dataset.offset)
    return str(dataset.clips / f"{sample.video}.mp4"), indices


def loading(batches: int = 8, height: int = 480, width: int = 854) -> list[dict]:
    """Clips for the `colab` preset from files like those of Ref-DAVIS17, against the 30 a second that it is to have.

    By the processor time of one process, which has to manage half of them, and by the clock with two workers.
    """
    with tempfile.TemporaryDirectory() as root:
        write_toy(Path(root) / "davis", {"train": 2}, "ref_davis", 0, height, width)
        size = [photograph(path) for path in sorted(Path(root).rglob("*.jpg"))]
        config = preset("colab", **{"data.name": "ref_davis", "data.root": f"{root}/davis"})
        dataset, batch = build_dataset(config.data, "train", config.model.window), config.train.batch
        samples = TrainingSamples(dataset, 0, config.data.flip, config.train.sentences)
        collate = functools.partial(
            collate_training, tokenizer=load_tokenizer("tiny-bert", config.data.level), data=config.data
        )
        order = list(itertools.islice(batch_order(len(dataset), batch, 0), batches + 1))

        def alone():
            for keys in order[1:]:
                collate([samples[key] for key in keys])

        def rate(workers: int) -> float:
            """Clips a second after the first batch, for which processes have to start."""
            loaded = iter(DataLoader(samples, batch_sampler=order, collate_fn=collate, num_workers=workers))
            start = time.perf_counter() if next(loaded) else 0.0
            return batch * sum(1 for _ in loaded) / (time.perf_counter() - start)

        def share(run) -> float:
            """Clips a second of one core."""
            start = time.process_time()
            run()
            return batch * batches / (time.process_time() - start)

        about = {"preset": "colab", "frame": [height, width], "bytes": round(float(np.mean(size)))}
        sides = {"one process": lambda: share(alone), "half of 30": lambda: 15.0}
        both = {"two workers": lambda: rate(2), "30": lambda: 30.0}
        return [
            measured("loading", ">= 1", sides, lambda run: run(), "clips a second", part="processor time", **about),
            measured("loading", ">= 1", both, lambda run: run(), "clips a second", part="two workers", **about),
        ]


def photograph(path: Path) -> int:
    """Roughens a drawn frame as photographs are, at all scales; returns the size of the file."""
    generator = torch.Generator().manual_seed(len(path.name))
    x = torch.from_numpy(read_rgb(path)).float().permute(2, 0, 1)[None]  # (1, 3, H, W)
    for cell in (1, 2, 4, 8, 16):
        coarse = torch.randn(1, 3, x.shape[2] // cell + 1, x.shape[3] // cell + 1, generator=generator)
        x = x + 6 * F.interpolate(coarse, x.shape[2:], mode="bilinear")
    Image.fromarray(x[0].permute(1, 2, 0).clamp(0, 255).byte().numpy()).save(path, quality=90)
    return path.stat().st_size


def draw_level2() -> list[dict]:
    """Whole clips of the toy world, scenes included, as many frames of each level: the second level over the first."""

    def draw(world: ToyWorld, k: int) -> int:
        scene = world.scene(k)
        return len(world.draw(scene, range(scene.length))[0])

    one, two = ToyWorld("test"), DiagnosticClips("test")  # 96 x 144
    frames = sum(draw(two, k) for k in range(13))  # a clip of each kind of sentences
    counts = itertools.accumulate(draw(one, k) for k in range(100))
    clips = 1 + next(k for k, count in enumerate(counts) if count >= frames)
    sides = {
        "level 2": lambda: [draw(two, k) for k in range(13)],
        "level 1": lambda: [draw(one, k) for k in range(clips)],
    }
    result = compare("draw_level2", "<= 1.2", sides, frame=[96, 144], frames=frames)
    return [result | {"frames_a_second": {side: round(frames / s) for side, s in result["sides"].items()}}]
