"""DTSE and three ideas of the field on the diagnostic world: trained by the study's recipe, scored on what is held out.

    python benchmarks/diagnostic.py --out runs/methods --json runs/methods.json
    python -m dtse_core.experiments.diagnosis runs/methods/*.json --out runs/methods.png

Everything is drawn in memory, once for all methods. `shipped` is the package's checkpoint as it is: it learned on
level 1, and spells words that level 1 lacks letter by letter. The same command resumes a stopped run. Several, each
with --methods of its own, can share one --out; the JSON has what all of them have scored.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
from baselines import BASELINES

from dtse_core import DTSE
from dtse_core.checkpoints.find import checkpoint_folder
from dtse_core.config import Count, RunConfig, preset
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import ClipDataSet
from dtse_core.data.sentences import load_tokenizer
from dtse_core.data.toy.level2.slices import THEMES
from dtse_core.data.toy.level2.world import VERSION
from dtse_core.experiments.diagnosis import Results, read_results, rows_of
from dtse_core.predict import unknown_words
from dtse_core.scoring.clips import evaluate
from dtse_core.scoring.diagnosis import CEILINGS, diagnose
from dtse_core.shared import markdown
from dtse_core.shared.console import one_line_errors, parse
from dtse_core.shared.files import ANY, read_json, require_ours, write_json
from dtse_core.shared.versions import RESULT_KEYS, versions
from dtse_core.train import train

METHODS = ("shipped", "dtse", "late_concat", "temporal_duplex", "query_transformer")
SPLITS = ("test", *THEMES)
METRICS = ("mean_iou", "answered", "rejected")  # what is kept of a diagnosis
BATCH = 16  # clips of a step


def recipe(method: str, out: Path, steps: int) -> RunConfig:
    """That of the study at the preset's rates: each clip once, and the same batches for all methods."""
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


def score(method: str, split: str, answering: Callable[[], tuple[torch.nn.Module, Any]], config: RunConfig) -> dict:
    """A method's result on a split, one sentence and one frame of each clip; a part of what `evaluate` writes."""
    (model, tokenizer), data = answering(), config.data
    dataset = build_dataset(data, split, model.config.window, model.config.causal)
    rows = kept(Path(data.cache) / f"{split}.json", programs, dataset)
    samples = evaluate(model, dataset, tokenizer, data.size, torch.device("cpu"), max_words=data.max_words)
    found = diagnose(samples, {(video, text): (depth, family) for video, text, depth, family in rows["programs"]})
    said = [{"video_id": sample.video_id, "expression": sample.expression} for sample in samples]
    shown = {group: _rounded(found[group]) for group in rows_of(found, split).values()}
    return {"source": method, "split": split, "samples": said, "diagnosis": shown}


def _rounded(group: dict[str, Any]) -> dict[str, Any]:
    metrics, intervals = group["metrics"], group["intervals"]
    names = [name for name in METRICS if name in metrics]
    ends = {name: [round(end, 4) for end in intervals[name]] for name in names}
    return {"count": group["count"], "metrics": {n: round(metrics[n], 4) for n in names}, "intervals": ends}


def programs(dataset: ClipDataSet) -> dict[str, list[list]]:
    """Video, sentence, depth and family, in rows."""
    return {"programs": [[*said, *about] for said, about in dataset.programs().items()]}


def spelled(sentences: Sequence[str]) -> float:
    """The share of their words that the shipped checkpoint does not know."""
    tokenizer = load_tokenizer("tiny-bert", level=1)
    return sum(len(unknown_words(text, tokenizer)) for text in sentences) / len(" ".join(sentences).split())


def kept(file: Path, find: Callable[..., dict], *arguments) -> dict:
    """What `find` gave once, from a file of this benchmark."""
    if not file.is_file():
        write_json(file, find(*arguments), ANY)
    return read_json(file)


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


@dataclass(frozen=True)
class Command:
    out: Path = Path("runs/methods")  # folder of all that is made
    json: Path | None = None  # file for the scores
    methods: tuple[Literal[METHODS], ...] = METHODS
    steps: Count = 600  # of training, 16 clips each


def run(c: Command) -> dict[str, Any]:
    """Makes what is not there yet, and returns all scores."""
    config, files = recipe("dtse", c.out, c.steps), {(m, s): c.out / f"{m}_{s}.json" for m in METHODS for s in SPLITS}
    todo = [(m, s) for m, s in files if m in c.methods and not files[m, s].is_file()]
    answering = {method: cache(partial(trained, method, c.out, c.steps)) for method in c.methods}
    begun = time.monotonic()
    for k, (method, split) in enumerate(todo, 1):
        found = kept(files[method, split], score, method, split, answering[method], config)
        left = (time.monotonic() - begun) / k * (len(todo) - k) / 60
        mean = next(iter(found["diagnosis"].values()))["metrics"]["mean_iou"]
        print(f"{method}, {split}: mean IoU {mean:.3f}; {left:.0f} minutes left", flush=True)
    whole = [m for m in METHODS if all(files[m, s].is_file() for s in SPLITS)]
    said = [row["expression"] for row in read_json(files[whole[0], "test"])["samples"]]
    about = {"world": VERSION, "steps": c.steps, "unknown_words": round(spelled(said), 4)}
    scores = read_results([files[m, s] for s in SPLITS for m in whole])
    return about | {"scores": scores, "versions": versions()}


def parse_command(arguments: Sequence[str] | None = None) -> Command:
    """The command line."""
    return parse(Command, "python benchmarks/diagnostic.py", arguments, description=__doc__)


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
