"""An outside method on the diagnostic world: it learns from masks which colors a sentence is about.

    python docs/outsider.py WORLD SPLIT OUT

It knows the world's files, written in the layout of MeViS, and nothing else: it learns from WORLD/train, answers the
sentences of a split, and writes OUT/<video>/<expression>/<frame>.png for `evaluate --masks`. For every word it counts
which colors lie inside the masks of its sentences, and which outside; a pixel is marked where the words of a sentence
together speak for its color. Change `learn` and `answer` to try a method of your own.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

LEVELS = 8  # of each channel: 512 colors
SEEN = 4  # frames of each training clip


def main(world: Path, split: str, out: Path) -> None:
    for needed in ("toy_world.json", "train/meta_expressions.json", "valid_u/meta_expressions.json"):
        if not (world / needed).is_file():
            sys.exit(f"{world / needed} is missing; make_toy_world.py --layout mevis --level 2 writes it")
    splits = json.loads((world / "toy_world.json").read_text(encoding="utf-8"))["splits"]
    del splits["train"]
    if split not in splits:
        sys.exit(f"{world} has no split {split!r} to answer; it has {', '.join(splits)}")
    worth, threshold = learn(world / "train")
    videos = json.loads((world / "valid_u/meta_expressions.json").read_text(encoding="utf-8"))["videos"]
    for name in splits[split]:
        frames = videos[name]["frames"]
        colors = [read_colors(world / f"valid_u/JPEGImages/{name}/{frame}.jpg") for frame in frames]
        for number, expression in videos[name]["expressions"].items():
            folder = out / name / number
            folder.mkdir(parents=True, exist_ok=True)
            chosen = answer(worth, expression["exp"]) > threshold
            for frame, color in zip(frames, colors, strict=True):
                Image.fromarray(chosen[color]).save(folder / f"{frame}.png")
    print(f"{out}: masks of {len(splits[split])} videos")


def learn(folder: Path) -> tuple[dict[str, np.ndarray], float]:
    """How much each word speaks for each color (512,), and the threshold that suits the training sentences best."""
    examples = list(read_examples(folder))
    inside, outside = (defaultdict(lambda: np.ones(LEVELS**3)) for _ in range(2))
    for sentence, meant, shown in examples:
        for word in sentence.split():
            inside[word] += meant
            outside[word] += shown - meant
    worth = {word: np.log(inside[word] / inside[word].sum() * outside[word].sum() / outside[word]) for word in inside}

    def mean_iou(threshold: float) -> float:
        ious = []
        for sentence, meant, shown in examples:
            chosen = answer(worth, sentence) > threshold
            union = meant[~chosen].sum() + shown[chosen].sum()
            ious.append(meant[chosen].sum() / union if union else 1.0)
        return float(np.mean(ious))

    return worth, max(np.arange(0, 5, 0.25), key=mean_iou)


def answer(worth: dict[str, np.ndarray], sentence: str) -> np.ndarray:
    """How much a sentence speaks for each color (512,): the mean over its words; unknown ones count nothing."""
    return np.mean([worth.get(word, np.zeros(LEVELS**3)) for word in sentence.split()], 0)


# ------------------------------------------------------------------------------------------ files


def read_examples(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Of each sentence: its text, and the pixels of each color (512,) that it means, and that are there at all."""
    videos = json.loads((folder / "meta_expressions.json").read_text(encoding="utf-8"))["videos"]
    masks = json.loads((folder / "mask_dict.json").read_text(encoding="utf-8"))
    for name, video in videos.items():
        some = np.linspace(0, len(video["frames"]) - 1, SEEN).astype(int)
        colors = np.stack([read_colors(folder / f"JPEGImages/{name}/{video['frames'][k]}.jpg") for k in some])
        for expression in video["expressions"].values():
            meant = np.zeros(colors.shape, bool)
            for annotation in expression["anno_id"]:
                meant |= np.stack([decode(masks[str(annotation)][k], colors.shape[1:]) for k in some])
            counts = [np.bincount(those, minlength=LEVELS**3) for those in (colors[meant], colors.ravel())]
            yield expression["exp"], *counts


def read_colors(path: Path) -> np.ndarray:
    """A picture (H, W) in which each pixel's color is one of 512 numbers."""
    red, green, blue = np.moveaxis(np.asarray(Image.open(path).convert("RGB")).astype(int) * LEVELS // 256, 2, 0)
    return (red * LEVELS + green) * LEVELS + blue


def decode(rle: dict | None, shape: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) of COCO's compressed run lengths; nothing of None."""
    if rle is None:
        return np.zeros(shape, bool)
    runs, number, shift = [], 0, 0
    for code in (character - 48 for character in rle["counts"].encode()):
        number |= (code & 31) << shift
        shift += 5
        if not code & 32:  # the last of this number
            number -= (code & 16) << shift - 4  # its sign
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    height, width = shape
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
