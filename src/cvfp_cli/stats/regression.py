"""Ordinary least squares with exact normal-theory intervals. NumPy and ``scipy.special`` alone.

Every formula here is in any textbook of linear models (Seber and Lee, *Linear Regression Analysis*, chapters 3-5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.stats.estimate import Estimate

Vector = NDArray[np.float64]


def t_quantile(level: float, df: float) -> float:
    """Half-width factor of a two-sided t interval: the (1 + level) / 2 quantile of Student's t."""
    return float(special.stdtrit(df, 0.5 + level / 2.0))


def df_of_square(square: ArrayLike, most: ArrayLike) -> Vector:
    """Degrees of freedom, from 1 to ``most``, with which the square of t's 97.5 % quantile is ``square``."""
    high = np.asarray(most, dtype=float)
    low = np.ones_like(high)
    for _ in range(60):
        middle = np.sqrt(low * high)
        more = special.stdtrit(middle, 0.975) ** 2 > square
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.asarray(high)


def mean_interval(mean: float | None, se: float | None, clusters: int) -> tuple[float, float] | None:
    """The 95 % interval of a mean whose standard error rests on so many clusters: t, clusters − 1 degrees of freedom.

    None where one of them is not known, or there is one cluster alone.
    """
    if mean is None or se is None or clusters < 2:
        return None
    half = t_quantile(0.95, clusters - 1) * se
    return mean - half, mean + half


def f_quantile(level: float, df1: float, df2: float) -> float:
    """The ``level`` quantile of the F distribution."""
    return float(special.fdtri(df1, df2, level))


def f_p_value(statistic: float, df1: float, df2: float) -> float:
    """Probability of an F value above ``statistic``."""
    return float(special.fdtrc(df1, df2, statistic))


def t_p_value(statistic: float, df: float) -> float:
    """Two-sided p value of a t statistic."""
    return float(2.0 * special.stdtr(df, -abs(statistic)))


@dataclass(frozen=True)
class Regression:
    """A least-squares fit of ``y = X b``.

    Attributes:
        names, coefficients: in the order of the columns of ``X``; with standard error, t interval and the test
            against 0 where a residual degree of freedom is left.
        rss: residual sum of squares.
        df: residual degrees of freedom, rows minus rank.
        variance: rss / df; None where df is 0.
        r_squared: share of the variation about the mean; None where y does not vary.
        residuals: y minus fitted, shape (rows,).
        inverse_gram: inverse of X'X, shape (columns, columns).
        level: confidence level of the intervals.
    """

    names: tuple[str, ...]
    coefficients: tuple[Estimate, ...]
    rss: float
    df: int
    variance: float | None
    r_squared: float | None
    residuals: Vector
    inverse_gram: Vector
    level: float

    @property
    def values(self) -> Vector:
        """The coefficients as an array, shape (columns,)."""
        return np.array([coefficient.known for coefficient in self.coefficients])

    @property
    def covariance(self) -> Vector | None:
        """Covariance of the coefficients, shape (columns, columns); None where df is 0."""
        return None if self.variance is None else self.variance * self.inverse_gram

    def __getitem__(self, name: str) -> Estimate:
        return self.coefficients[self.names.index(name)]

    def contrast(self, weights: ArrayLike, *, new_observation: bool = False) -> Estimate:
        """Estimate a weighted sum of coefficients, or a new observation at that row of ``X``.

        Args:
            weights: one weight a column, shape (columns,).
            new_observation: widen the interval by the variance of one observation (a prediction interval).
        """
        row = np.asarray(weights, dtype=float)
        value = float(row @ self.values)
        if self.variance is None:
            return Estimate(value)
        spread = float(row @ self.inverse_gram @ row) + (1.0 if new_observation else 0.0)
        return tested(value, np.sqrt(self.variance * spread), self.df, self.level)


@dataclass(frozen=True)
class FTest:
    """A test of a smaller model inside a larger one: F(df1, df2), which need not be whole, and its p value."""

    statistic: float
    df1: float
    df2: float
    p_value: float


def tested(value: float, se: float, df: float, level: float) -> Estimate:
    """A value with its standard error, t interval and two-sided test against 0."""
    half = t_quantile(level, df) * se
    p_value = t_p_value(value / se, df) if se > 0 else (1.0 if value == 0 else 0.0)
    return Estimate(value, value - half, value + half, se=float(se), p_value=p_value, df=float(df))


def least_squares(
    columns: ArrayLike, y: ArrayLike, *, names: Sequence[str] = (), level: float = 0.95
) -> Regression:
    """Fit ``y = X b`` by ordinary least squares.

    Args:
        columns: the matrix X, shape (rows, columns); add a column of ones for an intercept.
        y: responses, shape (rows,).
        names: a name a column (default ``b0``, ``b1`` ...).
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        InputError: fewer rows than columns, or columns that determine one another.
    """
    x = np.asarray(columns, dtype=float)
    target = np.asarray(y, dtype=float)
    rows, width = x.shape
    labels = tuple(names) or tuple(f"b{index}" for index in range(width))
    # Columns are scaled to norm 1 so that the rank does not depend on their units.
    norms = np.linalg.norm(x, axis=0)
    if rows < width or np.any(norms == 0.0):
        raise InputError(
            f"{counted(rows, 'row')} cannot determine {counted(width, 'coefficient')} ({', '.join(labels)})."
        )
    q, r = np.linalg.qr(x / norms)
    if np.min(np.abs(np.diag(r))) < 1e-10:
        raise InputError(f"These data cannot tell the coefficients apart: {', '.join(labels)}.")
    r_inverse = np.linalg.inv(r) / norms[:, None]
    values = r_inverse @ (q.T @ target)
    inverse_gram = r_inverse @ r_inverse.T
    residuals = target - x @ values
    rss = float(residuals @ residuals)
    df = rows - width
    variance = rss / df if df > 0 else None
    total = float(np.sum((target - target.mean()) ** 2))
    coefficients = tuple(
        tested(float(value), float(np.sqrt(variance * inverse_gram[i, i])), df, level)
        if variance is not None
        else Estimate(float(value))
        for i, value in enumerate(values)
    )
    return Regression(
        names=labels,
        coefficients=coefficients,
        rss=rss,
        df=df,
        variance=variance,
        r_squared=1.0 - rss / total if total > 0 else None,
        residuals=residuals,
        inverse_gram=inverse_gram,
        level=level,
    )


def determined(columns: ArrayLike, y: ArrayLike, *, names: Sequence[str], level: float) -> Regression | None:
    """``least_squares``, or None where these rows cannot tell the columns apart or leave no freedom."""
    x = np.asarray(columns, dtype=float)
    if len(x) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    return least_squares(x, y, names=names, level=level)


def correlation(
    points: Sequence[tuple[float, float]], level: float = 0.95, *, means: int = 1
) -> Estimate | None:
    """Pearson's r with Fisher's z interval (Fisher 1921); None with fewer than three points, or where one is constant.

    Args:
        points: pairs of figures. means: how many means were taken off them; each one beyond the first costs a
            degree of freedom.
    """
    if len(points) < 3:
        return None
    table = np.array(points)
    if np.any(np.ptp(table, axis=0) <= 1e-12 * (1 + np.abs(table).max(axis=0))):
        return None
    r = float(np.clip(np.corrcoef(table.T)[0, 1], -1.0, 1.0))
    freedom = len(points) - max(means - 1, 0) - 3
    if freedom <= 0 or abs(r) >= 1.0:
        return Estimate(r)
    half = float(special.ndtri(0.5 + level / 2)) / sqrt(freedom)
    return Estimate(r, tanh(atanh(r) - half), tanh(atanh(r) + half))
