"""Numbers as people read them: four digits, thousands separated, ends of intervals."""

import math

from cvfp_cli.scaling.result import Estimate

OPEN = "open"
MISSING = "-"
# A change in percent below this is none: it is far below what any run can show.
NO_CHANGE = 1e-6
# And one above this, or a y above the other, is no figure: the law goes where nothing was measured.
ALL_CHANGE = 1e6
ALL_MEASURE = 1e30

NO_SLOPE = 1e-9  # an exponent closer to 0 than this is none: only rounding
ROUNDING = 1e-9  # of a measurement: a floor or a difference below this share of it is 0


def rounded_off(value: float | None, least: float) -> float | None:
    """The figure, or 0 where it is closer to 0 than ``least``."""
    return 0.0 if value is not None and abs(value) < least else value


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
    """Both ends; an open one is said to be. Ends that differ are shown with the digits in which they do."""
    if low is not None and high is not None and abs(high - low) > 1e-12 * abs(high):
        digits = next((d for d in range(4, 10) if figure(low, d) != figure(high, d)), 4)
        return f"{figure(low, digits)} .. {figure(high, digits)}"
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
    if value is not None and abs(value) > ALL_CHANGE:
        return f"more than {ALL_CHANGE:g} %"
    return f"{figure(value, 3)} %"


def percents(low: float | None, high: float | None) -> str:
    """The interval of a change in percent; ends without digits are 0, ends beyond all measure open."""

    def end(value: float | None) -> float | None:
        if value is None or abs(value) > ALL_CHANGE:
            return None
        return 0.0 if abs(value) < NO_CHANGE else value

    return interval(end(low), end(high))


def signed_percent(value: float) -> str:
    """A figure that is in percent already, with its sign."""
    text = f"{value:+.1f} %"
    return text.lstrip("+-") if text[1:] == "0.0 %" else text  # what rounds to 0 has no sign
