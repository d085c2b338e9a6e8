"""Are two scaling curves different? Paired tests on common sizes, Holm's correction, crossing points.

Configurations trained on the same samples and judged on the same text share what is hard or easy in them, so
their residuals go up and down together. Comparing two fits as if they were independent throws that away. Here
a size is a factor of its own:

    ln PPL = size + configuration + slope(configuration) * ln n + residual

The tests compare this model with the one that has a common slope (equal slopes?) and with the one that has no
configuration at all (equal lines?), by F on the residual sums of squares. Curves whose sizes or data differ
share nothing; their lines are compared as independent ones, and the result says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Vector = NDArray[np.float64]

SAME_SIZE = 0.02  # largest difference in ln n at which two cells of one size count as the same size


@dataclass(frozen=True)
class Curve:
    """The points of one configuration.

    Attributes:
        label: its name in every table.
        sizes: keys of its sizes, such as sample counts; cells of one key are the same size.
        x: ln n of each size (n training tokens or samples).
        y: mean of ln PPL over the replicates of each size.
        replicates: runs behind each mean.
        pure_ss, pure_df: sum of squares of ln PPL within replicates, and its degrees of freedom.
    """

    label: str
    sizes: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    replicates: tuple[int, ...]
    pure_ss: float = 0.0
    pure_df: int = 0


@dataclass(frozen=True)
class FTest:
    """An F test: statistic, degrees of freedom, probability of a larger one under the hypothesis."""

    f: float
    df1: int
    df2: int
    p: float


@dataclass(frozen=True)
class Estimate:
    """A value with its interval (None: open or unknown) and the probability of 0 (or of a ratio of 1)."""

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class JointTest:
    """All curves at once.

    Attributes:
        curves, sizes, points: what the test rests on.
        slopes, levels, lines: equal slopes; equal levels given equal slopes; neither. None: no freedom left.
        variance, df: residual variance of a cell in the model with slopes.
        two_way_variance, two_way_df: the same in the model size + configuration.
        from_replicates: whether the pure error of the replicates was the larger variance and is used.
    """

    curves: int
    sizes: int
    points: int
    slopes: FTest | None
    levels: FTest | None
    lines: FTest | None
    variance: float | None
    df: int
    two_way_variance: float | None
    two_way_df: int
    from_replicates: bool


@dataclass(frozen=True)
class Pair:
    """Two curves compared; every difference and ratio is the second against the first.

    Attributes:
        paired: on common sizes; False: as independent lines.
        sizes: number of common sizes (paired) or of points in both (independent).
        df: degrees of freedom of the residual variance; 0 where there is no interval.
        slope: difference of the slopes.
        ratio: mean PPL ratio over the common sizes (paired) or at the middle of both (independent).
        lines: equal lines?
        slope_holm, lines_holm: the p values after Holm's correction over all pairs.
        crossing: n at which the two lines meet; ``crossing_excluded`` marks an interval that is the outside
            of (low, high). None where they are parallel.
    """

    first: str
    second: str
    paired: bool
    sizes: int
    df: int
    slope: Estimate | None
    ratio: Estimate
    lines: FTest | None
    crossing: Estimate | None
    crossing_excluded: bool
    slope_holm: float | None = None
    lines_holm: float | None = None
    _model: tuple[float, float, float, float, float, float] | None = None

    def ratio_at(self, n: float, level: float = 0.95) -> Estimate | None:
        """PPL ratio of the two lines at ``n``, with its interval; None where there are no two lines."""
        if self._model is None:
            return None
        intercept, slope, v_intercept, v_slope, centre, _ = self._model
        x = float(np.log(n)) - centre
        value = intercept + slope * x
        error = float(np.sqrt(v_intercept + v_slope * x * x))
        return _ratio(value, error, self.df, level)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (Holm 1979); None entries stay None and do not count."""
    known = [(p, i) for i, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(sorted(known)):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = highest
    return adjusted


def t_quantile(level: float, df: float) -> float:
    """Two-sided t quantile: 2.776 for level 0.95 and 4 degrees of freedom."""
    return float(special.stdtrit(df, 0.5 + level / 2))


def t_probability(t: float, df: float) -> float:
    """Two-sided probability of a larger |t|."""
    return float(2 * special.stdtr(df, -abs(t)))


def f_test(rss_small: float, rss_large: float, df1: int, variance: float, df2: int) -> FTest | None:
    """F of the drop in the residual sum of squares against ``variance`` with ``df2`` degrees of freedom."""
    if df1 <= 0 or df2 <= 0 or variance <= 0:
        return None
    f = max(0.0, rss_small - rss_large) / df1 / variance
    return FTest(f, df1, df2, float(special.fdtrc(df1, df2, f)))


def common_sizes(first: Curve, second: Curve) -> tuple[int, ...]:
    """Sizes that both curves have, at the same number of tokens."""
    there = dict(zip(second.sizes, second.x, strict=True))
    return tuple(
        size
        for size, x in zip(first.sizes, first.x, strict=True)
        if size in there and abs(there[size] - x) <= SAME_SIZE
    )


def joint_test(curves: Sequence[Curve]) -> JointTest | None:
    """Test all curves of one family (same data) together; None where fewer than two share a size.

    Any pattern of missing cells is allowed: the configurations' own terms are projected out curve by curve
    (Frisch and Waugh), and the size effects are estimated from what is left, so the cost grows with the
    number of points and not with its cube.
    """
    seen: dict[int, int] = {}
    for curve in curves:
        for size in curve.sizes:
            seen[size] = seen.get(size, 0) + 1
    shared = sorted(size for size, count in seen.items() if count > 1)
    kept = [pick(curve, shared) for curve in curves]
    kept = [curve for curve in kept if curve.sizes]
    if len(kept) < 2:
        return None
    column = {size: i for i, size in enumerate(shared)}
    points = sum(len(curve.sizes) for curve in kept)
    rss, df = {}, {}
    for model, terms in (("sizes", 0), ("levels", 1), ("slopes", 2)):
        rss[model], df[model] = _residual(kept, column, terms)

    pure_df = sum(curve.pure_df for curve in kept)
    pure = 0.0
    if pure_df:
        runs = [n for curve in kept for n in curve.replicates]
        pure = sum(c.pure_ss for c in kept) / pure_df * float(np.mean([1 / n for n in runs]))

    def variance(model: str) -> tuple[float | None, int, bool]:
        own = rss[model] / df[model] if df[model] > 0 else None
        if pure_df and (own is None or pure > own):
            return pure, pure_df, True
        return own, max(df[model], 0), False

    with_slopes, slopes_df, replicated = variance("slopes")
    two_way, two_way_df, _ = variance("levels")
    return JointTest(
        curves=len(kept),
        sizes=len(shared),
        points=points,
        slopes=f_test(rss["levels"], rss["slopes"], df["levels"] - df["slopes"], with_slopes or 0, slopes_df),
        levels=f_test(rss["sizes"], rss["levels"], df["sizes"] - df["levels"], two_way or 0, two_way_df),
        lines=f_test(rss["sizes"], rss["slopes"], df["sizes"] - df["slopes"], with_slopes or 0, slopes_df),
        variance=with_slopes,
        df=slopes_df,
        two_way_variance=two_way,
        two_way_df=two_way_df,
        from_replicates=replicated,
    )


def compare_pairs(
    curves: Sequence[Curve],
    joint: JointTest | None = None,
    *,
    level: float = 0.95,
    independent: bool = False,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> tuple[Pair, ...]:
    """Compare curves two by two, with Holm's correction over all pairs given.

    Args:
        joint: the joint test of these curves, whose residual variance then serves every pair; without it a
            pair rests on its own residuals.
        independent: the data differ, so compare all pairs as independent lines.
        pairs: indices to compare; all by default.
    """
    chosen = list(combinations(range(len(curves)), 2)) if pairs is None else list(pairs)
    results = []
    for i, j in chosen:
        first, second = curves[i], curves[j]
        sizes = () if independent else common_sizes(first, second)
        if len(sizes) >= 2 or (sizes and not _has_line(first, second)):
            results.append(_paired(pick(first, sizes), pick(second, sizes), joint, level))
        else:
            results.append(_independent(first, second, level))
    slopes = holm([pair.slope.p if pair.slope else None for pair in results])
    lines = holm([pair.lines.p if pair.lines else None for pair in results])
    return tuple(
        _with_holm(pair, slope, line) for pair, slope, line in zip(results, slopes, lines, strict=True)
    )


def pick(curve: Curve, sizes: Sequence[int]) -> Curve:
    """The curve at these sizes only."""
    wanted = set(sizes)
    keep = [i for i, size in enumerate(curve.sizes) if size in wanted]
    return Curve(
        curve.label,
        tuple(curve.sizes[i] for i in keep),
        tuple(curve.x[i] for i in keep),
        tuple(curve.y[i] for i in keep),
        tuple(curve.replicates[i] for i in keep),
        curve.pure_ss,
        curve.pure_df,
    )
