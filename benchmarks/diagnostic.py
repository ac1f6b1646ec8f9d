"""DTSE and three ideas of the field on the diagnostic world: trained by the study's recipe, scored on whole videos.

    python benchmarks/diagnostic.py --out runs/diagnostic --json benchmarks/diagnostic.json

Training clips are drawn in memory, once for all methods; `test` and the slices are written as files and scored as
`python -m dtse_core.evaluate` scores them. `shipped` is the package's checkpoint as it is: it learned on level 1, and
spells by letters what level 1 does not say. The same command goes on where it was stopped. Several, each with
--methods of its own, can work on one --out once the files are there; the JSON has what all of them have scored.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baselines import BASELINES

from dtse_core import DTSE
from dtse_core.config import DataConfig, RunConfig, preset
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import KINDS, ReferringVideo, window_indices
from dtse_core.data.sentences import load_tokenizer, tokenize
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.data.toy.level2.slices import BLIND, THEMES, ceilings
from dtse_core.data.toy.level2.world import DiagnosticWorld
from dtse_core.data.transforms import resize_frames
from dtse_core.decoder import resize_logits
from dtse_core.predict import unknown_words
from dtse_core.scoring.answers import ModelAnswers
from dtse_core.scoring.protocols import protocol_for
from dtse_core.shared import markdown
from dtse_core.shared.console import Parser, one_line_errors
from dtse_core.shared.files import ANY, read_json, require_ours, write_json
from dtse_core.shared.images import read_images
from dtse_core.shared.versions import RESULT_KEYS, versions
from dtse_core.train import train

METHODS = ("shipped", "dtse", "late_concat", "temporal_duplex", "query_transformer")
SPLITS = ("test", *THEMES)
GROUPS = ("all", "asked", "control", *KINDS)  # what is kept of a diagnosis,
METRICS = ("mean_iou", "rejected", "answered")  # and by which scores, each with the ends of its interval
BATCH = 16  # clips of a step, sentences about one video
TOGETHER = 8  # frames that go through a baseline together


class WindowAnswers:
    """A baseline, asked in the way in which `ModelAnswers` is: it sees each window anew, and keeps nothing of it."""

    absent = frozenset()

    def __init__(self, model: torch.nn.Module, data: DataConfig):
        self.model, self.data, self.window = model.eval(), data, (model.config.window, model.config.causal)
        self.tokenizer = load_tokenizer(model.config.text, data.level)

    @torch.inference_mode()
    def masks(self, dataset, videos: Sequence[ReferringVideo]) -> Iterator[np.ndarray]:
        """The masks (S, H, W) bool of S sentences about one video, frame by frame."""
        words = tokenize([video.expression for video in videos], self.tokenizer, self.data.max_words, refuse=False)
        frames = read_images(dataset.frame_paths(videos[0]))
        (T, H, W), S, (window, causal) = frames.shape[:3], len(videos), self.window
        seen = resize_frames(frames, self.data.size)  # (T, 3, h, w)
        windows = [window_indices(t, T, window, self.data.frame_offset, causal)[0] for t in range(T)]
        for some in torch.tensor(windows).split(TOGETHER):  # (K, window)
            clips = seen[some].repeat(S, 1, 1, 1, 1)  # (S*K, window, 3, h, w)
            ids, word_mask = (part.repeat_interleave(len(some), 0) for part in words)  # (S*K, N) each
            masks = resize_logits(self.model(clips, ids, word_mask).logits, H, W) > 0  # (S*K, H, W)
            yield from masks.unflatten(0, (S, -1)).transpose(0, 1).numpy()


def recipe(method: str, out: Path, steps: int) -> RunConfig:
    """That of dtse_core/experiments/study on level 2: each clip once, and the same batches for all methods."""
    settings = {"data.level": 2, "data.cache": str(out / "clips"), "data.toy_clips": BATCH * steps}
    settings |= {"train.steps": steps, "train.warmup": min(100, steps // 10), "train.checkpoint_every": 50}
    settings |= {"train.eval_every": 0, "train.eval_samples": 100}  # a validation changes nothing in the weights
    return preset("tiny", out=str(out / method), **settings)


def trained(method: str, out: Path, steps: int, data: DataConfig) -> ModelAnswers | WindowAnswers:
    """Who answers for a method, after its training."""
    kind = BASELINES.get(method, DTSE)
    folder = "tiny" if method == "shipped" else train(recipe(method, out, steps), make_model=kind)
    if kind is DTSE:
        return ModelAnswers(str(folder), data, torch.device("cpu"), BATCH)
    return WindowAnswers(kind.from_pretrained(folder), data)


def score(answers: Callable[[], ModelAnswers | WindowAnswers], data: DataConfig, split: str) -> dict[str, Any]:
    """What is kept of the diagnosis of a split."""
    who = answers()
    protocol = protocol_for(build_dataset(data, split, *who.window), who, BATCH)
    found, kept = protocol.summary(protocol.score())["diagnosis"], {}
    found |= {} if split == "test" else {"asked": found.get("asked", found["all"])}  # some slices have no controls
    for group in (group for group in GROUPS if group in found):
        metrics, intervals = found[group]["metrics"], found[group]["intervals"]
        values = {name: (metrics[name], *intervals[name]) for name in METRICS if name in metrics}
        kept[group] = {"count": found[group]["count"]} | {n: [round(v, 4) for v in ends] for n, ends in values.items()}
    return kept


def blinded(name: str, clips: int) -> float:
    """The best score on what the first `clips` clips of a slice ask, of the observers who must fail there."""
    world, each = DiagnosticWorld("test"), 1 if name == "granularity" else 2
    questions = [question for k in range(-(-clips // each)) for question in world.family(name, k)]
    found = ceilings([question for question in questions if not question.control])
    return round(max(found[observer] for observer in BLIND[name]), 4)


def spelled(data: DataConfig) -> float:
    """The share of the words of `test` that the shipped checkpoint does not know."""
    tokenizer = load_tokenizer("tiny-bert")
    said = [video.expression for video in build_dataset(data, "test", 1).videos]
    return round(sum(len(unknown_words(text, tokenizer)) for text in said) / len(" ".join(said).split()), 4)


def kept(file: Path, find: Callable, *arguments) -> Any:
    """What `find` gave once, for a file of this benchmark."""
    if not file.is_file():
        write_json(file, {"found": find(*arguments)}, ANY)
    return read_json(file)["found"]


def percent(ends: Sequence[float]) -> str:
    """A mean and its interval: 0.5, 0.4 and 0.6 are `50 (40 to 60)`."""
    return "{:.0f} ({:.0f} to {:.0f})".format(*(100 * end for end in ends))


def table(result: dict[str, Any]) -> list[str]:
    """The lines of the scores in Markdown: a method a column, in percent with 95 % intervals."""
    scores = result["scores"]
    rows = [["", "blinded, at best", *(method.replace("_", " ") for method in scores)]]
    for name, split, group, metric in (
        ("`test`, mean IoU", "test", "all", "mean_iou"),
        ("`test`, rejected where nothing fits", "test", "all", "rejected"),
        ("`test`, answered where something fits", "test", "all", "answered"),
        *((f"`{split}`, mean IoU", split, "asked", "mean_iou") for split in THEMES),
        *((f"`{split}`, its controls", split, "control", "mean_iou") for split in THEMES if split != "guidance"),
    ):
        best = f"{100 * result['blinded'][split]:.0f}" if group == "asked" else ""
        found = [of[split].get(group, {}).get(metric) for of in scores.values()]  # a short slice has no controls
        rows.append([name, best, *(percent(ends) if ends else "" for ends in found)])
    return [line.replace("\\`", "`") for line in markdown.table(rows)]


def parse_command(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser("python benchmarks/diagnostic.py", description=__doc__, formatter_class=form)
    parser.add_argument("--out", type=Path, default=Path("runs/diagnostic"), help="folder of all that is made")
    parser.add_argument("--json", type=Path, help="file for the scores")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, metavar="NAME", help="default: all")
    parser.add_argument("--steps", type=int, default=600, help="of training, 16 clips each (600)")
    parser.add_argument("--test", type=int, default=300, help="clips of the split test (300)")
    parser.add_argument("--slice", type=int, default=100, help="clips of each slice (100)")
    return parser.parse_args(arguments)


def run(c: argparse.Namespace) -> dict[str, Any]:
    """Makes what is not there yet, and returns all scores."""
    root, files, clips = c.out / "world", c.out / "scores", {"test": c.test} | dict.fromkeys(THEMES, c.slice)
    write_toy(root, clips, "mevis", level=2)
    drawn = recipe("dtse", c.out, c.steps).data
    data = replace(drawn, name="mevis", root=str(root), offset=drawn.frame_offset, cache="")
    toy = read_json(root / "toy_world.json")
    result = {"world": toy["settings"], "edition": toy["edition"], "steps": c.steps}
    result["unknown_words"] = kept(files / "unknown_words.json", spelled, data)
    result["blinded"] = {name: kept(files / f"blinded_{name}.json", blinded, name, c.slice) for name in THEMES}

    todo = [(m, s) for m in c.methods for s in SPLITS if not (files / f"{m}_{s}.json").is_file()]
    answers = {method: cache(partial(trained, method, c.out, c.steps, data)) for method in c.methods}
    begun = time.monotonic()
    for k, (method, split) in enumerate(todo, 1):
        found = kept(files / f"{method}_{split}.json", score, answers[method], data, split)
        left = (time.monotonic() - begun) / k * (len(todo) - k) / 60
        print(f"{method}, {split}: mean IoU {found['all']['mean_iou'][0]:.3f}; {left:.0f} minutes left", flush=True)
    done = {m: {s: files / f"{m}_{s}.json" for s in SPLITS} for m in METHODS}
    done = {m: {s: read_json(f)["found"] for s, f in of.items() if f.is_file()} for m, of in done.items()}
    return result | {"scores": {m: of for m, of in done.items() if len(of) == len(SPLITS)}, "versions": versions()}


@one_line_errors
def main() -> None:
    """Command line."""
    c = parse_command()
    if c.json:
        require_ours(c.json, RESULT_KEYS)
    torch.set_num_threads(1)
    result = run(c)
    print("\n".join(table(result)))
    if c.json:
        write_json(c.json, result, RESULT_KEYS)
        print(f"written: {c.json}")


if __name__ == "__main__":
    main()
