"""F tests of configurations that need not have one variance.

The pooled F test of equal slopes rejects equal configurations in 8-17 % where one of four to nine is four times
noisier. Two ways out, from 600 simulated sets for each of 4 or 9 configurations in 4 or 6 sizes (nominal 5 %; rejected
with one configuration four times noisier, and found where slopes differ and the noise does not):

    pooled F                                                  9-16 %    17-75 %
    Box's correction, each configuration with its own         5-9 %      9-66 %
    CR2 with every run by itself (``robust.cr2_wald``)        0-2 %      0-33 %
    both, as here                                             4-6 %      8-61 %

The third costs most of the power and the second is not quite enough, so the third is taken only where one
configuration's share of the residuals stands out (Cochran 1941) and the second everywhere else. Levels of nine
configurations in four sizes leave the third no freedom, and are rejected in 7-8 % there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cvfp_cli.stats.components import Array, Rows
from cvfp_cli.stats.regression import FTest, f_p_value
from cvfp_cli.stats.robust import cr2_wald

STANDS_OUT = 0.1  # significance of the test of one variance below which CR2 takes over
MOST_CELLS = 600  # whose projections are matrices of this size squared
MOST_WORK = 2e7  # numbers that CR2 holds at once


@dataclass(frozen=True)
class UnequalTest:
    """An F test that holds where variances differ, and whether one configuration's stands out."""

    test: FTest
    stands_out: bool


def unequal_test(smaller: ArrayLike, larger: ArrayLike, y: ArrayLike, rows: Rows) -> UnequalTest | None:
    """Test a smaller linear model within a larger one, every configuration with a variance of its own.

    The statistic compares the fall of the residual sum of squares with its expectation, given the variances, by the
    residuals' own. Both are quadratic forms y'Ay, whose degrees of freedom are Box's (1954), (tr A S)^2 / tr (A S)^2,
    with S the diagonal of the variances, estimated without bias from the residuals (MINQUE: Rao 1971). The squares of
    estimated variances are too large on average, so that these degrees of freedom err on the small side.

    Args:
        smaller, larger: the two designs, (m, p) each; the columns of one span those of the other. Dependent columns
            are allowed. y: (m,). rows: the configuration of each row, codes from 0 on, (m,).

    Returns:
        None without degrees of freedom, without residuals, or with too many rows for it.
    """
    target = np.asarray(y, dtype=float)
    if len(target) > MOST_CELLS:
        return None
    inner, outer = _projection(smaller), _projection(larger)
    between, within = outer - inner, np.eye(len(target)) - outer
    df1, df2 = round(float(np.trace(between))), round(float(np.trace(within)))
    r = within @ target
    left, fall = float(r @ r), float(target @ between @ target)
    if df1 <= 0 or df2 <= 0 or left <= 1e-20 * float(target @ target):
        return None
    stands_out = variance_stands_out(np.bincount(rows, r**2), np.bincount(rows, np.diag(within)))
    if stands_out and (robust := _robust(smaller, larger, target, df1)) is not None:
        return UnequalTest(robust, True)
    member = np.equal.outer(rows, np.arange(int(rows.max()) + 1)).astype(float)
    traces = member.T @ within**2 @ member
    variances = np.linalg.lstsq(traces, member.T @ r**2, rcond=1e-10)[0]
    variances = np.maximum(variances, 0.0)
    if not np.any(variances > 0):
        variances = np.ones(len(variances))
    squares = [member.T @ part**2 @ member for part in (between, within)]
    expected = [float(np.diag(part) @ (member @ variances)) for part in (between, within)]
    dfs = [
        float(np.clip(mean**2 / (variances @ square @ variances), 1.0, full))
        for mean, square, full in zip(expected, squares, (df1, df2), strict=True)
    ]
    statistic = max(0.0, fall) / expected[0] / (left / expected[1])
    return UnequalTest(FTest(statistic, dfs[0], dfs[1], f_p_value(statistic, *dfs)), stands_out)


def variance_stands_out(squares: ArrayLike, due: ArrayLike) -> bool:
    """Cochran's (1941) test of the largest share of the residuals among three configurations or more.

    Args:
        squares: sum of the squared residuals of each, (g,). due: its expectation under one variance of 1, (g,).
    """
    own, expected = np.asarray(squares, dtype=float), np.asarray(due, dtype=float)
    seen = expected > 0.5
    count = int(seen.sum())
    if count < 3 or not np.any(own[seen] > 0):
        return False
    mean_squares = own[seen] / expected[seen]
    largest = float(mean_squares.max() / mean_squares.sum())
    df = float(expected[seen].mean())
    if largest >= 1.0:
        return True
    statistic = largest * (count - 1) / (1.0 - largest)
    return bool(count * f_p_value(statistic, df, df * (count - 1)) < STANDS_OUT)


def _projection(design: ArrayLike) -> Array:
    x = np.asarray(design, dtype=float)
    norms = np.linalg.norm(x, axis=0)
    u, s, _ = np.linalg.svd(x / np.where(norms > 0, norms, 1.0), full_matrices=False)
    basis = u[:, s > 1e-10 * s[0]]
    return np.asarray(basis @ basis.T)


def _robust(smaller: ArrayLike, larger: ArrayLike, y: Array, df1: int) -> FTest | None:
    """CR2's test that what the larger design adds is 0; None where it sees too little."""
    small, large = np.asarray(smaller, dtype=float), np.asarray(larger, dtype=float)
    if float(df1) ** 2 * float(len(y)) ** 2 > MOST_WORK:
        return None
    # The part of the larger design that the smaller one does not have, as columns of their own.
    rest = large - _projection(small) @ large
    u, s, _ = np.linalg.svd(rest, full_matrices=False)
    inner, t, _ = np.linalg.svd(small, full_matrices=False)
    design = np.hstack([inner[:, t > 1e-10 * t[0]], u[:, s > 1e-9 * s[0]]])
    width = design.shape[1]
    found = np.linalg.lstsq(design, y, rcond=None)[0]
    weights = np.eye(width)[width - df1 :]
    wald = cr2_wald(design, y - design @ found, weights, found[width - df1 :])
    return None if wald is None else FTest(wald.statistic, float(wald.df1), wald.df2, wald.p_value)
