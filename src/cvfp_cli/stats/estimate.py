"""A value with its interval: the one type that fits, regressions, contrasts and tables use."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: the estimate; None where there is no finite value.
        low, high: ends of the interval; None is an open end (nothing in the data bounds that side), or, where both
            are None, no interval: what it comes with says why.
        shared: estimated from several configurations together.
        at_bound: the estimate lies at the bound of what the law allows.
        fixed: held at a value that was given, not estimated.
        reason: why the data determine no value, or, where there is one, no interval; empty where they do.
        se: standard error, with ``df`` degrees of freedom. p_value: of the two-sided test of no difference. None
            where no freedom is left, or where none of them is worked out.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    shared: bool = False
    at_bound: bool = False
    fixed: bool = False
    reason: str = ""
    se: float | None = None
    p_value: float | None = None
    df: float | None = None

    @property
    def known(self) -> float:
        """The value, where there must be one."""
        assert self.value is not None
        return self.value

    def map(self, rising: Callable[[float], float]) -> "Estimate":
        """The same figure on another scale, by an increasing function; it keeps the test and loses the error."""
        value, low, high = (None if end is None else rising(end) for end in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high, se=None)

    def turned(self) -> "Estimate":
        """Its negative: what is below as above, a fall as a rise."""
        value, low, high = (None if end is None else -end for end in (self.value, self.high, self.low))
        return replace(self, value=value, low=low, high=high)

    def to_json(self) -> dict[str, Any]:
        """The five keys of a parameter, ``fixed`` where it was given, and ``reason`` where it is undetermined."""
        shape: dict[str, Any] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "shared": self.shared,
            "at_bound": self.at_bound,
        }
        if self.fixed:
            shape["fixed"] = True
        return {**shape, "reason": self.reason} if self.reason else shape

    def range_json(self) -> dict[str, Any]:
        """Value and ends alone, for derived figures, and ``reason`` where there is one."""
        shape = {"value": self.value, "low": self.low, "high": self.high}
        return {**shape, "reason": self.reason} if self.reason else shape


def range_json(figure: Estimate | None) -> dict[str, Any] | None:
    """``Estimate.range_json`` of a figure that there may not be."""
    return figure.range_json() if figure else None


def relative_change(first: Estimate, second: Estimate) -> Estimate:
    """second / first - 1, with an interval from the two own ones (MOVER, Zou and Donner 2008).

    Worked out on logarithms of absolute values; an end that one of the two leaves open, or that lies across 0,
    stays open. Without a first value there is no change, and across 0 no interval of it.
    """
    if not first.value or not second.value or first.value * second.value < 0:
        return Estimate(second.value / first.value - 1 if first.value and second.value is not None else None)
    sign = 1.0 if first.value > 0 else -1.0
    (low1, high1), (low2, high2) = _log_ends(first, sign), _log_ends(second, sign)
    one, two = log(abs(first.value)), log(abs(second.value))
    gap = two - one
    low = None if low2 is None or high1 is None else gap - sqrt((two - low2) ** 2 + (high1 - one) ** 2)
    high = None if high2 is None or low1 is None else gap + sqrt((high2 - two) ** 2 + (one - low1) ** 2)
    return Estimate(_share(gap), _share(low), _share(high))


def _log_ends(estimate: Estimate, sign: float) -> tuple[float | None, float | None]:
    """Logarithms of the interval's ends of the absolute value, the smaller one first."""
    ends = [
        None if end is None or end * sign <= 0 else log(end * sign) for end in (estimate.low, estimate.high)
    ]
    return (ends[0], ends[1]) if sign > 0 else (ends[1], ends[0])


def _share(shift: float | None) -> float | None:
    return None if shift is None or shift > 700 else exp(shift) - 1
