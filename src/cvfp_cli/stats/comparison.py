"""Are scaling curves different? Paired tests on common sizes, all curves at once and two by two.

Configurations trained on the same samples and judged on the same text share what is hard or easy in them, so
their residuals rise and fall together. Comparing two fits as if they were independent throws that away. Here
a size is a factor of its own:

    ln PPL = size + configuration + slope(configuration) * ln n + residual

This model is tested against the one with a common slope (equal slopes?) and against the one without any
configuration (equal lines?), by F on the residual sums of squares (``joint_test``), and again with a variance for
each configuration (``unequal_tests``). In the same sizes this is the error model of ``lines.py`` to the last digit:
what a size adds cancels, and its degrees of freedom are those of configurations by sizes. Curves whose sizes or data
differ share nothing; their lines are compared as independent ones, and the result says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.stats.best import equivalence_p_values
from cvfp_cli.stats.contrasts import LogLine, contrast_of, exp_of, holm, ratio_of
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.regression import FTest, f_p_value, least_squares
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.unequal import MOST_CELLS, unequal_test
from cvfp_cli.study.points import SAME_SIZE, Points

MARGIN = 0.02  # of PPL, within which two configurations are called equal

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The points of one configuration, replicates averaged.

    Attributes:
        label: its name in every table.
        sizes: nominal sizes, ascending, such as sample counts; cells of one nominal size are compared.
        x, y: mean ln n and mean ln PPL of each size.
    """

    label: str
    sizes: tuple[float, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def from_points(cls, points: Points) -> "Curve":
        """Average the replicates of each size on the log scale."""
        sizes, index, counts = np.unique(np.asarray(points.sizes), return_inverse=True, return_counts=True)
        x = np.bincount(index, np.log(points.x)) / counts
        y = np.bincount(index, np.log(points.y)) / counts
        return cls(
            points.label,
            tuple(float(size) for size in sizes),
            tuple(float(value) for value in x),
            tuple(float(value) for value in y),
        )

    def at(self, sizes: Sequence[float]) -> "Curve":
        """The same curve at these sizes only."""
        keep = [i for i, size in enumerate(self.sizes) if size in set(sizes)]
        return replace(
            self,
            sizes=tuple(self.sizes[i] for i in keep),
            x=tuple(self.x[i] for i in keep),
            y=tuple(self.y[i] for i in keep),
        )


@dataclass(frozen=True)
class JointTest:
    """All curves at once.

    Attributes:
        curves, sizes, points: what the tests rest on.
        slopes: equal slopes? levels: equal levels, given equal slopes? lines: both? None: no freedom left.
        variance, df: residual variance of one cell in the model with slopes.
        two_way_variance, two_way_df: the same in the model size + configuration.
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


@dataclass(frozen=True)
class UnequalTests:
    """Equal slopes and levels where each configuration may have a variance of its own (``unequal.py``).

    Attributes:
        slopes, levels: None without freedom.
        stands_out: one configuration is noisier than the others, so that no variance of all serves a pair.
    """

    slopes: FTest | None
    levels: FTest | None
    stands_out: bool


@dataclass(frozen=True)
class Pair:
    """Two curves compared; every difference and ratio is the second against the first.

    Attributes:
        paired: on common sizes; False: as independent lines.
        sizes: the common nominal sizes (empty where independent).
        df: degrees of freedom of the residual variance; 0: no interval, no test.
        slope: difference of the slopes; None where a curve has fewer than two sizes. Lines that meet all points but for
            rounding have its interval and no test, as of ``lines`` and ``equal``.
        ratio: mean PPL ratio over the common sizes, or at the middle of both curves where independent.
        lines: equal lines?
        equal: p value of the claim that the mean PPL ratio lies within the margin; None without freedom.
        slope_holm, lines_holm, equal_holm: p values after Holm's correction over all pairs compared.
        line: the difference of the two lines, for ratios elsewhere and the crossing point.
    """

    first: str
    second: str
    paired: bool
    sizes: tuple[float, ...]
    df: int
    slope: Estimate | None
    ratio: Estimate
    lines: FTest | None
    line: LogLine | None
    equal: float | None = None
    slope_holm: float | None = None
    lines_holm: float | None = None
    equal_holm: float | None = None


def common_sizes(first: Curve, second: Curve) -> tuple[float, ...]:
    """Nominal sizes that both curves have at the same number of tokens."""
    there = dict(zip(second.sizes, second.x, strict=True))
    return tuple(
        size
        for size, x in zip(first.sizes, first.x, strict=True)
        if size in there and abs(there[size] - x) <= SAME_SIZE
    )


def joint_test(curves: Sequence[Curve]) -> JointTest | None:
    """Test all curves of one family (the same data) together; None where fewer than two share a size.

    Cells may be missing in any pattern. Each configuration's own terms are projected out first (Frisch and
    Waugh), which leaves one column a size to estimate: thousands of configurations cost no more than reading
    them.
    """
    kept, shared = _common(curves)
    if len(kept) < 2:
        return None
    column = {size: i for i, size in enumerate(shared)}
    fits = {terms: _residual(kept, column, terms) for terms in (0, 1, 2)}
    variances = {terms: _at_least(rss / df) if df > 0 else None for terms, (rss, df) in fits.items()}
    with_slopes, slopes_df = variances[2], fits[2][1]
    two_way, two_way_df = variances[1], fits[1][1]
    return JointTest(
        curves=len(kept),
        sizes=len(shared),
        points=sum(len(curve.sizes) for curve in kept),
        slopes=_f_test(fits[1], fits[2], with_slopes, slopes_df),
        levels=_f_test(fits[0], fits[1], two_way, two_way_df),
        lines=_f_test(fits[0], fits[2], with_slopes, slopes_df),
        variance=with_slopes,
        df=slopes_df,
        two_way_variance=two_way,
        two_way_df=two_way_df,
    )


def unequal_tests(curves: Sequence[Curve]) -> UnequalTests | None:
    """The same tests by ``unequal_test``; None where fewer than two curves share a size, or cells are too many."""
    kept, shared = _common(curves)
    if len(kept) < 2 or sum(len(curve.sizes) for curve in kept) > MOST_CELLS:
        return None
    rows = np.repeat(np.arange(len(kept)), [len(curve.sizes) for curve in kept])
    size = np.array([shared.index(each) for curve in kept for each in curve.sizes])
    x, y = (
        np.concatenate([np.array(part) for part in parts])
        for parts in zip(*[(c.x, c.y) for c in kept], strict=True)
    )
    sizes = np.equal.outer(size, np.arange(len(shared))).astype(float)
    levels = np.equal.outer(rows, np.arange(len(kept))).astype(float)
    parallel = np.hstack([sizes, levels])
    sloped = np.hstack([parallel, levels * (x - x.mean())[:, None]])
    slopes, same = unequal_test(parallel, sloped, y, rows), unequal_test(sizes, parallel, y, rows)
    return UnequalTests(
        None if slopes is None else slopes.test,
        None if same is None else same.test,
        slopes is not None and slopes.stands_out,
    )


def compare_pairs(
    curves: Sequence[Curve],
    joint: JointTest | None = None,
    *,
    level: float = 0.95,
    margin: float = MARGIN,
    independent: bool = False,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> tuple[Pair, ...]:
    """Compare curves two by two, with Holm's correction over all pairs compared.

    Args:
        joint: the joint test of these curves, whose residual variance then serves every pair; without it a
            pair rests on its own residuals.
        margin: the share of PPL within which two are called equal.
        independent: the data differ, so compare every pair as independent lines.
        pairs: which ones, as indices; all by default.
    """
    chosen = combinations(range(len(curves)), 2) if pairs is None else pairs
    results = []
    for i, j in chosen:
        sizes = () if independent else common_sizes(curves[i], curves[j])
        enough = len(sizes) >= 2 or (sizes and min(len(curves[i].sizes), len(curves[j].sizes)) < 2)
        if enough:
            pair = _paired(curves[i].at(sizes), curves[j].at(sizes), joint, level, margin)
        else:
            pair = _independent(curves[i], curves[j], level, margin)
        results.append(pair)
    return corrected(results)


def corrected(results: Sequence[Pair]) -> tuple[Pair, ...]:
    """The same pairs with Holm's correction over all of them."""
    slopes = holm([pair.slope.p_value if pair.slope else None for pair in results])
    lines = holm([pair.lines.p_value if pair.lines else None for pair in results])
    equal = holm([pair.equal for pair in results])
    return tuple(
        replace(pair, slope_holm=slope, lines_holm=line, equal_holm=same)
        for pair, slope, line, same in zip(results, slopes, lines, equal, strict=True)
    )


def after_joint(pairs: Sequence[Pair], joint: UnequalTests | None) -> tuple[Pair, ...]:
    """The same pairs, none more certain to differ in slope than all are together.

    Where one configuration of four to nine is four to ten times noisier, Holm over pairs alone finds one that differs in
    5 to 12 % of studies with equal slopes; the joint test rejects in at most 6 %.
    """
    if joint is None or joint.slopes is None:
        return tuple(pairs)
    least = joint.slopes.p_value
    return tuple(
        pair if pair.slope_holm is None else replace(pair, slope_holm=max(pair.slope_holm, least))
        for pair in pairs
    )


def within_curves(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """(ln n, ln PPL) of all points, each curve centred on its own means."""
    points = []
    for curve in curves:
        x, y = np.array(curve.x), np.array(curve.y)
        points += list(zip((x - x.mean()).tolist(), (y - y.mean()).tolist(), strict=True))
    return points


def _common(curves: Sequence[Curve]) -> tuple[list[Curve], list[float]]:
    """The curves at the sizes that two or more of them have, and these sizes."""
    counts: dict[float, int] = {}
    for curve in curves:
        for size in curve.sizes:
            counts[size] = counts.get(size, 0) + 1
    shared = sorted(size for size, count in counts.items() if count > 1)
    return [curve for curve in (curve.at(shared) for curve in curves) if curve.sizes], shared


def _equal(gap: float, variance: float, df: int, margin: float) -> float | None:
    """p of two one-sided tests that a difference of ln PPL lies within ``ln(1 + margin)``."""
    if df <= 0:
        return None
    return float(equivalence_p_values([gap], [variance], df, float(np.log1p(margin)))[0])


def _residual(curves: Sequence[Curve], column: dict[float, int], terms: int) -> tuple[float, int]:
    """Residual sum of squares and degrees of freedom with ``terms`` own terms (0, 1: level, 2: and slope).

    Curves with the same sizes have the same design, so only their mean meets the size effects; what they differ
    from it is residual whatever the sizes do.
    """
    alike: dict[tuple[tuple[float, ...], tuple[float, ...]], list[tuple[float, ...]]] = {}
    for curve in curves:
        alike.setdefault((curve.sizes, curve.x), []).append(curve.y)
    within, used, points = 0.0, 0, 0
    means, designs = [], []
    for (sizes, at), values in alike.items():
        y = np.array(values)  # (curves, sizes)
        rows = np.zeros((len(sizes), len(column)))
        rows[np.arange(len(sizes)), [column[size] for size in sizes]] = 1.0
        points += y.size
        if terms >= 1:
            y, rows, used = y - y.mean(axis=1, keepdims=True), rows - rows.mean(axis=0), used + len(values)
        if terms == 2 and len(at) > 1:
            x = np.array(at) - np.mean(at)
            y = y - np.outer(y @ x, x) / (x @ x)
            rows, used = rows - np.outer(x, x @ rows) / (x @ x), used + len(values)
        mean = y.mean(axis=0)
        within += float(np.sum((y - mean) ** 2))
        means.append(np.sqrt(len(values)) * mean)
        designs.append(np.sqrt(len(values)) * rows)
    target, design = np.concatenate(means), np.vstack(designs)
    # What the configurations' own terms can express of the size effects is gone, so the rank falls short of
    # the columns by design: lstsq gives the residual whatever the rank, which regression.py refuses.
    solution, _, rank, _ = np.linalg.lstsq(design, target, rcond=1e-10)
    left = target - design @ solution
    return within + float(left @ left), points - used - int(rank)


def _at_least(variance: float) -> float:
    """The variance of a cell, which is never less than what rounding leaves."""
    return max(variance, ROUNDING**2)


def _exact(variance: float) -> bool:
    """Whether a cell's variance is that of rounding: no noise that a difference could be tested against."""
    return variance <= ROUNDING**2


def _untested(difference: Estimate, *, exact: bool) -> Estimate:
    """The difference without its test where there is no noise; its interval is as wide as rounding makes it."""
    return replace(difference, p_value=None) if exact else difference


def _f_test(
    small: tuple[float, int], large: tuple[float, int], variance: float | None, df: int
) -> FTest | None:
    """F of the fall in the residual sum of squares against ``variance``; None without freedom, or against rounding."""
    df1 = small[1] - large[1]
    if df1 <= 0 or df <= 0 or variance is None or _exact(variance):
        return None
    statistic = max(0.0, small[0] - large[0]) / df1 / variance
    return FTest(statistic, df1, df, f_p_value(statistic, df1, df))


def _paired(first: Curve, second: Curve, joint: JointTest | None, level: float, margin: float) -> Pair:
    """Compare on common sizes: the differences of ln PPL, regressed on ln n."""
    x = np.array(first.x)
    y = np.array(second.y) - np.array(first.y)
    centre, mean, sizes = float(x.mean()), float(y.mean()), len(x)
    step = x - centre
    spread = float(step @ step)
    slope = float(step @ y) / spread if sizes > 1 and spread > 0 else None
    left = y - mean - (slope or 0.0) * step
    df = sizes - 2
    # The difference of two cells has twice the variance of one.
    variance = _at_least(float(left @ left) / df / 2.0) * 2.0 if df > 0 else 0.0
    if joint is not None and joint.variance is not None:
        variance, df = 2 * joint.variance, joint.df
    df = max(df, 0)
    ratio = ratio_of(mean, variance / sizes, df, level)
    equal = None if _exact(variance / 2.0) else _equal(mean, variance / sizes, df, margin)
    if slope is None:
        return Pair(first.label, second.label, True, first.sizes, df, None, ratio, None, None, equal)
    lines = _f_test((float(y @ y) / 2.0, sizes), (float(left @ left) / 2.0, sizes - 2), variance / 2.0, df)
    return Pair(
        first.label,
        second.label,
        True,
        first.sizes,
        df,
        _untested(contrast_of(slope, variance / spread, df, level), exact=_exact(variance / 2.0)),
        ratio,
        lines,
        LogLine(mean, slope, centre, variance / sizes, variance / spread, 0.0, df),
        equal,
    )


def _independent(first: Curve, second: Curve, level: float, margin: float) -> Pair:
    """Compare two lines that share nothing but, by assumption, the variance of a point about its line."""
    if min(len(first.x), len(second.x)) < 2:
        gap = float(np.mean(second.y) - np.mean(first.y))
        return Pair(first.label, second.label, False, (), 0, None, Estimate(exp_of(gap)), None, None)
    centre = float(np.mean([*first.x, *second.x]))
    x = np.concatenate([first.x, second.x]) - centre
    y = np.concatenate([first.y, second.y])
    is_second = np.repeat([0.0, 1.0], [len(first.x), len(second.x)])
    names = ("level", "slope", "level difference", "slope difference")
    one = np.ones_like(x)
    full = least_squares(np.column_stack([one, x, is_second, is_second * x]), y, names=names, level=level)
    common = least_squares(np.column_stack([one, x]), y, names=names[:2], level=level)
    gap, slope = full["level difference"].known, full["slope difference"].known
    variance = None if full.variance is None else _at_least(full.variance)
    covariance = np.zeros((4, 4)) if variance is None else variance * full.inverse_gram
    line = LogLine(gap, slope, centre, covariance[2, 2], covariance[3, 3], covariance[2, 3], full.df)
    exact = variance is not None and _exact(variance)
    return Pair(
        first.label,
        second.label,
        False,
        (),
        full.df,
        _untested(contrast_of(slope, covariance[3, 3], full.df, level), exact=exact),
        ratio_of(gap, covariance[2, 2], full.df, level),
        _f_test((common.rss, common.df), (full.rss, full.df), variance, full.df),
        line,
        None if exact else _equal(gap, covariance[2, 2], full.df, margin),
    )
