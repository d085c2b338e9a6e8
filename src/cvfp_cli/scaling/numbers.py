"""Numbers as people read them: four digits, thousands separated, ends of intervals."""

import math

from cvfp_cli.scaling.result import Estimate

OPEN = "open"
MISSING = "-"
# A change in percent below this is none: it is far below what any run can show.
NO_CHANGE = 1e-6


def figure(value: float | None, digits: int = 4) -> str:
    """A figure with ``digits`` significant digits; large and small ones in powers of ten."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value != 0 and not 1e-3 <= abs(value) < 10 ** (digits + 1):
        text = f"{value:.{digits - 1}e}"
        mantissa, exponent = text.split("e")
        return f"{mantissa}e{int(exponent)}"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def size(value: float) -> str:
    """A size: a whole number with separated thousands where it is one."""
    if math.isinf(value):
        return "inf"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{round(value):,}" if 1e3 <= abs(value) < 1e9 else figure(value)


def interval(low: float | None, high: float | None) -> str:
    """Both ends; an open one is said to be."""
    return f"{OPEN if low is None else figure(low)} .. {OPEN if high is None else figure(high)}"


def ends(estimate: Estimate, measured: bool) -> str:
    """The interval of an estimate, or a dash where its fit has none."""
    return interval(estimate.low, estimate.high) if measured else MISSING


def percent(value: float | None, places: int = 1) -> str:
    """A share as percent."""
    return MISSING if value is None else f"{100 * value:.{places}f} %"


def small_percent(value: float | None) -> str:
    """A change that is in percent already; one without digits as a bound, never as digits of rounding."""
    if value is not None and 0.0 < abs(value) < NO_CHANGE:
        return f"less than {NO_CHANGE:g} %"
    return f"{figure(value, 3)} %"


def percents(low: float | None, high: float | None) -> str:
    """The interval of a change in percent; ends without digits are 0."""
    return interval(*(0.0 if end is not None and abs(end) < NO_CHANGE else end for end in (low, high)))


def signed_percent(value: float) -> str:
    """A figure that is in percent already, with its sign."""
    return f"{value:+.1f} %"


def counted(count: int, noun: str) -> str:
    """``1 size``, ``2 sizes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
