"""Contrasts of two log-log lines: differences, ratios and crossing points with their intervals, and Holm's rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.regression import Vector, t_quantile, tested


@dataclass(frozen=True)
class Crossing(Estimate):
    """The size (tokens or samples) at which two lines predict the same, with Fieller's interval.

    There is no value where they are parallel, or so nearly that no number can hold it. An end may be any size, 0 and
    infinity included, where the slopes can hardly be told apart.

    Attributes:
        outside: the interval is everything except (low, high), where the slopes cannot be told apart but the levels can.
    """

    outside: bool = False


@dataclass(frozen=True)
class LogLine:
    """The difference of two log-log lines, second minus first: ``at_centre + slope * (ln n - centre)``.

    ``v_centre``, ``v_slope`` and ``covariance`` belong to ``at_centre`` and ``slope``; df 0: they are unknown.
    """

    at_centre: float
    slope: float
    centre: float
    v_centre: float
    v_slope: float
    covariance: float
    df: float

    def ratio(self, n: float, level: float = 0.95) -> Estimate:
        """PPL of the second curve over that of the first at ``n``, by their lines."""
        step = float(np.log(n)) - self.centre
        variance = self.v_centre + 2 * step * self.covariance + step * step * self.v_slope
        return ratio_of(self.at_centre + self.slope * step, variance, self.df, level)

    def crossing(self, level: float = 0.95) -> Crossing:
        """The size at which both lines meet, with the interval of Fieller (1954)."""
        if self.slope == 0.0:
            return Crossing(None)
        x = _size(self.centre - self.at_centre / self.slope)
        if self.df <= 0:
            return Crossing(x)
        t2 = t_quantile(level, self.df) ** 2
        # |difference(step)| <= t * error(step) is a quadratic inequality a step^2 + b step + c <= 0.
        a = self.slope**2 - t2 * self.v_slope
        b = 2 * (self.at_centre * self.slope - t2 * self.covariance)
        c = self.at_centre**2 - t2 * self.v_centre
        discriminant = b * b - 4 * a * c
        if a == 0.0 or (a < 0 and discriminant <= 0):
            return Crossing(x)
        root = float(np.sqrt(max(0.0, discriminant)))
        ends = sorted(((-b - root) / (2 * a), (-b + root) / (2 * a)))
        return Crossing(x, exp_of(self.centre + ends[0]), exp_of(self.centre + ends[1]), outside=a < 0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (Holm 1979); entries that are None stay None and do not count."""
    known = holm_adjusted(np.array([p for p in p_values if p is not None], dtype=float)).tolist()
    return [None if p is None else known.pop(0) for p in p_values]


def holm_adjusted(p_values: Vector) -> Vector:
    """The same of p values that are all known, shape (tests,)."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    steps = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * steps))
    return adjusted


def ratio_of(difference: float, variance: float, df: float, level: float) -> Estimate:
    """exp of a difference of logarithms, with its t interval."""
    return contrast_of(difference, variance, df, level).map(exp_of)


def contrast_of(value: float, variance: float, df: float, level: float) -> Estimate:
    """A difference with its t interval and the test of no difference; without them where ``df`` is 0."""
    return tested(value, float(np.sqrt(max(0.0, variance))), df, level) if df > 0 else Estimate(value)


def exp_of(value: float) -> float:
    """exp without overflow: beyond the largest double it is infinity."""
    return float(np.exp(value)) if value < 709.0 else float("inf")


def _size(log_size: float) -> float | None:
    """A size from its logarithm; None where it lies beyond what a number can hold."""
    return exp_of(log_size) if abs(log_size) < 690.0 else None
