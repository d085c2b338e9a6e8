"""Bootstrap intervals: the fitted curve with errors drawn anew, refitted many times, all replicates in one batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cvfp_cli.errors import InputError
from cvfp_cli.laws.base import Data
from cvfp_cli.laws.registry import get_law
from cvfp_cli.scaling.assemble import assemble
from cvfp_cli.scaling.batch import Batch, make_batch
from cvfp_cli.scaling.fits import FitOptions, errors_of, figure_quantities, measure
from cvfp_cli.scaling.global_fit import CurveFits, fit_curves, is_line, refit_curves
from cvfp_cli.scaling.held_out import FEW
from cvfp_cli.scaling.predictions import NOTHING_LEFT, solve_sizes, target_among, without_interval
from cvfp_cli.scaling.profiles import Interval, fitted_values
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.starts import best_starts
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.size_errors import SizeErrors
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.points import Points

KINDS = ("residual", "parametric", "case")
# Replicates solved in one batch, to bound memory.
CHUNK = 500
# Fewer sizes than this are not resampled as cases: too many resamples would hold too few different ones.
LEAST_CASES = 8
# Errors are drawn at most this many times their estimated size, so that no draw leaves the range of doubles.
WIDEST = 100.0


def bootstrap_groups(
    groups: Sequence[Points],
    law: str,
    options: FitOptions,
    *,
    replicates: int,
    seed: int,
    kind: str = "residual",
) -> tuple[Fit, ...]:
    """``fit_groups`` with percentile intervals from ``replicates`` refits.

    ``parametric`` draws a normal error for each size; ``residual`` draws half of its variance from the residuals of the
    sizes' means, scaled by sqrt(sizes / (sizes - k)) to the errors' own size. Both allow for that being an estimate.
    ``case`` draws whole sizes with all of their points, of which there must be at least 8.

    Raises:
        InputError: too few replicates, an unknown kind, or too few sizes for ``case``.
    """
    if kind not in KINDS:
        raise InputError(f"There is no bootstrap {kind!r}.", hint=f"Choose {', '.join(KINDS)}.")
    if replicates < 100:
        raise InputError(
            f"--bootstrap {replicates}: too few for an interval.", hint="Use at least 100; 1000 is usual."
        )
    small = [points.label for points in groups if points.distinct_sizes < LEAST_CASES]
    if kind == "case" and small:
        raise InputError(
            f"{small[0]} has fewer than {LEAST_CASES} sizes: whole sizes cannot be resampled.",
            hint="Use the residual bootstrap.",
        )
    chosen = get_law(law)
    for points in groups:
        points.require_fittable()
    batch = make_batch(groups, options.objective)
    fits = fit_curves(chosen, batch.data, starts=options.starts)
    errors = errors_of(fits, batch)
    # The figures themselves are as without a bootstrap; only the intervals are replaced.
    figures = measure(fits, batch, errors, replace(options, intervals=False))
    rng = np.random.default_rng(seed)
    found = [
        _percentiles(fits, batch, row, errors, options, replicates, kind, rng) for row in range(len(groups))
    ]
    count = len(figures.quantities)
    with_intervals = np.array([one is not None for one in found])
    lows, highs = (
        np.array([one.ends[side] if one is not None else np.full(count, np.nan) for one in found]).T
        for side in (0, 1)
    )
    figures = replace(
        figures,
        intervals=[Interval(low, high) for low, high in zip(lows, highs, strict=True)],
        has_intervals=with_intervals,
        without=NOTHING_LEFT,
        targets=[
            tuple(map(without_interval, own))
            if one is None
            else tuple(
                target_among(target, sizes, options.level)
                for target, sizes in zip(own, one.sizes, strict=True)
            )
            for own, one in zip(figures.targets, found, strict=True)
        ],
    )
    result = assemble(fits, batch, errors.between_df, figures, options)
    method = f"{kind} bootstrap"
    return tuple(
        replace(fit, interval_method=method if good else "none")
        for fit, good in zip(result, with_intervals, strict=True)
    )


@dataclass(frozen=True)
class _Refits:
    """What the refits of one group say.

    Attributes:
        ends: of every figure's interval, (2, Q). sizes: that reach each target, one refit a column, (T, R); 0 where a
            refit is below it at all sizes, infinite where it never falls so far.
    """

    ends: Array
    sizes: Array


def _percentiles(
    fits: CurveFits,
    batch: Batch,
    row: int,
    errors: SizeErrors,
    options: FitOptions,
    replicates: int,
    kind: str,
    rng: np.random.Generator,
) -> _Refits | None:
    """What the refits of one group say; None where no error can be estimated."""
    law, m = fits.law, len(batch.groups[row])
    df = float(errors.between_df[row])
    if df <= 0:
        return None
    one = np.full(replicates, row)
    part = batch.take(one)
    root = np.sqrt(batch.data.weight[row, :m])
    residuals = batch.residuals(law, fits.theta)[row, :m]
    fitted = part.data.target[:, :m] - residuals / root
    # Seeds of one size err together: errors are drawn for sizes, those of weight 1 (``SizeErrors.residual``).
    there = errors.count[row] > 0
    mean, sizes = errors.residual[row, there], int(there.sum())
    sd = max(float(np.sqrt(mean @ mean / df)), ROUNDING)
    index = batch.size[row, :m]
    unit = np.sqrt(np.bincount(index, root**2))[index]
    weight, target = part.data.weight.copy(), part.data.target.copy()
    # How large the errors are is itself known from few residuals: every replicate draws it anew, as s sqrt(df / chi^2).
    # For a straight line and normal errors the percentiles then are the t interval; without, they are far too short.
    unknown = np.sqrt(df / rng.chisquare(df, size=(replicates, 1)))
    unknown = np.minimum(unknown, WIDEST)
    if kind == "case":
        weight[:, :m] *= rng.multinomial(sizes, np.full(sizes, 1.0 / sizes), size=replicates)[:, index]
    else:
        drawn = sd * rng.standard_normal((replicates, sizes))
        if kind == "residual":
            # A handful of residuals has no tails: half of each error's variance is theirs, half is normal.
            scaled = (mean - mean.mean()) * np.sqrt(sizes / df)
            drawn = np.sqrt(0.5) * (drawn + rng.choice(scaled, size=(replicates, sizes)))
        target[:, :m] = fitted + (unknown * drawn)[:, index] / unit
    count = float(np.mean(errors.count[row, there]))
    run = float(np.sqrt(sd**2 / count + (1.0 - 1.0 / count) * errors.within[row]))
    if options.objective == "ppl":
        # A draw below 0 is no perplexity; it is held just above.
        target = np.where(weight > 0, np.maximum(target, 1e-3 * fitted.min()), target)
    data = Data(part.data.z, target, weight, options.objective)
    theta = np.concatenate([_refit(fits, row, _slice(data, first)) for first in range(0, replicates, CHUNK)])
    refits = replace(fits.take(one), theta=theta, data=data)
    quantities = figure_quantities(law, part, options)
    values = fitted_values(refits, quantities)
    tail = 0.5 * (1.0 - options.level)
    ends = []
    log_unit, origin = float(batch.scale.log_unit[row]), float(batch.scale.origin[row])
    for q, value in zip(quantities, values, strict=True):
        if q.place is not None:
            low, high = _new_run(value, unknown[:, 0] * run, np.exp(log_unit), options, tail, rng)
            ends.append((low, high if high < 1e290 else np.nan))
            continue
        low, high = np.quantile(np.where(np.isfinite(value), value, 1e308), [tail, 1.0 - tail])
        ends.append((low, high if high < 1e300 else np.nan))
    reached = [solve_sizes(law, theta, float(np.log(ppl)) - log_unit) + origin for ppl in options.targets]
    return _Refits(np.array(ends).T, np.exp(np.array(reached)))


def _new_run(
    value: Array, sd: Array, unit: float, options: FitOptions, tail: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Prediction interval: percentiles of the refits' values, each with a new run's error.

    The quantiles of (new error - error of the fit) about the fit hold as often, but have no end on logarithms where
    refits fall to 0, as those of an asymptote do.
    """
    error = sd * rng.standard_normal(len(value))
    law = np.where(np.isfinite(value), value, 1e300)
    new = np.maximum(law + error * unit, 0.0) if options.objective == "ppl" else law * np.exp(error)
    low, high = np.quantile(new, [tail, 1.0 - tail])
    return float(low), float(high)


def _slice(data: Data, first: int) -> Data:
    return data.take(np.arange(first, min(first + CHUNK, len(data.z))))


def _refit(fits: CurveFits, row: int, data: Data) -> Array:
    """Refits from the fit itself and the two best grid points of each replicate, (R, k).

    Of many points the replicates have the same best grid points as the data: these are searched once.
    """
    count = len(data.z)
    if is_line(fits.law, data.objective):
        return fit_curves(fits.law, data, starts=1).theta
    if data.z.shape[1] > FEW:
        grid = np.repeat(best_starts(fits.law, fits.take(np.array([row])).data, 2), count, axis=0)
    else:
        grid = best_starts(fits.law, data, 2)
    starts = np.concatenate([np.tile(fits.theta[row], (count, 1, 1)), grid], axis=1)
    return refit_curves(fits.law, data, starts, tolerance=1e-10)
