"""Where the ticks of a chart lie and what they are called: 100, 200, 500, 50k. Every chart, drawn or printed, asks here."""

from collections.abc import Sequence
from math import ceil, floor, inf, log10
from typing import Any

MOST_TICKS = 8
STEPS = (1.0, 2.0, 5.0)
MOST_DIGITS = 12


def log_ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis between two powers of ten: ones, twos and fives; on a short axis even ones.

    Args:
        low, high: decimal logarithms of the axis' ends.
    """
    decades = range(floor(low), ceil(high) + 1)
    inside: list[float] = []
    for chosen in (STEPS, STEPS[:1]):
        found = [tick for decade in decades for step in chosen if 0 < (tick := step * _power(decade)) < inf]
        inside = [tick for tick in found if low <= log10(tick) <= high]
        if 3 <= len(inside) <= MOST_TICKS:
            return inside
    if len(inside) > MOST_TICKS:
        return inside[:: ceil(len(inside) / MOST_TICKS)]
    return even_ticks(_power(low), _power(high))


def _power(exponent: float) -> float:
    """Ten to a power; infinity beyond what a number can hold."""
    return float(10.0**exponent) if exponent < 308 else inf


def even_ticks(low: float, high: float) -> list[float]:
    """Three to eight round values, evenly spaced."""
    rough = (high - low) / 5
    unit = 10.0 ** floor(log10(rough))
    step = next(size * unit for size in (*STEPS, 10.0) if size * unit >= rough)
    return [i * step for i in range(ceil(low / step), floor(high / step) + 1)]


def compact(value: float, digits: int = 3) -> str:
    """``50k``, ``1.5M``, ``200``, ``1e20``: short enough for a tick."""
    if abs(value) >= 1e15:
        return f"{value:.{digits}g}".replace("e+", "e")
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.{digits}g}{suffix}"
    return f"{value:.{digits}g}"


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """The ticks' names, with as many digits as tell them apart."""
    for digits in range(3, MOST_DIGITS):
        labels = [compact(tick, digits) for tick in ticks]
        if len(set(labels)) == len(labels):
            return labels
    return [repr(tick) for tick in ticks]


def label_log_axes(axes: Any) -> None:
    """Give both logarithmic axes of a matplotlib drawing, with their final limits, these ticks and names."""
    from matplotlib.ticker import NullLocator

    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        ticks = log_ticks(log10(low), log10(high))
        axis.set_ticks(ticks, labels=tick_labels(ticks))
        axis.set_minor_locator(NullLocator())
