"""DTSE and three ideas of the field on the diagnostic world: trained by the study's recipe, scored on what is held out.

    python benchmarks/diagnostic.py --out runs/diagnostic --json benchmarks/diagnostic.json

Everything is drawn in memory, once for all methods. `shipped` is the package's checkpoint as it is: it learned on
level 1, and spells words that level 1 lacks letter by letter. The same command resumes a stopped run. Several, each
with --methods of its own, can share one --out; the JSON has what all of them have scored.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from baselines import BASELINES

from dtse_core import DTSE
from dtse_core.checkpoints.find import checkpoint_folder
from dtse_core.config import DataConfig, RunConfig, preset
from dtse_core.data.build import build_dataset
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.level2.slices import THEMES
from dtse_core.data.toy.level2.world import VERSION
from dtse_core.experiments.diagnosis import Results, rows_of
from dtse_core.predict import unknown_words
from dtse_core.scoring.clips import evaluate
from dtse_core.scoring.diagnosis import CEILINGS, diagnose
from dtse_core.shared import markdown
from dtse_core.shared.console import Parser, one_line_errors
from dtse_core.shared.files import ANY, read_json, require_ours, write_json
from dtse_core.shared.versions import RESULT_KEYS, versions
from dtse_core.train import train

METHODS = ("shipped", "dtse", "late_concat", "temporal_duplex", "query_transformer")
SPLITS = ("test", *THEMES)
METRICS = ("mean_iou", "answered", "rejected")  # what is kept of a diagnosis
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
    found = diagnose(samples, told)
    return {group: _rounded(found[group]) for group in rows_of(found, split).values()}


def _rounded(group: dict[str, Any]) -> dict[str, Any]:
    metrics, intervals = group["metrics"], group["intervals"]
    names = [name for name in METRICS if name in metrics]
    ends = {name: [round(end, 4) for end in intervals[name]] for name in names}
    return {"count": group["count"], "metrics": {n: round(metrics[n], 4) for n in names}, "intervals": ends}


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


def table(scores: Results) -> list[str]:
    """The lines of a table in Markdown: a method a column, in percent with 95 % intervals."""
    methods = list(scores["test"])
    shown = [(row, split, group, "mean_iou") for split in scores for row, group in _rows(scores, split)]
    shown += [(f"test, {metric}", "test", "all", metric) for metric in ("answered", "rejected")]
    lines = [["mean IoU", "blinded, at best", *(name.replace("_", " ") for name in methods)]]
    for row, split, group, metric in shown:
        best = f"{100 * CEILINGS[row]:.0f}" if row in CEILINGS else ""
        lines.append([row, best, *(_percent(scores[split][method][group], metric) for method in methods)])
    return list(markdown.table(lines))


def _rows(scores: Results, split: str) -> Iterable[tuple[str, str]]:
    return rows_of(next(iter(scores[split].values())), split).items()


def _percent(group: dict[str, Any], metric: str) -> str:
    ends = (group["metrics"][metric], *group["intervals"][metric])
    return "{:.0f} ({:.0f} to {:.0f})".format(*(100 * end for end in ends))


def run(c: argparse.Namespace) -> dict[str, Any]:
    """Makes what is not there yet, and returns all scores."""
    files, data = c.out / "scores", recipe("dtse", c.out, c.steps).data
    todo = [(m, s) for m in c.methods for s in SPLITS if not (files / f"{m}_{s}.json").is_file()]
    answering = {method: cache(partial(trained, method, c.out, c.steps)) for method in c.methods}
    begun = time.monotonic()
    for k, (method, split) in enumerate(todo, 1):
        found = kept(files / f"{method}_{split}.json", score, answering[method], files, data, split)
        left = (time.monotonic() - begun) / k * (len(todo) - k) / 60
        mean = next(iter(found.values()))["metrics"]["mean_iou"]
        print(f"{method}, {split}: mean IoU {mean:.3f}; {left:.0f} minutes left", flush=True)
    scored = {s: {m: files / f"{m}_{s}.json" for m in METHODS} for s in SPLITS}
    whole = [m for m in METHODS if all(scored[s][m].is_file() for s in SPLITS)]
    scores = {s: {m: read_json(scored[s][m])["found"] for m in whole} for s in SPLITS}
    about = {"world": VERSION, "steps": c.steps, "unknown_words": spelled(files)}
    return about | {"scores": scores, "versions": versions()}


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
    print("\n".join(table(result["scores"])))
    if c.json:
        write_json(c.json, result, RESULT_KEYS)
        print(f"written: {c.json}")


if __name__ == "__main__":
    main()
