"""What a grid's results support: differences, their intervals, and sentences chosen by them.

Notebook: 11_ablations. `run.py` gathers the tables: `runs` has a row for each run of the grid, done or not,
`clips` one for each clip that a run was scored on. pandas is imported where it is used.

Two variants are compared clip by clip, since some clips are hard for all, but not seed by seed: a seed's number makes
nothing alike in two models. The comparisons that a plan names before the runs are primary, and corrected for their
number; all others are exploratory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..config import nearest
from ..data.clip import CONTROL, EVIDENCE, KINDS
from ..metrics import sample_ious
from ..scoring.diagnosis import CEILINGS
from .verdicts import LEVEL, MARGIN, PRIMARY_SEEDS, SEEDS, VIDEOS, estimate, holm, verdict

if TYPE_CHECKING:
    import pandas as pd

PRIMARY, EXPLORATORY = "Primary comparisons", "Exploratory comparisons"  # headings of a report
SCORES = {"iou": "mean IoU", "told_apart": "share of twins told apart"}
STEP_COST = "step_cpu_seconds", 1000, 0  # column, scale and digits


class Comparison(NamedTuple):
    """What is compared with what."""

    variant: str
    reference: str
    part: str = "all"  # of the clips: all of `test`, a kind of evidence of it, or another split without its controls
    budget: str = "steps"  # what both have alike, as the grid says it: steps, seconds, or how many steps

    @property
    def score(self) -> str:
        """A key of SCORES."""
        return "told_apart" if self.part == "twins" else "iou"


@dataclass(frozen=True)
class Difference:
    """How much higher the variant of a question scores than its reference; not a number if one of them was not run."""

    asked: Comparison
    mean: float
    low: float  # ends of the 95 % interval: -1 and 1 where the data are too few
    high: float
    p_different: float  # of a primary comparison: corrected
    p_equivalent: float
    seeds: tuple[int, int]  # of the variant and of the reference
    clips: int
    videos: int
    primary: bool = False

    @property
    def run(self) -> bool:
        """True if there is anything to compare."""
        return min(self.seeds) > 0

    @property
    def too_few(self) -> str:
        """What a verdict lacks: "5 seeds", "30 clips" or nothing."""
        least = PRIMARY_SEEDS if self.primary else SEEDS
        return f"{least} seeds" if min(self.seeds) < least else f"{VIDEOS} clips" * (self.videos < VIDEOS)

    @property
    def verdict(self) -> str:
        """higher, lower, equivalent, undecided, no verdict or not run."""
        if not self.run:
            return "not run"
        return "no verdict" if self.too_few else verdict(self.mean, self.p_different, self.p_equivalent)

    @property
    def decided(self) -> bool:
        """True if something is known: a difference, or that there is none that matters."""
        return self.verdict in ("higher", "lower", "equivalent")


def with_scores(clips: "pd.DataFrame") -> "pd.DataFrame":
    """`clips` with the scores of `SCORES`, in place of the numbers that they are made of.

    A clip on which nothing is marked and nothing should be has IoU 1; a twin is told apart if the target has more
    mean probability, a tie counts half; `told_apart` is missing where a clip has no twin.
    """
    counts = clips[["intersection", "union"]].to_numpy(dtype=np.int64)
    gap = clips["on_target"].astype(float) - clips["on_twin"].astype(float)
    told = np.sign(gap) / 2 + 0.5
    scored = clips.rename(columns={"video_id": "video"}).assign(
        iou=sample_ious(counts) if len(clips) else [], told_apart=told
    )
    return scored.drop(columns=["on_target", "on_twin"])


def summary_rows(runs: "pd.DataFrame", metrics: Sequence[str] = ()) -> list[list[str]]:
    """Head and rows of a table of all variants: means over seeds, scores in percent; "not run" where there is none, and
    nothing where no run has that score. A step's time is that of the fastest run: a busy or slower machine adds to it.

    `metrics`: further columns of `runs`, shown as they are.
    """
    columns = {"mean IoU": ("metrics.mean_iou", 100, 1)}
    columns |= {kind: (f"by_evidence.{kind}.mean_iou", 100, 1) for kind in EVIDENCE}
    columns |= {"twins": ("twins_accuracy", 100, 1), "unseen pairs": ("compositional.mean_iou", 100, 1)}
    columns |= {name: (f"slices.{name}.mean_iou", 100, 1) for name in CEILINGS}
    columns |= {"M parameters": ("parameters", 1e-6, 2), "steps": ("steps", 1, 0), "ms a step": STEP_COST}
    columns |= {"MB": ("peak_memory", 2**-20, 0)}
    columns |= {name: (name, 1, 4) for name in metrics if name not in {shown for shown, *_ in columns.values()}}
    columns = {head: column for head, column in columns.items() if column[0] in runs}
    rows = [["variant", "equal", "seeds", *columns]]
    for (variant, budget), some in runs.groupby(["variant", "budget"], sort=False):
        done = some[some["state"] == "ok"]
        cells = []
        for name, scale, digits in columns.values():
            value = scale * (done[name].min() if name == STEP_COST[0] else done[name].mean())
            cells.append(f"{value:.{digits}f}" if value == value else "")  # "": not among its scores
        rows.append(
            [variant, budget, f"{len(done)} of {len(some)}", *(cells if len(done) else ["not run"] * len(cells))]
        )
    return rows


def compare(runs: "pd.DataFrame", clips: "pd.DataFrame", asked: Comparison) -> Difference:
    """The answer to a question.

    The reference of a budget without runs of its own is that of equal steps: it is what sets the budget. Raises
    `ValueError` if two runs are the same variant, budget and seed, if they were scored on different clips, or one twice
    on the same clip.
    """
    return _compare(partial(_scores, runs, clips), asked)


def _compare(scores: "Callable[[str, str, str], pd.DataFrame]", asked: Comparison) -> Difference:
    """The same; `scores` answers what a variant has on a part of the clips at a budget, as `_scores` does."""
    ours = scores(asked.variant, asked.part, asked.budget)
    theirs = scores(asked.reference, asked.part, asked.budget)
    if not len(theirs) and asked.budget != "steps":
        theirs = scores(asked.reference, asked.part, "steps")
    seeds = len(ours), len(theirs)
    if not min(seeds):
        return Difference(asked, np.nan, -1, 1, 1, 1, seeds, 0, 0)
    if list(ours.columns) != list(theirs.columns):
        where = "test" if asked.part in ("all", *KINDS) else asked.part
        raise ValueError(
            f"{asked.variant} and {asked.reference} were scored on different clips of {where}; run one of them again"
        )
    videos = [video for video, _ in ours.columns]
    found = estimate(ours.to_numpy(), -theirs.to_numpy(), videos=videos)
    p = found.p_different(), found.p_equivalent()
    return Difference(asked, found.mean, *found.interval(), *p, seeds, len(videos), len(set(videos)))


def all_differences(
    runs: "pd.DataFrame", clips: "pd.DataFrame", reference: str, primary: Sequence[Comparison] = ()
) -> list[Difference]:
    """The primary comparisons, then all others of a variant with the reference, or with what its label `against` names:
    on all clips, on other splits, by evidence, at each budget.

    Raises `ValueError` for a primary comparison of a variant, part or budget that there is not, and for a variant that
    is to be compared with none of the grid's.
    """
    splits = sorted(set(clips["split"]) - {"test"})
    parts = ["all", *splits, *(kind for kind in KINDS if kind in set(clips["evidence"]))]
    known = {"variant": set(runs["variant"]), "part": {*parts, *KINDS}, "budget": set(runs["budget"])}
    known["reference"] = known["variant"]
    for asked in primary:
        for name, value in asked._asdict().items():
            if value not in known[name] and (name != "part" or len(clips)):
                raise ValueError(f"the plan compares {asked.variant}: no {name} {value!r}{nearest(value, known[name])}")
    scores = cache(partial(_scores, runs, clips))  # a reference is asked for once for each of its variants
    first = [replace(_compare(scores, asked), primary=True) for asked in primary]
    p = ([1 if d.too_few else getattr(d, name) for d in first] for name in ("p_different", "p_equivalent"))
    found = [replace(d, p_different=a, p_equivalent=b) for d, a, b in zip(first, *map(holm, p), strict=True)]
    for budget in budgets(runs):
        labels = runs[runs["budget"] == budget].drop_duplicates("variant").set_index("variant")["against"]
        pairs = [(v, labels[v] or reference) for v in labels.index]
        for variant, other in pairs:
            if other not in known["variant"]:
                near = nearest(other, known["variant"])
                raise ValueError(f"the grid compares {variant} with {other!r}{near}, and has no such variant")
        others = [Comparison(*pair, part, budget) for pair in pairs if len({*pair}) == 2 for part in parts]
        found += [_compare(scores, asked) for asked in others if asked not in primary]
    return found


def budgets(runs: "pd.DataFrame") -> list[str]:
    """The budgets that a grid asks for: steps first, the others by name."""
    return sorted(set(runs["budget"]), key=lambda b: (b != "steps", b))


def sentence(d: Difference) -> str:
    """What the data support, in words."""
    asked, where = d.asked, "" if d.asked.part in ("all", "twins") else f" on {d.asked.part}"
    what = f"{asked.variant} against {asked.reference}, {SCORES[asked.score]}{where}, equal {asked.budget}"
    if not d.run:
        return f"{what}: not run."
    seeds = " and ".join(map(str, dict.fromkeys(d.seeds)))
    clips = _count(d.clips, "clip") + f" of {_count(d.videos, 'video')}" * (d.videos < d.clips)
    counts = f"{seeds} seed{'s' * (max(d.seeds) > 1)}, {clips}"
    if d.too_few:
        return f"{what}: no verdict with fewer than {d.too_few} ({d.mean:+.3f}; {counts})."
    p = d.p_equivalent if d.verdict == "equivalent" else d.p_different
    p = f"p {p:.3f}" if p >= 0.001 else "p below 0.001"
    numbers = f"{LEVEL:.0%} interval {d.low:+.3f} to {d.high:+.3f}, {p}{' corrected' * d.primary}, {counts}"
    if d.verdict in ("higher", "lower"):
        return f"{what}: {d.verdict} by {abs(d.mean):.3f} ({numbers})."
    within = f", no difference larger than {MARGIN}" * (d.verdict == "equivalent")
    return f"{what}: {d.verdict}{within} ({d.mean:+.3f}; {numbers})."


def conclusions(differences: list[Difference]) -> dict[str, list[str]]:
    """What a report says, by heading: every primary comparison, those first in which the reference is not ahead; how
    many exploratory ones show a difference, those on all clips, the decided ones on parts; how many are left out."""
    run = [d for d in differences if d.run]
    primary, others = [d for d in differences if d.primary], [d for d in run if not d.primary]
    asked = (
        ["The p values are corrected for the number of these comparisons, the intervals are not."] if primary else []
    )
    asked += [sentence(d) for d in sorted(primary, key=lambda d: d.verdict == "lower")]
    said = []
    if others:
        alone = sum(d.verdict in ("higher", "lower") for d in others)
        together = sum(p <= 1 - LEVEL for p in holm([1 if d.too_few else d.p_different for d in others]))
        said.append(
            f"{_count(len(others), 'comparison')}, not named before the runs: {alone} "
            f"{'shows' if alone == 1 else 'show'} a difference, {together} if all are corrected for their number."
        )
    said += [sentence(d) for d in others if d.asked.part == "all"]
    said += [sentence(d) for d in others if d.asked.part != "all" and d.decided]
    left = [d.verdict for d in others if d.asked.part != "all" and not d.decided]
    said += [
        f"On parts of the clips: {word} in {_count(left.count(word), 'more comparison')}."
        for word in dict.fromkeys(left)
    ]
    missing = [d.asked for d in differences if d.asked.part == "all" and not d.run and not d.primary]
    said += [f"Not run: {'; '.join(f'{a.variant} (equal {a.budget})' for a in missing)}."] if missing else []
    return {PRIMARY: asked or ["No plan named a comparison before the runs."], EXPLORATORY: said}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _scores(runs, clips, variant: str, part: str, budget: str) -> "pd.DataFrame":
    """(seeds, clips) of one variant: a row for each seed, a column for each (video, clip), in one order for all."""
    kind, score = part in KINDS, Comparison(variant, "", part).score
    split = "test" if kind or part == "all" else part
    own = runs[(runs["variant"] == variant) & (runs["budget"] == budget) & (runs["state"] == "ok")]
    if twice := sorted(own["SEED"][own["SEED"].duplicated()]):
        raise ValueError(f"{variant}, equal {budget}, has two runs of seed {twice[0]}; label them as two variants")
    found = clips[(clips["split"] == split) & clips["run"].isin(own["run"]) & clips[score].notna()]
    found = found[found["evidence"] == part] if kind else found[found["evidence"] != CONTROL]
    for clip in found["clip"][found.duplicated(["run", "video", "clip"])]:
        raise ValueError(f"a run of {variant} was scored twice on {clip} of {split}; give each clip its own name")
    table = found.merge(own[["run", "SEED"]], on="run").pivot(index="SEED", columns=["video", "clip"], values=score)
    if table.isna().any(axis=None):
        raise ValueError(f"seeds of {variant} were scored on different clips of {split}; run them again")
    return table.sort_index(axis=1)
