"""What scores of several seeds on the same clips say about a difference: how large, how sure, and in which word.

Notebook: 11_ablations. docs/statistics.md derives the formula and simulates it. scipy is imported where it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95  # of intervals; verdicts are false one time in twenty at most
MARGIN = 0.03  # the smallest difference that matters
NOISE = 1e-24  # variance that rounding leaves where there is none
SEEDS, VIDEOS = 3, 30  # with fewer there is no verdict
PRIMARY_SEEDS = 5  # of comparisons whose p values are corrected: with three, too many small ones are false


@dataclass(frozen=True)
class Estimate:
    """A difference of scores in [0, 1], and how far it may be from the truth; anywhere, where there is too little data.

    Its error over other clips and other seeds has Student's t distribution with the degrees of freedom of the clips and
    with those of the seeds, mixed by their shares of the variance.
    """

    mean: float
    error: float = np.inf  # standard deviation of the mean
    shares: tuple[float, float] = (1.0, 0.0)  # of clips and of seeds
    freedom: tuple[float, float] = (1.0, 1.0)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Ends of the interval, within what is possible."""
        from scipy.optimize import brentq

        most, tail = 2.0, (1 - level) / 2  # no two differences are further apart
        reach = most if self._above(most) > tail else brentq(lambda far: self._above(far) - tail, 0, most)
        return max(-1.0, self.mean - reach), min(1.0, self.mean + reach)

    def p_different(self) -> float:
        """How often chance alone would give as much if the true difference was 0."""
        return 2 * self._above(abs(self.mean))

    def p_equivalent(self, margin: float = MARGIN) -> float:
        """How often chance alone would give as little if it was `margin`, up or down: of two one-sided tests the
        larger p."""
        return self._above(margin - abs(self.mean))

    def _above(self, distance: float) -> float:
        """How often the mean is above the truth by more than that."""
        from scipy.special import stdtr

        return float(np.dot(self.shares, stdtr(self.freedom, -distance / self.error)))


def estimate(*tables: np.ndarray, videos: Sequence[str] | None = None) -> Estimate:
    """The mean of a sum of tables (S_i, C): a row for each seed, a column for each clip, the same clips in all.

    Two variants are two tables, `estimate(ours, -theirs)`: other clips would have changed both alike, other seeds each
    for itself. Where a seed ties them, their difference is one table, `estimate(ours - theirs)`. `videos` (C,) names
    the video of each clip; None if each has its own. Raises `ValueError` for tables of other clips or of none, and for
    a score that is not finite.
    """
    names, place = np.unique(np.arange(np.shape(tables[0])[-1]) if videos is None else videos, return_inverse=True)
    for table in tables:
        if np.ndim(table) != 2 or not len(table) or table.shape[1] != len(place) or not len(place):
            raise ValueError(f"scores of the shape {np.shape(table)}; expected (seeds, {len(place)}), none of them 0")
        for seed, clip in np.argwhere(~np.isfinite(table)):
            raise ValueError(f"the score of seed {seed} on clip {clip} is {table[seed, clip]}; it must be finite")
    mean = float(sum(table.mean() for table in tables))
    V = len(names)
    if V < VIDEOS or any(len(table) < SEEDS for table in tables):
        return Estimate(mean)
    scale = V / len(place)  # a clip of a video with many counts as much as any other
    tables = [scale * np.stack([np.bincount(place, row, V) for row in table - table.mean()]) for table in tables]
    of_clips = sum(table.mean(axis=0) for table in tables).var(ddof=1) / V  # a share of clips by seeds is in it
    of_seeds = doubt = 0.0
    for table in tables:  # (S_i, V), of mean 0
        S, seeds = len(table), table.mean(axis=1)
        rest = table - table.mean(axis=0) - seeds[:, None]
        floor = (rest**2).sum() / ((S - 1) * (V - 1)) / (S * V)  # seeds that only clips set apart differ as much
        extra = max(seeds.var(ddof=1) / S, floor) - floor  # and that is counted above
        of_seeds, doubt = of_seeds + extra, doubt + extra**2 / (S - 1)
    variance = of_clips + of_seeds
    if not variance > NOISE:  # nothing varies, which says nothing about how much it would
        return Estimate(mean)
    shares = of_clips / variance, of_seeds / variance
    return Estimate(mean, float(np.sqrt(variance)), shares, (V - 1, of_seeds**2 / doubt if doubt else 1))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: p values of a family, raised so that even one false verdict in it is rare."""
    order = np.argsort(p)
    corrected = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)[np.argsort(order)].tolist()


def verdict(mean: float, p_different: float, p_equivalent: float) -> str:
    """What is there, in a word; "undecided" is not "equivalent": nothing was found, which proves nothing.

    Raises `ValueError` for a number that is not finite.
    """
    if not np.isfinite([mean, p_different, p_equivalent]).all():
        raise ValueError(f"mean {mean}, p {p_different} and {p_equivalent} give no verdict; all must be finite")
    if p_equivalent <= 1 - LEVEL:
        return "equivalent"
    return "undecided" if p_different > 1 - LEVEL else "higher" if mean > 0 else "lower"
