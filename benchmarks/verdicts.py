"""How often the intervals and verdicts of experiments are right, on scores whose truth is known.

    python benchmarks/verdicts.py --out benchmarks/verdicts.json

draws tables of scores (seeds, clips) of two models, and counts how often the 95 % interval of their difference holds
the truth; then families of ten comparisons with one reference, and counts how often a verdict in them is false.
docs/statistics.md has the result. Takes about ten minutes on one core; `--tables` prints those of an existing result.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from measure import tables_of
from tqdm import tqdm

from dtse_core.config import Count, Seed
from dtse_core.experiments import STUDY
from dtse_core.experiments.verdicts import LEVEL, MARGIN, estimate, holm, verdict
from dtse_core.shared import markdown
from dtse_core.shared.console import bars_hidden, one_line_errors, parse
from dtse_core.shared.files import require_ours, write_json

KEYS = r'"normal, models alike"'  # of the result, by which a file is known that may be replaced
SEEDS, CLIPS, SPREADS = (3, 5), (30, 100, 250, 1000), (0.01, 0.02, 0.03)  # the last: of a model's mean over seeds
CLIP, REST, APART = 0.25, 0.15, 0.1  # standard deviations: of clips, of clips by seeds, of clips by models
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]  # of variance 1
Tables = tuple[float, np.ndarray, np.ndarray]  # the true difference, and the scores of both models


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Student's t with 3 degrees of freedom."""
    return rng.standard_t(3, shape) / np.sqrt(3)


def drawn(
    draw: Draw, apart: float, rng: np.random.Generator, S: int, C: int, spread: float, truths: Sequence[float]
) -> list[np.ndarray]:
    """(S, C) scores of models whose true means are those, on the same clips."""
    clips = CLIP * draw(rng, (1, C))
    return [
        truth + clips + apart * draw(rng, (1, C)) + spread * rng.standard_normal((S, 1)) + REST * draw(rng, (S, C))
        for truth in truths
    ]


@cache
def pool(variant: str, split: str, score: str) -> np.ndarray:
    """(seeds, clips) of the study's whole runs; it has shorter ones of the same names."""
    import pandas as pd

    runs, clips = (pd.read_parquet(STUDY / f"{name}.parquet") for name in ("runs", "clips"))
    runs = runs[(runs["variant"] == variant) & (runs["budget"] == "seconds")]
    found = clips[clips["split"] == split].merge(runs[["run", "SEED"]], on="run")
    return found.pivot(index="SEED", columns="clip", values=score).to_numpy(float)


def studied(
    variants: tuple[str, str], split: str, score: str, rng: np.random.Generator, S: int, C: int, spread: float
) -> Tables:
    """Clips of the study, drawn anew; a seed has of each what some seed had in the study, and a shift of its own."""
    pools = [pool(name, split, score) for name in variants]
    clips = rng.integers(pools[0].shape[1], size=C)
    ours, theirs = (
        some[rng.integers(len(some), size=(S, C)), clips] + spread * rng.standard_normal((S, 1)) for some in pools
    )
    return pools[0].mean() - pools[1].mean(), ours, theirs


WORLDS: dict[str, Callable[..., Tables]] = {
    "normal, models alike": lambda *of: (0, *drawn(normal, 0, *of, (0, 0))),
    "normal, models differ by clip": lambda *of: (0, *drawn(normal, APART, *of, (0, 0))),
    "heavy tails, models alike": lambda *of: (0, *drawn(heavy, 0, *of, (0, 0))),
    "heavy tails, models differ by clip": lambda *of: (0, *drawn(heavy, APART, *of, (0, 0))),
    "IoU of the study, DTSE and itself": lambda *of: studied(("DTSE", "DTSE"), "test", "iou", *of),
    "IoU of the study, LMDF off and DTSE": lambda *of: studied(("LMDF off", "DTSE"), "test", "iou", *of),
    "twins of the study, LMDF off and DTSE": lambda *of: studied(
        ("LMDF off, level 1", "DTSE, level 1"), "twins", "told_apart", *of
    ),
}
FAMILIES = {  # true differences of ten models from their reference
    "all 0": [0.0] * 10,
    f"all {MARGIN}": [MARGIN] * 10,
    **{f"half 0, half {truth}": [0.0, truth] * 5 for truth in (MARGIN, 0.05, 0.1)},
}


def coverage(world: str, S: int, C: int, spread: float, times: int, seed: int = 0) -> float:
    """How often the interval holds the truth."""
    rng, held = np.random.default_rng([seed, S, C, round(1000 * spread)]), 0
    for _ in range(times):
        truth, ours, theirs = WORLDS[world](rng, S, C, spread)
        held += estimate(ours - truth, -theirs).p_different() > 1 - LEVEL  # as its interval would say, but quicker
    return held / times


def shares(truths: Sequence[float], S: int, C: int, times: int, seed: int = 0) -> dict[str, float]:
    """How many families have a false verdict, and how many verdicts are the right ones; with and without Holm's
    correction. Models are alike clip by clip, which is where most are false."""
    rng, count = np.random.default_rng([seed, S, C]), Counter()
    right = np.array(["higher" if truth else "equivalent" for truth in truths])
    for _ in range(times):
        theirs, *models = drawn(normal, 0, rng, S, C, SPREADS[1], (0, *truths))
        found = [estimate(ours, -theirs) for ours in models]
        alone = [e.p_different() for e in found], [e.p_equivalent() for e in found]
        for name, tests in (("uncorrected", alone), ("corrected", map(holm, alone))):
            words = np.array([verdict(e.mean, *p) for e, *p in zip(found, *tests, strict=True)])
            count[f"false, {name}"] += np.any((words != right) & (words != "undecided"))
            count[f"right, {name}"] += np.mean(words == right)
    return {name: float(n / times) for name, n in count.items()}


def tables(result: dict) -> str:
    """Both results as Markdown, in percent."""
    rows = [["scores", "seeds", *(f"{C:,} clips" for C in CLIPS)]]
    for world, S in product(WORLDS, SEEDS):
        held = [[100 * result["coverage"][world][f"{S} seeds, {C} clips, {s}"] for s in SPREADS] for C in CLIPS]
        rows.append([world, str(S), *(f"{min(some):.1f} to {max(some):.1f}" for some in held)])
    head = ["ten true differences", "seeds", "clips", *next(iter(result["families"].values()))]
    families = [
        [*name.split("; "), *(f"{100 * n:.1f}" for n in of.values())] for name, of in result["families"].items()
    ]
    return "\n".join([*markdown.table(rows), "", *markdown.table([head, *families]), ""])


@dataclass(frozen=True)
class Command:
    out: Path  # JSON file for the result
    times: Count = 2000  # tables or families for each share
    seed: Seed = 0
    tables: bool = False  # print the tables of an existing --out, and do nothing


@one_line_errors
def main() -> None:
    """Command line."""
    options = parse(Command, "python benchmarks/verdicts.py", description=__doc__)
    if not options.tables:
        require_ours(options.out, KEYS)
        result = {"times": options.times, "seed": options.seed, "coverage": {world: {} for world in WORLDS}}
        cells = list(product(WORLDS, SEEDS, CLIPS, SPREADS))
        for world, S, C, spread in tqdm(cells, disable=bars_hidden()):
            held = coverage(world, S, C, spread, options.times, options.seed)
            result["coverage"][world][f"{S} seeds, {C} clips, {spread}"] = held
        result["families"] = {}
        for (name, truths), S, C in tqdm(list(product(FAMILIES.items(), SEEDS, CLIPS[2:])), disable=bars_hidden()):
            result["families"][f"{name}; {S}; {C:,}"] = shares(truths, S, C, options.times, options.seed)
        write_json(options.out, result, KEYS)
    print(tables_of(options.out, tables))


if __name__ == "__main__":
    main()
