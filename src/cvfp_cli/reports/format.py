"""How each kind of figure is written: four digits in tables, full precision only in JSON."""

from collections.abc import Callable
from math import floor, isfinite, log10

from cvfp_cli.reports.model import Value

MISSING = "-"
MILLIONS_FROM = 1e5  # below it, millions with two decimals would lose digits
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scientific(value: float, digits: int = 2) -> str:
    """``2.67×10⁵``."""
    if value == 0:
        return "0"
    exponent = floor(log10(abs(value)))
    mantissa = f"{value / 10.0**exponent:.{digits}f}" if abs(exponent) < 300 else f"{value:.{digits}e}"
    if mantissa.lstrip("-").startswith("10."):  # 9.999 rounds up to ten
        exponent += 1
        mantissa = f"{value / 10.0**exponent:.{digits}f}"
    return f"{mantissa.split('e')[0]}×10{str(exponent).translate(_SUPERSCRIPT)}"


def perplexity(value: float) -> str:
    """One decimal as in the studies; two below 10; scientific from ten million on."""
    if abs(value) >= 1e7:
        return scientific(value, 3)
    return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}"


def _whole(value: float) -> str:
    return f"{round(value):,}"


def _count(value: float) -> str:
    """A count, or the mean of counts."""
    return _whole(value) if float(value).is_integer() else f"{value:,.1f}"


def _millions(value: float) -> str:
    """``1.18M``; the whole count where that would lose digits."""
    return f"{value / 1e6:.2f}M" if value >= MILLIONS_FROM else _whole(value)


def _coefficient(value: float, sign: str) -> str:
    """Three decimals below 10, four digits below 1,000, scientific beyond; ``sign`` as in a format."""
    if abs(value) >= 1000:
        return scientific(value)
    return f"{value:{sign}.4g}" if abs(value) >= 10 else f"{value:{sign}.3f}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if abs(value) < 100 else _whole(value)


def _p_value(value: float) -> str:
    return (
        f"{value:.3f}"
        if value >= 0.0995 or value == 0
        else f"{value:.2g}"
        if value >= 1e-4
        else scientific(value, 1)
    )


def _significant(value: float) -> str:
    """Four significant digits, plain between 0.001 and ten million."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e7:
        return scientific(value, 3)
    return f"{value:,.{max(0, 3 - floor(log10(abs(value))))}f}"


KINDS: dict[str, Callable[[float], str]] = {
    "ppl": perplexity,
    "ratio": lambda value: f"{value:.2f}",
    "ratio3": lambda value: f"{value:.3f}",
    "share": lambda value: f"{100 * value:.1f}%",
    "whole_share": lambda value: f"{100 * value:.4g}%",
    "points": lambda value: f"{100 * value:+.1f}",
    "change": lambda value: f"{100 * value:+.1f}%",
    "fall": lambda value: f"{100 * value:.1f}%",
    "percent": lambda value: f"{value:.1f}%",
    "error": lambda value: f"{value:+.1f}%",
    "alpha": lambda value: f"{value:.4f}",
    "alpha3": lambda value: f"{value:.3f}",
    "coefficient": lambda value: _coefficient(value, "+"),
    "coefficient_size": lambda value: _coefficient(value, "-"),
    "box_ppl": lambda value: f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}",
    "correlation": lambda value: f"{value:+.2f}",
    "r2": lambda value: f"{value:.3f}",
    "scientific": scientific,
    "order": lambda value: scientific(value, 0),
    "significant": _significant,
    "statistic": lambda value: f"{value:.2f}" if abs(value) < 1e7 else scientific(value, 2),
    "p": _p_value,
    "int": _whole,
    "plain": lambda value: f"{value:g}",
    "count": _count,
    "dims": lambda value: f"{value:,.0f}",
    "million": _millions,
    "seconds": _seconds,
    "minutes": lambda value: f"{value / 60:,.1f}",
    "hours": lambda value: f"{value / 3600:,.1f}",
    "gigabytes": lambda value: f"{value / 1e9:.1f}",
}
"""Every kind that a column or a template may name, but for texts, terms and findings."""


def number(value: float | int | None, kind: str) -> str:
    """One number as text; ``-`` where it is missing or not finite.

    Raises:
        KeyError: no such kind.
    """
    write = KINDS[kind]
    if value is None or not isfinite(value):
        return MISSING
    text = write(value)
    # What rounds to 0 has no sign.
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")


def interval(value: Value, kind: str, open_end: str) -> str:
    """``[low, high]``; an end that nothing bounds is ``open_end``."""
    low, high = (
        open_end if end is None or not isfinite(end) else number(end, kind) for end in (value.low, value.high)
    )
    return f"[{low}, {high}]"
