"""F tests of configurations that need not have one variance.

The pooled F test of equal slopes rejects equal configurations in 9-22 % where one of four to nine is four to ten times
noisier. What 20,000 to 40,000 simulated sets for each of 3 to 40 configurations in 4 to 7 sizes say of the ways out
(nominal 5 %; most rejections among noise of 1 to 30 times in one configuration or two, and power where one slope of
nine in 4 or in 6 sizes lies five standard deviations off):

    pooled F                                                        22 %   78, 87 %
    Box's correction, variances from the residuals                  10 %   53, 79 %
    the same, where the noisiest is tested by itself                10 %   56, 80 %
    Welch-like p value averaged over what the variances may be       9 %   18, 71 %
    Box's correction, the fall counted among the residuals           6 %   51, 79 %

Box's correction alone fails in the sets in which the noisy configuration's residuals happen to be small: then it looks
like the others, and its own line lies far from theirs. How far it lies speaks of its variance as well, where lines
are equal. Counted in full, as the residuals of the smaller model would, that costs a third of the power; a third to
a half of one degree of freedom is enough.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cvfp_cli.stats.components import Array, Rows
from cvfp_cli.stats.regression import FTest, f_p_value
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.workings import solved

STANDS_OUT = 0.1  # significance of the test of one variance
MOST_CELLS = 600  # whose projections are matrices of this size squared
# How many degrees of freedom the fall counts for, where each configuration's residuals have two: the largest of many
# variances is the easier missed.
FALL, FALL_OF_EACH = 0.27, 0.01


@dataclass(frozen=True)
class UnequalTest:
    """An F test that holds where variances differ, and whether one configuration's stands out."""

    test: FTest
    stands_out: bool


def unequal_test(smaller: ArrayLike, larger: ArrayLike, y: ArrayLike, rows: Rows) -> UnequalTest | None:
    """Test a smaller linear model within a larger one, every configuration with a variance of its own.

    The statistic compares the fall of the residual sum of squares with its expectation, given the variances, by the
    residuals' own. Both are quadratic forms y'Ay, whose degrees of freedom are Box's (1954), (tr A S)^2 / tr (A S)^2,
    with S the diagonal of the variances. These equate the squares of each configuration's rows, of the residuals and of
    a share of the fall, with their expectations under the smaller model (MINQUE: Rao 1971). The squares of estimated
    variances are too large on average, so that these degrees of freedom err on the small side.

    Args:
        smaller, larger: the two designs, (m, p) each; the columns of one span those of the other. Dependent columns
            are allowed. y: (m,). rows: the configuration of each row, codes from 0 on, (m,).

    Returns:
        None without degrees of freedom, without residuals but rounding, or with too many rows for it.
    """
    target = np.asarray(y, dtype=float)
    if len(target) > MOST_CELLS:
        return None
    inner, outer = _projection(smaller), _projection(larger)
    between, within = outer - inner, np.eye(len(target)) - outer
    df1, df2 = round(float(np.trace(between))), round(float(np.trace(within)))
    r = within @ target
    left, fall = float(r @ r), float(target @ between @ target)
    if df1 <= 0 or df2 <= 0 or left <= df2 * ROUNDING**2:
        return None
    count = int(rows.max()) + 1
    stands_out = variance_stands_out(np.bincount(rows, r**2), np.bincount(rows, np.diag(within)))
    # The fewer degrees of freedom the residuals have, the more would the fall outweigh them.
    of_each = df2 / max(count - 1, 1)
    share = (FALL + FALL_OF_EACH * count) * float(np.clip((2.0 * of_each - 1.0) / 3.0, 1 / 3, 1.5))
    member = np.equal.outer(rows, np.arange(count)).astype(float)
    squares = [member.T @ part**2 @ member for part in (between, within)]
    seen = r**2 + share * (between @ target) ** 2
    variances = np.linalg.lstsq(squares[1] + share * squares[0], member.T @ seen, rcond=1e-10)[0]
    variances = np.maximum(variances, 0.0)
    if not np.any(variances > 0):
        variances = np.ones(len(variances))
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
    """On the columns of the design, (m, m)."""
    basis = solved(np.asarray(design, dtype=float))[0]
    return np.asarray(basis @ basis.T)
