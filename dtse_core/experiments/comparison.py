"""What a grid's results support: paired differences, their intervals, and sentences chosen by them.

Notebook: 11_ablations. `run.py` gathers the tables: `runs` has a row for each run of the grid, done or not,
`clips` one for each clip that a run was scored on. pandas is imported where it is used.

Two variants are compared on the same clips and the same seeds, clip by clip, since some clips are hard for all.
Both vary: other clips would have given another difference, and so would other seeds. Videos are resampled. Seeds are
too few for that: three resampled values never lie outside the three, and such intervals hold the truth far less often
than they say. So the seeds' part is drawn from Student's t about their mean, as wide as their spread suggests.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data.clip import EVIDENCE
from ..metrics import sample_ious

if TYPE_CHECKING:
    import pandas as pd

SCORES = {"iou": "mean IoU", "told_apart": "share of twins told apart"}
STEP_COST = "step_cpu_seconds", 1000, 0  # column, scale and digits
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """How much better a variant is than its reference, in one score on one part of the clips.

    Without two seeds in common the interval is everything; without one the difference is not a number ("not run").
    """

    variant: str
    reference: str
    score: str  # a key of SCORES
    part: str  # "all", a kind of evidence, or another split
    budget: str  # what both had alike, as the grid says it: steps, seconds, or how many steps
    mean: float
    low: float
    high: float
    seeds: int
    clips: int

    @property
    def decided(self) -> bool:
        """True if the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def run(self) -> bool:
        """True if there is anything to compare."""
        return self.seeds > 0


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


def summary_rows(runs: "pd.DataFrame") -> list[list[str]]:
    """Head and rows of a table of all variants: means over seeds, scores in percent; "not run" where there is none."""
    columns = {"mean IoU": ("metrics.mean_iou", 100, 1)}
    columns |= {kind: (f"by_evidence.{kind}.mean_iou", 100, 1) for kind in EVIDENCE}
    columns |= {"twins": ("twins_accuracy", 100, 1), "unseen pairs": ("compositional.mean_iou", 100, 1)}
    columns |= {"M parameters": ("parameters", 1e-6, 2), "steps": ("steps", 1, 0), "ms a step": STEP_COST}
    columns = {head: column for head, column in columns.items() if column[0] in runs}
    rows = [["variant", "equal", "seeds", *columns]]
    for (variant, budget), some in runs.groupby(["variant", "budget"], sort=False):
        done = some[some["state"] == "ok"]
        cells = [f"{scale * done[name].mean():.{digits}f}" for name, scale, digits in columns.values()]
        rows.append(
            [variant, budget, f"{len(done)} of {len(some)}", *(cells if len(done) else ["not run"] * len(cells))]
        )
    return rows


def paired_interval(
    differences: np.ndarray, videos=None, draws: int = 4000, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Ends of the interval of the mean of `differences` (S, C): S seeds, each on the same C clips.

    `videos` (C,) names the video of each clip, None if each has its own. One seed tells nothing about others: then
    the interval is (-inf, inf).
    """
    differences = np.asarray(differences, dtype=np.float64)
    S, C = differences.shape
    if S < 2:
        return -np.inf, np.inf
    names, place = np.unique(np.arange(C) if videos is None else np.asarray(videos), return_inverse=True)
    rng, mean = np.random.default_rng(seed), differences.mean()
    sums = np.bincount(place, differences.mean(axis=0), len(names))  # (V,), over seeds first
    counts = np.bincount(place, minlength=len(names))
    drawn = rng.integers(len(names), size=(draws, len(names)))
    of_clips = sums[drawn].sum(1) / counts[drawn].sum(1) - mean  # (draws,)
    spread = differences.mean(axis=1).std(ddof=1) / np.sqrt(S)
    of_seeds = spread * rng.standard_t(S - 1, draws)
    low, high = np.quantile(mean + of_clips + of_seeds, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare(
    runs: "pd.DataFrame",
    clips: "pd.DataFrame",
    variant: str,
    reference: str,
    score: str = "iou",
    split: str = "test",
    evidence: str = "",
    budget: str = "steps",
) -> Difference:
    """`variant` minus `reference` on the clips of one split, or on one kind of evidence of it.

    The reference of a budget without runs of its own is that of equal steps: it is what sets the budget. Raises
    `ValueError` if two runs are the same variant, budget and seed, or if they were scored on different clips.
    """
    part = evidence or ("all" if split == "test" else split)
    empty = Difference(variant, reference, score, part, budget, np.nan, -np.inf, np.inf, 0, 0)
    ours = _scores(runs, clips, variant, budget, score, split, evidence)
    theirs = _scores(runs, clips, reference, budget, score, split, evidence)
    if not len(theirs) and budget != "steps":
        theirs = _scores(runs, clips, reference, "steps", score, split, evidence)
    seeds = sorted(set(ours.index) & set(theirs.index))
    if not seeds:
        return empty
    if list(ours.columns) != list(theirs.columns):
        raise ValueError(f"{variant} and {reference} were scored on different clips of {split}; run one of them again")
    d = ours.loc[seeds].to_numpy() - theirs.loc[seeds].to_numpy()  # (S, C)
    low, high = paired_interval(d, [video for video, _ in ours.columns])
    return Difference(variant, reference, score, part, budget, float(d.mean()), low, high, len(seeds), d.shape[1])


def all_differences(runs: "pd.DataFrame", clips: "pd.DataFrame", reference: str) -> list[Difference]:
    """Every variant against the reference, or what its label `against` names: in all, by evidence, on other splits, at
    each budget."""
    found = []
    splits = [s for s in ("test", "compositional", "twins") if s in set(clips["split"])]
    kinds = [k for k in EVIDENCE if k in set(clips["evidence"])]
    for budget in budgets(runs):
        asked = runs[runs["budget"] == budget]
        labels = asked.drop_duplicates("variant").set_index("variant")["against"]
        for variant, other in ((v, labels[v] or reference) for v in labels.index if v != reference):
            for split in splits:
                score = "told_apart" if split == "twins" else "iou"
                found.append(compare(runs, clips, variant, other, score, split, budget=budget))
            found += [compare(runs, clips, variant, other, evidence=kind, budget=budget) for kind in kinds]
    return found


def budgets(runs: "pd.DataFrame") -> list[str]:
    """The budgets that a grid asks for: steps first, the others by name."""
    return sorted(set(runs["budget"]), key=lambda b: (b != "steps", b))


def sentence(d: Difference) -> str:
    """What the interval supports, in words: a claim only if it excludes zero."""
    where = "" if d.part in ("all", "twins") else f" on {d.part}"
    what = f"{d.variant} against {d.reference}, {SCORES[d.score]}{where}, equal {d.budget}"
    if not d.run:
        return f"{what}: not run."
    interval = "no interval from one seed" if np.isinf(d.low) else f"{LEVEL:.0%} interval {d.low:+.3f} to {d.high:+.3f}"
    numbers = f"{interval}, {d.seeds} seed{'s' * (d.seeds > 1)}, {d.clips} clips"
    if not d.decided:
        return f"{what}: not enough evidence ({d.mean:+.3f}; {numbers})."
    return f"{what}: {'higher' if d.mean > 0 else 'lower'} by {abs(d.mean):.3f} ({numbers})."


def conclusions(differences: list[Difference]) -> list[str]:
    """What a report says: every comparison on all clips, of those on parts the decided ones, and what it leaves out."""
    run = [d for d in differences if d.run]
    said = [sentence(d) for d in run if d.part == "all"]
    said += [sentence(d) for d in run if d.part != "all" and d.decided]
    if left := sum(d.part != "all" and not d.decided for d in run):
        said.append(f"On parts of the clips: not enough evidence in {left} more comparisons.")
    if missing := [f"{d.variant} (equal {d.budget})" for d in differences if d.part == "all" and not d.run]:
        said.append(f"Not run: {'; '.join(missing)}.")
    return said


def _scores(runs, clips, variant: str, budget: str, score: str, split: str, evidence: str) -> "pd.DataFrame":
    """(seeds, clips) of one variant: a row for each seed, a column for each (video, clip), in one order for all."""
    own = runs[(runs["variant"] == variant) & (runs["budget"] == budget) & (runs["state"] == "ok")]
    if twice := sorted(own["SEED"][own["SEED"].duplicated()]):
        raise ValueError(f"{variant}, equal {budget}, has two runs of seed {twice[0]}; label them as two variants")
    found = clips[(clips["split"] == split) & clips["run"].isin(own["run"]) & clips[score].notna()]
    if evidence:
        found = found[found["evidence"] == evidence]
    table = found.merge(own[["run", "SEED"]], on="run").pivot(index="SEED", columns=["video", "clip"], values=score)
    if table.isna().any(axis=None):
        raise ValueError(f"seeds of {variant} were scored on different clips of {split}; run them again")
    return table.sort_index(axis=1)
