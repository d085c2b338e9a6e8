"""Which one is the best, which are as good as equal, and what it would take to decide.

Smaller is better here, as for ln PPL. All pairs are the wrong family for the question of the best: with nine
configurations Holm corrects 36 comparisons, of which eight matter.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cvfp_cli.stats.components import Array
from cvfp_cli.stats.contrast_errors import Differences

Question = Literal["mean", "size", "slope"]  # of a configuration, over the sizes or at one of them
LN2 = float(np.log(2.0))
POWER = 0.8  # with which a difference is to be found
ENDLESS = 1e9  # degrees of freedom that stand for a known error
MOST = 200  # seeds or sizes beyond which no number is named


@dataclass(frozen=True)
class Best:
    """The best of g estimates.

    Attributes:
        best: index of the smallest estimate; -1 where none is finite.
        rival: the one that it can least be told from; -1 where there is no other.
        p_value: two-sided, of the best against the rival, which is the largest against any; None without freedom.
        decided: p is below the significance asked for.
        candidates: those that may be the best, the best among them, by ascending estimate.
    """

    best: int
    rival: int
    p_value: float | None
    decided: bool
    candidates: tuple[int, ...]


@dataclass(frozen=True)
class Needed:
    """What would decide a difference with the power asked for, at the noise that was seen.

    Attributes:
        power: of the design at hand.
        seeds: of each cell at the sizes at hand; None where no number up to ``MOST`` does, because what is left of
            the noise is not the seeds'.
        sizes: with the seeds at hand; None likewise.
    """

    power: float
    seeds: int | None
    sizes: int | None


def best_of(
    estimates: ArrayLike, covariance: ArrayLike, df: ArrayLike, *, significance: float = 0.05
) -> Best:
    """The smallest of g estimates, if it is smaller than every other.

    The best is told from each of the others by its own two-sided t test, and named only if all reject: an
    intersection of tests needs no correction, and choosing the best by the same data costs the other half of a
    one-sided test's error and no more (Gutmann and Maymin 1987; Hsu 1984). The most errors are made with two equal
    best and the others far behind, and these are ``significance``.

    A candidate is one that no other beats in a one-sided test at Sidak's level for g - 1 comparisons with it. The
    comparisons share the candidate and are positively dependent, so the set holds the true best at least as often as
    1 - ``significance`` (Hsu 1984, whose exact quantile is a little smaller).

    Args:
        estimates: (g,); one that is not finite takes no part. covariance: of the estimates, (g, g).
        df: degrees of freedom of the differences, one number or (g, g); 0: none.
    """
    e, v = np.asarray(estimates, dtype=float), np.asarray(covariance, dtype=float)
    nu = np.minimum(np.broadcast_to(np.asarray(df, dtype=float), v.shape), ENDLESS)
    there = np.flatnonzero(np.isfinite(e))
    if len(there) == 0:
        return Best(-1, -1, None, False, ())
    order = there[np.argsort(e[there], kind="stable")]
    first = int(order[0])
    others = order[1:]
    if len(others) == 0:
        return Best(first, -1, None, False, (first,))
    t = _t_values(e, v)
    p = _two_sided(t[first, others], nu[first, others])
    if np.any(np.isnan(p)):
        return Best(first, int(others[0]), None, False, tuple(int(i) for i in order))
    # Of equal p values the nearer estimate is the rival.
    rival = int(others[int(np.argmax(p))])
    level = 1.0 - (1.0 - significance) ** (1.0 / len(others))
    kept = []
    for i in order:
        rest = order[order != i]
        worse = special.stdtr(nu[i, rest], -t[rest, i])  # P(T > t) with t = (e_i - e_j) / error
        if np.all(worse > level) or i == first:
            kept.append(int(i))
    largest = float(np.max(p))
    return Best(first, rival, largest, largest < significance, tuple(kept))


def best_of_differences(
    estimates: ArrayLike, differences: Differences, *, significance: float = 0.05
) -> Best:
    """``best_of`` with the errors of each difference, such as ``ErrorModel.differences`` gives.

    What the configurations share, such as the effect of a size, cancels in the differences and need not be seen.
    """
    # Any covariance with these variances of differences does, as only they are used.
    return best_of(estimates, -0.5 * differences.variance, differences.df, significance=significance)


def equivalence_p_values(differences: ArrayLike, variances: ArrayLike, df: ArrayLike, margin: float) -> Array:
    """p of two one-sided tests that a difference lies within the margin (Schuirmann 1987).

    Below the significance, "equal within the margin" is a finding: its 1 - 2 alpha interval lies within it.

    Args:
        differences: of logarithms, such as ln PPL, (k,). variances: theirs, (k,). df: (k,) or one number.
        margin: on the same scale; ``ln 1.02`` for 2 %.

    Returns:
        (k,); NaN where ``df`` is 0.
    """
    d, v = np.asarray(differences, dtype=float), np.asarray(variances, dtype=float)
    nu = np.broadcast_to(np.asarray(df, dtype=float), d.shape)
    nu = np.where(nu > 0, nu, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (margin - np.abs(d)) / np.sqrt(v)
    return np.asarray(special.stdtr(nu, -t), dtype=float)


def needed_to_decide(
    gap: float,
    *,
    cell_variance: float,
    seed_variance: float,
    sizes: int,
    seeds: int,
    configurations: int,
    of: Question = "mean",
    step: float = LN2,
    significance: float = 0.05,
    power: float = POWER,
) -> Needed:
    """Seeds or sizes with which a difference of this size would be found with this power.

    Two configurations differ by ``gap``. Over S common sizes with R seeds the difference of their means has the
    variance 2 (cell_variance + seed_variance / R) / S and (S - 1)(g - 1) degrees of freedom, those of configurations
    by sizes. At one size it has S times that, and the slopes of their lines 12 / (step^2 (S^2 - 1)) times, both with
    (S - 2)(g - 1). The power of the two-sided t test follows from the noncentral t distribution. The gap is the one
    observed, so the numbers are of the order of what is needed, not more.

    Args:
        gap: difference of ln PPL, or of slopes. cell_variance, seed_variance: of configuration×size and of seeds.
            Where one seed tells only their sum, 0 as the first gives the fewest seeds that could do.
        configurations: g, all that are compared in the same sizes.
        of: what differs. step: of ln n from size to size.
    """

    def chance(at: int, each: int) -> float:
        per_size = 2.0 * (cell_variance + seed_variance / each)
        if of == "slope":
            variance = per_size * 12.0 / (step**2 * at * (at**2 - 1)) if at > 1 else 0.0
        else:
            variance = per_size / at if of == "mean" else per_size
        df = (at - (1 if of == "mean" else 2)) * (configurations - 1)
        return t_power(gap, variance, df, significance)

    return Needed(
        chance(sizes, seeds),
        next((r for r in range(seeds, MOST + 1) if chance(sizes, r) >= power), None),
        next((s for s in range(sizes, MOST + 1) if chance(s, seeds) >= power), None),
    )


def t_power(difference: float, variance: float, df: float, significance: float = 0.05) -> float:
    """Power of a two-sided t test of a true difference; 0 without degrees of freedom."""
    if df <= 0:
        return 0.0
    if variance <= 0.0:
        return float(difference != 0.0)
    critical = float(special.stdtrit(df, 1.0 - significance / 2.0))
    shift = abs(difference) / float(np.sqrt(variance))
    # The far tail is below 1e-9 where the distribution function loses its digits.
    far = float(special.nctdtr(df, shift, -critical)) if shift < 6.0 else 0.0
    near = float(special.nctdtr(df, shift, critical)) if shift < 36.0 else 0.0
    return float(np.clip(1.0 - near + far, 0.0, 1.0))


def _t_values(e: Array, v: Array) -> Array:
    """(e_j - e_i) / its standard error, (g, g), for i the row."""
    variance = np.diag(v)[:, None] + np.diag(v)[None, :] - 2.0 * v
    gap = e[None, :] - e[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = gap / np.sqrt(np.maximum(variance, 0.0))
    return np.where(gap == 0.0, 0.0, t)


def _two_sided(t: Array, df: Array) -> Array:
    return np.asarray(2.0 * special.stdtr(np.where(df > 0, df, np.nan), -np.abs(t)), dtype=float)
