"""DTSE and three ideas of the field on the diagnostic world: trained by the study's recipe, scored on what is held out.

    python benchmarks/diagnostic.py --out runs/diagnostic --json benchmarks/diagnostic.json

Everything is drawn in memory, once for all methods. `shipped` is the package's checkpoint as it is: it learned on
level 1, and spells by letters what level 1 does not say. The same command goes on where it was stopped. Several, each
with --methods of its own, can work on one --out at a time; the JSON has what all of them have scored.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from baselines import BASELINES

from dtse_core import DTSE
from dtse_core.checkpoints.find import checkpoint_folder
from dtse_core.config import DataConfig, RunConfig, preset
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import KINDS
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.level2.slices import THEMES
from dtse_core.data.toy.level2.world import VERSION
from dtse_core.predict import unknown_words
from dtse_core.scoring.clips import evaluate
from dtse_core.scoring.diagnosis import diagnose
from dtse_core.shared import markdown
from dtse_core.shared.console import Parser, one_line_errors
from dtse_core.shared.files import ANY, read_json, require_ours, write_json
from dtse_core.shared.versions import RESULT_KEYS, versions
from dtse_core.train import train

METHODS = ("shipped", "dtse", "late_concat", "temporal_duplex", "query_transformer")
SPLITS = ("test", *THEMES)
GROUPS = ("all", "asked", "control", *KINDS)  # what is kept of a diagnosis,
METRICS = ("mean_iou", "rejected", "answered")  # and by which scores, each with the ends of its interval
BATCH = 16  # clips of a step


def recipe(method: str, out: Path, steps: int) -> RunConfig:
    """That of dtse_core/experiments/study on level 2: each clip once, and the same batches for all methods."""
    settings = {"data.level": 2, "data.cache": str(out / "clips"), "data.toy_clips": BATCH * steps}
    settings |= {"train.steps": steps, "train.warmup": min(100, steps // 10), "train.checkpoint_every": 50}
    settings |= {"train.eval_every": 0, "train.eval_samples": 100}  # a validation changes nothing in the weights
    return preset("tiny", out=str(out / method), **settings)


def trained(method: str, out: Path, steps: int) -> tuple[torch.nn.Module, Any]:
    """A method's model after its training, and its tokenizer."""
    if method == "shipped":
        return DTSE.from_pretrained(checkpoint_folder("tiny")), load_tokenizer("tiny-bert", level=1)
    kind = BASELINES.get(method, DTSE)
    folder = train(recipe(method, out, steps), make_model=kind)
    return kind.from_pretrained(folder), load_tokenizer("tiny-bert", level=2)


def score(answering: Callable[[], tuple[torch.nn.Module, Any]], files: Path, data: DataConfig, split: str) -> dict:
    """What is kept of the diagnosis of a split, of which each clip asks one sentence about one frame."""
    model, tokenizer = answering()
    dataset = build_dataset(data, split, model.config.window, model.config.causal)
    told = {(video, text): tuple(about) for video, text, *about in kept(files / f"{split}.json", programs, dataset)}
    samples = evaluate(model, dataset, tokenizer, data.size, torch.device("cpu"), max_words=data.max_words)
    found, result = diagnose(samples, told), {}
    found |= {} if split == "test" else {"asked": found.get("asked", found["all"])}  # some slices have no controls
    for group in (group for group in GROUPS if group in found):
        metrics, intervals = found[group]["metrics"], found[group]["intervals"]
        values = {name: (metrics[name], *intervals[name]) for name in METRICS if name in metrics}
        result[group] = {"count": found[group]["count"]} | {n: [round(v, 4) for v in e] for n, e in values.items()}
    return result


def programs(dataset) -> list[list]:
    """Video, sentence, depth and family, in rows."""
    return [[*said, *about] for said, about in dataset.programs().items()]


def spelled(files: Path) -> float:
    """The share of the words of `test` that the shipped checkpoint does not know."""
    said, tokenizer = [text for _, text, *_ in read_json(files / "test.json")["found"]], load_tokenizer("tiny-bert")
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
    rows = [["", *(method.replace("_", " ") for method in scores)]]
    for name, split, group, metric in (
        ("`test`, mean IoU", "test", "all", "mean_iou"),
        ("`test`, rejected where nothing is to be marked", "test", "all", "rejected"),
        ("`test`, answered where something is", "test", "all", "answered"),
        *((f"`{split}`, mean IoU", split, "asked", "mean_iou") for split in THEMES),
        *((f"`{split}`, its controls", split, "control", "mean_iou") for split in THEMES if split != "guidance"),
    ):
        rows.append([name, *(percent(of[split][group][metric]) for of in scores.values())])
    return [line.replace("\\`", "`") for line in markdown.table(rows)]


def run(c: argparse.Namespace) -> dict[str, Any]:
    """Makes what is not there yet, and returns all scores."""
    files, data = c.out / "scores", recipe("dtse", c.out, c.steps).data
    todo = [(m, s) for m in c.methods for s in SPLITS if not (files / f"{m}_{s}.json").is_file()]
    answering = {method: cache(partial(trained, method, c.out, c.steps)) for method in c.methods}
    begun = time.monotonic()
    for k, (method, split) in enumerate(todo, 1):
        found = kept(files / f"{method}_{split}.json", score, answering[method], files, data, split)
        left = (time.monotonic() - begun) / k * (len(todo) - k) / 60
        print(f"{method}, {split}: mean IoU {found['all']['mean_iou'][0]:.3f}; {left:.0f} minutes left", flush=True)
    done = {m: {s: files / f"{m}_{s}.json" for s in SPLITS} for m in METHODS}
    done = {m: {s: read_json(f)["found"] for s, f in of.items() if f.is_file()} for m, of in done.items()}
    result = {"world": VERSION, "steps": c.steps, "unknown_words": spelled(files)}
    return result | {"scores": {m: of for m, of in done.items() if len(of) == len(SPLITS)}, "versions": versions()}


def parse_command(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser("python benchmarks/diagnostic.py", description=__doc__, formatter_class=form)
    parser.add_argument("--out", type=Path, default=Path("runs/diagnostic"), help="folder of all that is made")
    parser.add_argument("--json", type=Path, help="file for the scores")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, metavar="NAME", help="default: all")
    parser.add_argument("--steps", type=int, default=600, help="of training, 16 clips each (600)")
    return parser.parse_args(arguments)


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
