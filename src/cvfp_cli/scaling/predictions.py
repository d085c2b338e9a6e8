"""What a fitted curve says elsewhere: values with prediction intervals, the n that reaches a target, local slopes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy import special

from cvfp_cli.laws.base import Law
from cvfp_cli.laws.quantities import Quantity, clipped_exp
from cvfp_cli.laws.registry import get_law
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.derived import value_quantity
from cvfp_cli.scaling.global_fit import CurveFits
from cvfp_cli.scaling.profiles import Interval, profile_rise
from cvfp_cli.scaling.result import Estimate, Fit, LocalExponent, Target
from cvfp_cli.stats.regression import least_squares
from cvfp_cli.stats.size_errors import size_errors
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.points import Points

# A target further than this in ln n from the origin of the data counts as never reached.
FARTHEST = 50.0
FALLS_TO = "falls to"  # in the reason why a target is out of reach
# Why a figure of a fit without intervals has none.
NOTHING_LEFT = "nothing is left to make one from"
# And why one has none where the others have.
SHARED_UNSEEN = "how far the law misses a size that configurations share cannot be seen"


def maybe(value: float) -> float | None:
    """None for an open end or a missing figure."""
    return float(value) if np.isfinite(value) else None


def solve_sizes(law: Law, theta: Array, log_target: float) -> Array:
    """The shifted ln n at which each curve, theta (P, k), falls to a target, (P,).

    Infinite where the curve stays above the target, or rises to it; minus infinite where it stays below.
    """
    left, right = (np.full(len(theta), end) for end in (-FARTHEST, FARTHEST))
    first, last = law.log_curve(theta, np.stack([left, right], axis=1))[0].T
    beyond, below = last > log_target, (first < log_target) | (first <= last)
    for _ in range(80):
        middle = 0.5 * (left + right)
        above = law.log_curve(theta, middle[:, None])[0][:, 0] > log_target
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    return np.where(beyond, np.inf, np.where(below, -np.inf, 0.5 * (left + right)))


def solve_size(law: Law, theta: Array, log_target: float) -> float:
    """The shifted ln n at which one falling curve, theta (k,), reaches a target; NaN where it never does."""
    found = float(solve_sizes(law, theta[None], log_target)[0])
    return found if np.isfinite(found) else float("nan")


# By how much the sum of squares may rise within the interval of a figure.
Rise = Callable[[Quantity], float]


def find_target(fits: CurveFits, batch: Batch, rise: Rise | None, ppl: float) -> Target:
    """The size at which one fitted curve (a family of one) reaches ``ppl``, with its interval; none without ``rise``."""
    points = batch.groups[0]
    origin, log_unit = float(batch.scale.origin[0]), float(batch.scale.log_unit[0])
    log_target = float(np.log(ppl)) - log_unit
    z = solve_size(fits.law, fits.theta[0], log_target)
    if np.isfinite(z):
        x = float(np.exp(z + origin))
        low = high = None
        if rise is not None:
            low, high = (
                None if end is None else float(np.exp(end + origin))
                for end in (_last_allowed(fits, batch, rise, log_target, z, side) for side in (-1.0, 1.0))
            )
        return Target(ppl, x, low, high, not points.x.min() <= x <= points.x.max())
    reason = out_of_reach(fits.law, fits.theta, log_unit, points.y_name, ppl)
    if rise is None or not fits.law.has_floor or FALLS_TO not in reason:
        return Target(ppl, None, None, None, True, reason)
    floor = fits.law.parameter_quantities(batch.scale)[0]
    if profile_rise(fits, floor, np.array([ppl * np.exp(-log_unit)]))[0] > rise(floor):
        return Target(ppl, None, None, None, True, _surely_above(reason, ppl))
    low_end = _nearest_size(fits, batch, rise, log_target)
    return Target(ppl, None, None if low_end is None else float(np.exp(low_end + origin)), None, True, reason)


def without_interval(target: Target) -> Target:
    """The target of a fit that has no intervals, with the reason."""
    return target if target.x is None else replace(target, low=None, high=None, reason=NOTHING_LEFT)


def target_among(target: Target, sizes: Array, level: float) -> Target:
    """The target with the percentiles of its size over refits, (R,): infinite where one never reaches it."""
    tail = 0.5 * (1.0 - level)
    low, high = (float(end) for end in np.quantile(sizes, [tail, 1.0 - tail], method="nearest"))
    if target.x is not None:
        found = replace(target, low=maybe(low), high=maybe(high))
        return found if np.isfinite(low) else replace(found, reason="hardly any refit reaches it")
    if FALLS_TO not in target.reason:
        return target
    if np.isfinite(low):
        return replace(target, low=low)
    return replace(target, reason=_surely_above(target.reason, target.ppl))


def _surely_above(reason: str, ppl: float) -> str:
    return f"{reason}; the interval of the asymptote stays above {ppl:g} too"


def out_of_reach(law: Law, theta: Array, log_unit: float, y_name: str, ppl: float) -> str:
    """Why one curve, theta (1, k), never is at ``ppl``."""
    values = clipped_exp(law.log_curve(theta, np.array([[-FARTHEST, FARTHEST]]))[0][0] + log_unit)
    if values[1] >= values[0]:
        return f"the fitted law does not fall, so {y_name} {ppl:g} has no size of its own"
    if ppl < values[1]:
        return f"out of reach: the fitted law {FALLS_TO} {values[1]:.4g}, above {ppl:g}"
    return f"the fitted law is never above {values[0]:.4g}"


def _allows(fits: CurveFits, batch: Batch, rise: Rise, log_target: float, z: float) -> bool:
    """Whether the interval of the law at ``z`` holds the target."""
    quantity = value_quantity(fits.law, batch.scale, np.array([z]))
    return bool(profile_rise(fits, quantity, np.array([log_target]))[0] <= rise(quantity))


def _last_allowed(
    fits: CurveFits, batch: Batch, rise: Rise, log_target: float, z: float, side: float
) -> float | None:
    """Where the interval of the law ceases to hold the target, on one side of ``z``; None where it never does."""
    step = 0.1
    inside, outside = z, z + side * step
    while _allows(fits, batch, rise, log_target, outside):
        step *= 2.0
        inside, outside = outside, outside + side * step
        if abs(outside - z) > FARTHEST:
            return None
    return _between(fits, batch, rise, log_target, inside, outside)


def _nearest_size(fits: CurveFits, batch: Batch, rise: Rise, log_target: float) -> float | None:
    """The smallest shifted ln n at which the data still allow a target that the fitted curve never reaches."""
    left, right = float(batch.data.z.max()), FARTHEST
    if _allows(fits, batch, rise, log_target, left) or not _allows(fits, batch, rise, log_target, right):
        return None
    return _between(fits, batch, rise, log_target, right, left)


def _between(
    fits: CurveFits, batch: Batch, rise: Rise, log_target: float, inside: float, outside: float
) -> float:
    """The border of what is allowed between two places, by bisection."""
    start = inside
    while abs(outside - inside) > _resolved(abs(inside - start)):
        middle = 0.5 * (inside + outside)
        if _allows(fits, batch, rise, log_target, middle):
            inside = middle
        else:
            outside = middle
    return inside


def _resolved(moved: float) -> float:
    """How exactly a border is found: 1e-4 of the size, but no interval of less than that is lost."""
    return 1e-4 if moved > 1e-3 else max(1e-2 * moved, 1e-9)


def fitted_line(fit: Fit, sizes: Sequence[float]) -> list[float]:
    """A fitted law of one variable at ``sizes``, from its parameters; empty where one of them has no value."""
    known = {name: np.array(one.value) for name, one in fit.parameters.items() if one.value is not None}
    if len(known) < len(fit.parameters):
        return []
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return [float(y) for y in get_law(fit.law).value(known, np.array(sizes))]


def local_exponents(points: Points, window: int, level: float) -> tuple[LocalExponent, ...]:
    """Slopes of ln y over ln x within each window of ``window`` neighbouring sizes, with t intervals.

    Their errors are those of the sizes, as those of a line through all points are.
    """
    index = points.size_index
    result = []
    for first in range(points.distinct_sizes - window + 1):
        here = (index >= first) & (index < first + window)
        x, y = np.log(points.x[here]), np.log(points.y[here])
        root = np.sqrt(points.relative_weights[here])
        if np.ptp(x) == 0.0:
            continue
        design = np.column_stack([root, root * (x - x.mean())])
        line = least_squares(design, root * y)
        slope = float(line.values[1])
        errors = size_errors(
            line.residuals[None], design[None], root[None] ** 2, index[None, here] - first, x[None]
        )
        _, variance, df = errors.variance(np.array([[0.0, 1.0]]))
        half = float(special.stdtrit(df[0], 0.5 + 0.5 * level) * np.sqrt(variance[0]))
        # The line through two sizes meets both, so that nothing tells how far it is off.
        reason = "" if np.isfinite(half) else NOTHING_LEFT
        estimate = Estimate(slope, maybe(slope - half), maybe(slope + half), reason=reason)
        result.append(
            LocalExponent(float(points.x[here].min()), float(points.x[here].max()), len(x), estimate)
        )
    return tuple(result)


def estimate_of(
    value: float, interval: Interval | None, row: int, *, at_bound: bool = False, reason: str = ""
) -> Estimate:
    """One problem's figure and interval as an ``Estimate``; ``reason``: why there is none."""
    if interval is None:
        known = maybe(value)
        return Estimate(known, at_bound=at_bound, reason="" if known is None else reason)
    return Estimate(maybe(value), maybe(interval.low[row]), maybe(interval.high[row]), at_bound=at_bound)
