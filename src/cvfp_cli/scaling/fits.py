"""Fit one law to one group or to many at once, with every interval it can honestly give."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.errors import InputError
from cvfp_cli.laws.base import Law
from cvfp_cli.laws.quantities import Quantity
from cvfp_cli.laws.registry import get_law
from cvfp_cli.scaling.assemble import FACTORS, Figures, assemble, law_at, new_at
from cvfp_cli.scaling.batch import Batch, make_batch
from cvfp_cli.scaling.curves import residuals
from cvfp_cli.scaling.derived import observation_quantity, value_quantity
from cvfp_cli.scaling.global_fit import CurveFits, fit_curves, is_line
from cvfp_cli.scaling.held_out import forward_masks, own_pools
from cvfp_cli.scaling.predictions import NOTHING_LEFT, find_target, without_interval
from cvfp_cli.scaling.profiles import Interval, fitted_values, intervals, linear_intervals
from cvfp_cli.scaling.result import Fit, Target
from cvfp_cli.stats.size_errors import SizeErrors, size_errors
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points

OBJECTIVES = ("log", "ppl")


@dataclass(frozen=True)
class FitOptions:
    """What to compute beside the parameters.

    Attributes:
        objective: ``log`` squares errors of ln y, ``ppl`` those of y.
        level: of every interval, between 0 and 1.
        predict: sizes to predict at; ``inf`` for the asymptote. pairs: (N, D) to predict at by the joint law. targets: values of y to reach.
        budgets: operations of training whose best model and data size the joint law tells.
        holdout: how many of the largest sizes the forward error leaves out.
        window: neighbouring sizes in a window of the local exponent; 0 for none.
        starts: grid points each fit starts from.
        hold_out: whether to judge the law by points left out, and a pool by its groups; a picture shows none of that.
        intervals: whether to find them; a picture of many groups shows none.
    """

    objective: str = "log"
    level: float = 0.95
    predict: tuple[float, ...] = ()
    pairs: tuple[tuple[float, float], ...] = ()
    targets: tuple[float, ...] = ()
    budgets: tuple[float, ...] = ()
    holdout: int = 1
    window: int = 0
    starts: int = 24
    hold_out: bool = True
    intervals: bool = True

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(f"There is no objective {self.objective!r}.", hint="Choose log or ppl.")
        if not 0.0 < self.level < 1.0:
            raise InputError(f"--level: {self.level:g} does not lie between 0 and 1.", hint="0.95 is usual.")
        paired = tuple(value for pair in self.pairs for value in pair)
        asked = (
            ("--predict", (*self.predict, *paired)),
            ("--target-ppl", self.targets),
            ("--budget", self.budgets),
        )
        for name, values in asked:
            for value in values:
                if not value > 0:
                    raise InputError(
                        f"{name}: {value:g} is not above 0.",
                        hint="Commas part the values of a list: write 1000000 or 1e6 for 1,000,000.",
                    )
        for name, values in asked[1:]:
            if not np.all(np.isfinite(values)):
                raise InputError(f"{name}: every value must be finite.")
        if self.holdout < 1:
            raise InputError(f"--holdout {self.holdout}: it must be at least 1.")
        if self.window and self.window < 2:
            raise InputError(f"--window {self.window}: a slope needs at least 2 sizes.")


def fit_law(points: Points, law: str, **options: Any) -> Fit:
    """Fit one law to one group; keyword arguments are the fields of ``FitOptions``.

    Raises:
        InputError: fewer than two points, all at one x, an unknown law, or an option out of its range.
    """
    return fit_groups([points], law, FitOptions(**options))[0]


def fit_groups(groups: Sequence[Points], law: str, options: FitOptions | None = None) -> tuple[Fit, ...]:
    """Fit one law to each group on its own, all in one batch.

    Raises:
        InputError: as ``fit_law``.
    """
    chosen, options = get_law(law), options or FitOptions()
    for points in groups:
        points.require_fittable()
    if not groups:
        return ()
    batch = make_batch(groups, options.objective)
    fits = fit_curves(chosen, batch.data, starts=options.starts)
    errors = errors_of(fits, batch)
    figures = measure(fits, batch, errors, options)
    return assemble(fits, batch, errors.between_df, figures, options)


def measure(fits: CurveFits, batch: Batch, errors: SizeErrors, options: FitOptions) -> Figures:
    """Every figure of every fit, with intervals where there is a variance to make them from."""
    law = fits.law
    quantities = figure_quantities(law, batch, options)
    values = [np.asarray(value) for value in fitted_values(fits, quantities)]
    known = (errors.between_df > 0) & options.intervals
    rows = np.flatnonzero(known)
    found = [Interval(np.full(len(known), np.nan), np.full(len(known), np.nan)) for _ in values]
    if rows.size:
        for whole, part in zip(found, _intervals(fits, batch, errors, rows, options), strict=True):
            whole.low[rows], whole.high[rows] = part.low, part.high
    pools = own_pools(law, batch, fits)
    masks = [forward_masks([points], options.holdout) for points in batch.groups]
    return Figures(
        quantities=quantities,
        values=values,
        intervals=found,
        has_intervals=known,
        without=NOTHING_LEFT if options.intervals else "",
        targets=_targets(fits, batch, errors, known, options),
        loo=pools.leave_one_out() if options.hold_out else np.full(len(batch.groups), np.nan),
        forward=pools.forward(masks) if options.hold_out else [[] for _ in batch.groups],
    )


def errors_of(fits: CurveFits, batch: Batch) -> SizeErrors:
    """What the residuals of fitted curves say about their errors, by size."""
    r, jacobian = residuals(fits.law, batch.data, fits.theta)
    return size_errors(r, jacobian, batch.data.weight, batch.size, batch.data.z)


def allowed_rises(fits: CurveFits, errors: SizeErrors, quantities: Sequence[Quantity], level: float) -> Array:
    """By how much the sum of squares may rise within the interval of each figure, (Q, P)."""
    every = np.arange(len(fits.theta))
    rises = []
    for q in quantities:
        # A figure held by a heavy measurement is as wide as that leaves it.
        held = 1.0 / q.weight if q.hold is None and q.place is None else 0.0
        rises.append(errors.allowed(q.functional(fits.theta, every)[1], level, q.place, held))
    return np.array(rises)


def _intervals(
    fits: CurveFits, batch: Batch, errors: SizeErrors, rows: Rows, options: FitOptions
) -> list[Interval]:
    part, family = batch.take(rows), fits.take(rows)
    quantities = figure_quantities(fits.law, part, options)
    rises = allowed_rises(family, errors.take(rows), quantities, options.level)
    if is_line(fits.law, options.objective):
        return linear_intervals(family, rises, quantities)
    return intervals(family, rises, quantities)


def _targets(
    fits: CurveFits,
    batch: Batch,
    errors: SizeErrors,
    known: NDArray[np.bool_],
    options: FitOptions,
) -> list[tuple[Target, ...]]:
    result = []
    for row in range(len(batch.groups)):
        one = np.array([row])
        family, single = fits.take(one), batch.take(one)
        rise = None
        if known[row]:

            def rise(quantity: Quantity, family: CurveFits = family, one: Rows = one) -> float:
                return float(allowed_rises(family, errors.take(one), [quantity], options.level)[0, 0])

        found = [find_target(family, single, rise, ppl) for ppl in options.targets]
        if options.intervals and not known[row]:
            found = [without_interval(one) for one in found]
        result.append(tuple(found))
    return result


def figure_quantities(law: Law, batch: Batch, options: FitOptions) -> list[Quantity]:
    """Parameters, then the law and a new measurement at every size to predict, then the falls from the largest size.

    Where a parameter is the slope of all of the curve, the falls follow from it.
    """
    result = list(law.parameter_quantities(batch.scale))
    floor = result[0]
    for x in options.predict:
        if np.isinf(x) and not law.has_floor:
            continue
        z = np.log(x) - batch.scale.origin
        mean = floor if np.isinf(x) else value_quantity(law, batch.scale, z)
        new = observation_quantity(law, batch.scale, z, options.objective)
        result += [replace(mean, name=law_at(x)), replace(new, name=new_at(x))]
    if law.slope:
        return result
    last = np.max(np.where(batch.data.weight > 0, batch.data.z, -np.inf), axis=1)
    return [*result, *(law.fall(last, factor) for factor in FACTORS)]
