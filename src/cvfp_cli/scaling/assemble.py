"""The figures of a batch of fits put together as one ``Fit`` a group."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.laws.base import NEAR, Law, Limit, fall_name
from cvfp_cli.laws.floored import CONSTANT
from cvfp_cli.laws.quantities import Quantity
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.criteria import Criteria, information, told
from cvfp_cli.scaling.fit_notes import fit_notes
from cvfp_cli.scaling.global_fit import CurveFits, is_line
from cvfp_cli.scaling.held_out import Test, mean_error
from cvfp_cli.scaling.numbers import NO_SLOPE, ROUNDING, rounded_off
from cvfp_cli.scaling.predictions import SHARED_UNSEEN, estimate_of, local_exponents, maybe
from cvfp_cli.scaling.profiles import Interval
from cvfp_cli.scaling.result import Estimate, Fit, FittedPoint, Prediction, Starts, Target
from cvfp_cli.stats.replicates import replicates_of, size_means
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.points import Points

# Of the falls that are told: per doubling and per tenfold.
FACTORS = (2.0, 10.0)
# No other parameter of a law through measurements is as large as this, or as small as its inverse.
HUGE = 1e30
# And no perplexity or loss as this.
HUGE_Y = 1e15


def law_at(x: float) -> str:
    """What the figure of the law at a size is called."""
    return f"law at {x!r}"


def new_at(x: float) -> str:
    """What the figure of a new measurement at a size is called."""
    return f"measurement at {x!r}"


class Wanted(Protocol):
    """The options that the assembly reads; see ``fits.FitOptions``."""

    @property
    def objective(self) -> str: ...
    @property
    def level(self) -> float: ...
    @property
    def predict(self) -> tuple[float, ...]: ...
    @property
    def window(self) -> int: ...


@dataclass(frozen=True)
class Figures:
    """Figures of a batch of P fits.

    Attributes:
        quantities, values, intervals: in one order; arrays of shape (P,).
        has_intervals: whether the intervals mean anything, (P,).
        targets: for each fit, one entry a target.
        loo: leave-one-out error, (P,). forward: what is held out of each, see ``held_out.Pools``.
        unseen: what of fits with intervals has none, since configurations share what it depends on, in the same order,
            (P,) each; empty for nothing. without: why a fit without intervals has none.
    """

    quantities: Sequence[Quantity]
    values: Sequence[Array]
    intervals: Sequence[Interval]
    has_intervals: NDArray[np.bool_]
    targets: Sequence[tuple[Target, ...]]
    loo: Array
    forward: list[list[Test]]
    unseen: Sequence[NDArray[np.bool_]] = ()
    without: str = ""

    @cached_property
    def _index(self) -> dict[str, int]:
        return {quantity.name: index for index, quantity in enumerate(self.quantities)}

    def estimate(self, name: str, row: int, *, at_bound: bool = False) -> Estimate:
        """One figure of one fit, by its name."""
        index = self._index[name]
        interval: Interval | None = self.intervals[index]
        reason = ""
        if not self.has_intervals[row]:
            interval, reason = None, self.without
        elif self.unseen and self.unseen[index][row]:
            interval, reason = None, SHARED_UNSEEN
        value = float(self.values[index][row])
        return estimate_of(value, interval, row, at_bound=at_bound, reason=reason)


def assemble(fits: CurveFits, batch: Batch, df: Array, figures: Figures, options: Wanted) -> tuple[Fit, ...]:
    """One ``Fit`` for each group of the batch; ``df``: sizes to spare for each, (P,)."""
    log_predicted = batch.log_predicted(fits.law, fits.theta) + batch.scale.log_unit[:, None]
    residuals = batch.residuals(fits.law, fits.theta)
    return tuple(
        _one(row, fits, batch, df, figures, options, log_predicted[row], residuals[row])
        for row in range(len(batch.groups))
    )


def _one(
    row: int,
    fits: CurveFits,
    batch: Batch,
    df: Array,
    figures: Figures,
    options: Wanted,
    log_predicted: Array,
    residuals: Array,
) -> Fit:
    law, points = fits.law, batch.groups[row]
    m = len(points)
    predicted = np.exp(log_predicted[:m])
    errors = predicted - points.y
    log_errors = log_predicted[:m] - np.log(points.y)
    weight = batch.data.weight[row, :m]
    rss_ppl, rss_log = float(weight * errors @ errors), float(weight * log_errors @ log_errors)
    rss = rss_log if options.objective == "log" else rss_ppl
    limit = law.find_limit(points.label, fits.theta[row])
    parameters = _parameters(law, figures, row, limit, points)
    tests = figures.forward[row]
    drops = _drops(law, points, figures, row, parameters)
    asymptote = parameters[law.parameters[0]] if law.has_floor else None
    if asymptote is not None and _unseen_beyond(law, points, parameters) and figures.has_intervals[row]:
        # As the prediction at infinity: where nothing says how the law goes on, E is not where it ends.
        asymptote = replace(asymptote, low=0.0, high=None)
    return Fit(
        config=points.label,
        law=law.name,
        x=points.x_name,
        y=points.y_name,
        y_unit=points.y_unit.name,
        objective=options.objective,
        points=m,
        k=law.k,
        level=options.level,
        parameters=parameters,
        r_squared=_r_squared(points, rss, options.objective),
        rss_ppl=rss_ppl,
        rss_log=rss_log,
        **_information(m, law.k, rss_ppl, rss, points, options.objective),
        fitted=tuple(_point(points, c, float(predicted[c])) for c in range(m)),
        interval_method=_method(law, figures, row, options),
        limit=limit.law,
        loo_error=maybe(figures.loo[row]),
        forward_error=mean_error(tests),
        held_out_by=points.holdout.column if points.holdout else "",
        held_out=tuple(_point(points, c, float(points.y[c] * np.exp(error))) for c, error in tests),
        per_doubling=drops[0],
        per_tenfold=drops[1],
        asymptote=asymptote,
        distance=_distance(points, asymptote),
        predictions=_predictions(law, figures, row, points, options, parameters),
        targets=figures.targets[row],
        local_exponents=local_exponents(points, options.window, options.level) if options.window else (),
        replicates=replicates_of(residuals, batch.data.weight[row], batch.size[row], law.k),
        means=size_means(errors, log_errors, weight, points.size_index),
        starts=Starts(fits.tried, float(fits.agree[row])),
        warnings=(*points.notes, *fit_notes(law, fits, batch, row, limit, df, parameters)),
    )


def _information(m: int, k: int, rss_ppl: float, rss: float, points: Points, objective: str) -> Criteria:
    """The criteria, but none of a curve that goes through all points but for rounding."""
    squares = float(np.sum(points.y**2))
    of_objective = told(rss, m if objective == "log" else squares)
    return information(m, k, of_y=told(rss_ppl, squares), of_objective=of_objective)


def _parameters(law: Law, figures: Figures, row: int, limit: Limit, points: Points) -> dict[str, Estimate]:
    result = {}
    for name in law.parameters:
        estimate = figures.estimate(name, row, at_bound=name in limit.at_bound)
        if name in limit.endless:
            low, high = (None, None) if limit.law == CONSTANT else (estimate.low, estimate.high)
            estimate = Estimate(None, low, high, at_bound=True)
        elif estimate.at_bound:  # of 0, which an exponent ends beside
            estimate = replace(estimate, value=rounded_off(estimate.value, NO_SLOPE))
        result[name] = _believable(law, name, estimate, points)
    return result


def _believable(law: Law, name: str, estimate: Estimate, points: Points) -> Estimate:
    """The estimate with figures that are none as what they are: no value, an open end, 0.

    Slopes steeper than any curve may have, and sizes of parameters that no measurement has, come of directions that
    the data leave open. A break lies among the sizes, where alone it can be seen.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if law.has_floor and name == law.parameters[0]:
        value, low, high = (rounded_off(one, ROUNDING * float(points.y.min())) for one in (value, low, high))
    at_bound = estimate.at_bound
    if name == law.break_at:
        first, last = float(points.x.min()), float(points.x.max())
        at_bound |= value is not None and not first * (1.0 + NEAR) < value < last * (1.0 - NEAR)
        low = None if low is not None and low < first else low
        high = None if high is not None and high > last else high
    elif name in law.ranges:
        least, most = law.ranges[name]
        if value is not None and not least <= value <= most:
            return replace(estimate, value=None, low=None, high=None, reason="")
        at_bound |= value is not None and (value <= least + NEAR or value >= most - NEAR)
        low = None if low is not None and low < least else low
        high = None if high is not None and high > most else high
    elif value is not None and value != 0.0 and not 1.0 / HUGE < value < HUGE:
        return replace(estimate, value=None, low=None, high=None, reason="")
    else:
        low, high = _of_size(low, high, HUGE)
    return replace(estimate, value=value, low=low, high=high, at_bound=at_bound)


def _of_size(low: float | None, high: float | None, huge: float) -> tuple[float | None, float | None]:
    """Ends of something that is not negative: 0 where below all that is measured, open where above it."""
    low = 0.0 if low is not None and low < 1.0 / huge else low
    return None if low is not None and low > huge else low, None if high is not None and high > huge else high


def _unseen_beyond(law: Law, points: Points, parameters: dict[str, Estimate]) -> bool:
    """Whether nothing says how a law goes on: it breaks at the largest size, or its second slope may be anything."""
    if not law.break_at:
        return False
    d, slope = parameters[law.break_at].value, parameters[law.slope_beyond]
    at_end = d is not None and d >= float(points.x.max()) * (1.0 - NEAR)
    return at_end or (slope.value is not None and slope.low is None and slope.high is None)


def _point(points: Points, column: int, predicted: float) -> FittedPoint:
    y = float(points.y[column])
    return FittedPoint(float(points.x[column]), y, predicted, 100.0 * (predicted / y - 1.0))


def _r_squared(points: Points, rss: float, objective: str) -> float | None:
    target = np.log(points.y) if objective == "log" else points.y
    weight = points.relative_weights
    total = float(weight @ (target - np.average(target, weights=weight)) ** 2)
    return 1.0 - rss / total if total > 0 else None


def _drops(
    law: Law, points: Points, figures: Figures, row: int, parameters: dict[str, Estimate]
) -> tuple[Estimate, Estimate]:
    """Fall in percent per doubling and per tenfold: of the whole line where it has one slope, else from the largest size."""
    if law.slope:
        alpha = parameters[law.slope]

        def fall(slope: float | None, factor: float) -> float | None:
            return None if slope is None else -100.0 * float(np.expm1(min(slope * np.log(factor), 700.0)))

        doubling, tenfold = (
            Estimate(
                fall(alpha.value, factor),
                fall(alpha.high, factor),
                fall(alpha.low, factor),
                reason=alpha.reason,
            )
            for factor in FACTORS
        )
        return doubling, tenfold
    doubling, tenfold = (figures.estimate(fall_name(factor), row) for factor in FACTORS)
    if _unseen_beyond(law, points, parameters) and figures.has_intervals[row]:
        # Anything may follow: it may fall to 0, or rise without bound.
        return Estimate(doubling.value, None, 100.0), Estimate(tenfold.value, None, 100.0)
    if law.break_at and figures.has_intervals[row]:  # nothing falls by more than all of it
        doubling, tenfold = (
            replace(fall, high=100.0) if fall.high is None else fall for fall in (doubling, tenfold)
        )
    return doubling, tenfold


def _distance(points: Points, asymptote: Estimate | None) -> Estimate | None:
    """The last measured y (geometric mean of its replicates) minus the asymptote."""
    if asymptote is None or asymptote.value is None:
        return None
    last = points.size_index == points.distinct_sizes - 1
    y = float(np.exp(np.average(np.log(points.y[last]), weights=points.relative_weights[last])))
    return Estimate(
        y - asymptote.value,
        None if asymptote.high is None else y - asymptote.high,
        None if asymptote.low is None else y - asymptote.low,
        reason=asymptote.reason,
    )


def _predictions(
    law: Law, figures: Figures, row: int, points: Points, options: Wanted, parameters: dict[str, Estimate]
) -> tuple[Prediction, ...]:
    result = []
    for x in options.predict:
        outside = not points.x.min() <= x <= points.x.max()
        if np.isinf(x) and not law.has_floor:
            slope = parameters.get(law.slope, Estimate(None))
            falls = slope.value is not None and slope.value < -NO_SLOPE
            end = 0.0 if falls and slope.high is not None and slope.high < 0.0 else None
            reason = slope.reason if falls and end is None else ""
            result.append(Prediction(x, 0.0 if falls else None, end, end, True, end, end, reason=reason))
            continue
        mean, new = figures.estimate(law_at(x), row), figures.estimate(new_at(x), row)
        value = mean.value if mean.value is not None else 0.0
        (low, high), (mean_low, mean_high) = (
            _of_size(*ends, HUGE_Y) for ends in ((new.low, new.high), (mean.low, mean.high))
        )
        if x > points.x.max() and _unseen_beyond(law, points, parameters) and figures.has_intervals[row]:
            low, high, mean_low, mean_high = 0.0, None, 0.0, None
        made = Prediction(x, value, low, high, outside, mean_low, mean_high, reason=mean.reason or new.reason)
        result.append(made.holding_the_law())
    return tuple(result)


def _method(law: Law, figures: Figures, row: int, options: Wanted) -> str:
    if not figures.has_intervals[row]:
        return "none"
    return "t" if is_line(law, options.objective) else "profile"
