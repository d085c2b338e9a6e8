"""The figures of a batch of fits put together as one ``Fit`` a group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cvfp_cli.notes import Note
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.global_fit import CurveFits
from cvfp_cli.scaling.laws import Law, log_curve
from cvfp_cli.scaling.limits import Limit, find_limit, limiting_parameters
from cvfp_cli.scaling.points import Points
from cvfp_cli.scaling.predictions import estimate_of, local_exponents, maybe
from cvfp_cli.scaling.profiles import Interval
from cvfp_cli.scaling.quantities import Quantity
from cvfp_cli.scaling.result import Estimate, Fit, FittedPoint, Prediction, Starts, Target
from cvfp_cli.scaling.solver import Array
from cvfp_cli.scaling.variance import Variance

NO_AICC = "no-aicc"
# A line that changes ln y by less than this over all sizes is level to rounding.
FLAT = 1e-9


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
        loo: leave-one-out error, (P,). forward: see ``held_out.forward``.
    """

    quantities: Sequence[Quantity]
    values: Sequence[Array]
    intervals: Sequence[Interval]
    has_intervals: Array
    targets: Sequence[tuple[Target, ...]]
    loo: Array
    forward: list[list[tuple[int, float]]]

    def estimate(self, index: int, row: int, *, at_bound: bool = False) -> Estimate:
        """One figure of one fit."""
        interval = self.intervals[index] if self.has_intervals[row] else None
        return estimate_of(float(self.values[index][row]), interval, row, at_bound=at_bound)


def assemble(
    fits: CurveFits, batch: Batch, variance: Variance, figures: Figures, options: Wanted
) -> tuple[Fit, ...]:
    """One ``Fit`` for each group of the batch."""
    log_predicted = batch.log_predicted(fits.law, fits.theta) + batch.scale.log_unit[:, None]
    return tuple(
        _one(row, fits, batch, variance, figures, options, log_predicted[row])
        for row in range(len(batch.groups))
    )


def _one(
    row: int,
    fits: CurveFits,
    batch: Batch,
    variance: Variance,
    figures: Figures,
    options: Wanted,
    log_predicted: Array,
) -> Fit:
    law, points = fits.law, batch.groups[row]
    m = len(points)
    predicted = np.exp(log_predicted[:m])
    errors = predicted - points.y
    log_errors = log_predicted[:m] - np.log(points.y)
    rss_ppl, rss_log = float(errors @ errors), float(log_errors @ log_errors)
    rss = rss_log if options.objective == "log" else rss_ppl
    limit = find_limit(law, points.label, fits.theta[row])
    parameters = _parameters(law, figures, row, limit)
    held_out, forward_error = _held_out(figures.forward[row], points)
    drops = _drops(law, fits, batch, figures, row, parameters)
    asymptote = parameters[law.parameters[0]] if law.has_floor else None
    return Fit(
        config=points.label,
        law=law.name,
        x=points.x_name,
        y=points.y_name,
        objective=options.objective,
        points=m,
        k=law.k,
        level=options.level,
        parameters=parameters,
        r_squared=_r_squared(points, rss, options.objective),
        rss_ppl=rss_ppl,
        rss_log=rss_log,
        **information(m, law.k, rss_ppl, rss, points, options.objective),
        fitted=tuple(_point(points, c, float(predicted[c])) for c in range(m)),
        interval_method=_method(law, figures, row, options),
        limit=limit.law,
        loo_error=maybe(figures.loo[row]),
        forward_error=forward_error,
        held_out=held_out,
        per_doubling=drops[0],
        per_tenfold=drops[1],
        asymptote=asymptote,
        distance=_distance(points, asymptote),
        predictions=_predictions(law, figures, row, points, options),
        targets=figures.targets[row],
        local_exponents=local_exponents(points, options.window, options.level) if options.window else (),
        replicates=variance.replicates[row],
        starts=Starts(fits.tried, float(fits.agree[row])),
        warnings=(*points.notes, *_notes(law, fits, batch, row, limit, variance, parameters.get("alpha"))),
    )


def information(
    m: int, k: int, rss_ppl: float, rss: float, points: Points, objective: str
) -> dict[str, float | None]:
    """AIC as the studies print it, AICc that counts the error variance, BIC; None where they do not exist.

    AIC = m ln(RSS_ppl / m) + 2k whatever the objective. AICc and BIC use the objective's own RSS:
    AICc = m ln(RSS / m) + 2K + 2K(K + 1) / (m - K - 1) with K = k + 1, BIC = m ln(RSS / m) + k ln m.
    """
    noise = 1e-24 * float(np.sum(points.y**2))
    aic = m * float(np.log(rss_ppl / m)) + 2 * k if rss_ppl > noise else None
    fit = m * float(np.log(rss / m)) if rss > (1e-24 * m if objective == "log" else noise) else None
    full = k + 1
    aicc = (
        fit + 2 * full + 2 * full * (full + 1) / (m - full - 1)
        if fit is not None and m - full - 1 > 0
        else None
    )
    bic = fit + k * float(np.log(m)) if fit is not None else None
    return {"aic": aic, "aicc": aicc, "bic": bic}


def _parameters(law: Law, figures: Figures, row: int, limit: Limit) -> dict[str, Estimate]:
    result = {}
    for index, name in enumerate(law.parameters):
        estimate = figures.estimate(index, row, at_bound=name in limit.at_bound)
        if name in limit.endless:
            estimate = Estimate(None, estimate.low, estimate.high, at_bound=True)
        result[name] = estimate
    return result


def _point(points: Points, column: int, predicted: float) -> FittedPoint:
    y = float(points.y[column])
    return FittedPoint(float(points.x[column]), y, predicted, 100.0 * (predicted / y - 1.0))


def _held_out(tests: list[tuple[int, float]], points: Points) -> tuple[tuple[FittedPoint, ...], float | None]:
    held = tuple(_point(points, c, float(points.y[c] * np.exp(error))) for c, error in tests)
    return held, float(np.mean([abs(error) for _, error in tests])) if tests else None


def _r_squared(points: Points, rss: float, objective: str) -> float | None:
    target = np.log(points.y) if objective == "log" else points.y
    total = float(np.sum((target - target.mean()) ** 2))
    return 1.0 - rss / total if total > 0 else None


def _drops(
    law: Law,
    fits: CurveFits,
    batch: Batch,
    figures: Figures,
    row: int,
    parameters: dict[str, Estimate],
) -> tuple[Estimate, Estimate]:
    """Fall in percent per doubling and per tenfold: of the whole line for power, else from the largest size on."""
    if law.name == "power":
        alpha = parameters["alpha"]

        def fall(slope: float | None, factor: float) -> float | None:
            return None if slope is None else -100.0 * float(np.expm1(min(slope * np.log(factor), 700.0)))

        doubling, tenfold = (
            Estimate(fall(alpha.value, factor), fall(alpha.high, factor), fall(alpha.low, factor))
            for factor in (2.0, 10.0)
        )
        return doubling, tenfold
    names = [q.name for q in figures.quantities]
    if "per_2" in names:
        return figures.estimate(names.index("per_2"), row), figures.estimate(names.index("per_10"), row)
    last = np.max(batch.data.z[row])
    value = log_curve(
        law, fits.theta[row : row + 1], np.array([[last, last + np.log(2.0), last + np.log(10.0)]])
    )[0][0]
    return Estimate(-100.0 * float(np.expm1(value[1] - value[0]))), Estimate(
        -100.0 * float(np.expm1(value[2] - value[0]))
    )


def _distance(points: Points, asymptote: Estimate | None) -> Estimate | None:
    """The last measured y (geometric mean of its replicates) minus the asymptote."""
    if asymptote is None or asymptote.value is None:
        return None
    last = points.size_index == points.distinct_sizes - 1
    y = float(np.exp(np.mean(np.log(points.y[last]))))
    return Estimate(
        y - asymptote.value,
        None if asymptote.high is None else y - asymptote.high,
        None if asymptote.low is None else y - asymptote.low,
    )


def _predictions(
    law: Law, figures: Figures, row: int, points: Points, options: Wanted
) -> tuple[Prediction, ...]:
    result = []
    index = law.k
    for x in options.predict:
        outside = not points.x.min() <= x <= points.x.max()
        if np.isinf(x) and not law.has_floor:
            result.append(Prediction(x, 0.0, None, None, True))
            continue
        mean, new = figures.estimate(index, row), figures.estimate(index + 1, row)
        index += 2
        value = mean.value if mean.value is not None else 0.0
        result.append(Prediction(x, value, new.low, new.high, outside, mean.low, mean.high))
    return tuple(result)


def _method(law: Law, figures: Figures, row: int, options: Wanted) -> str:
    if not figures.has_intervals[row]:
        return "none"
    return "t" if law.name == "power" and options.objective == "log" else "profile"


def _direction(name: str, points: Points, slope: float, alpha: Estimate | None) -> list[Note]:
    """What to say of a line that does not fall: it rises, or the data show no slope at all."""
    low, high = (None, None) if alpha is None else (alpha.low, alpha.high)
    level = abs(slope) * float(np.ptp(np.log(points.x))) < FLAT
    if level or (slope >= 0.0 and low is not None and high is not None and low <= 0.0 <= high):
        seen = "does not vary" if level else "shows neither a fall nor a rise (the interval of alpha holds 0)"
        return [Note("flat", f"{name}: {points.y_name} {seen} over these {points.x_name}.", "warning")]
    if slope > 0.0:
        return [
            Note("rising", f"{name}: {points.y_name} rises with {points.x_name} (alpha above 0).", "warning")
        ]
    return []


def _notes(
    law: Law,
    fits: CurveFits,
    batch: Batch,
    row: int,
    limit: Limit,
    variance: Variance,
    alpha: Estimate | None,
) -> list[Note]:
    points = batch.groups[row]
    m, sizes, k = len(points), points.distinct_sizes, law.k
    name = f"{points.label}: {law.name}" if points.label else law.name
    help_line = "More sizes, more seeds, or parameters shared across configurations (--share) would help."
    notes = []
    if limit.note is not None:
        message = limit.note.message
        if limit.law in ("power", "saturating"):
            found = limiting_parameters(
                fits.theta[row], float(batch.scale.origin[row]), float(batch.scale.log_unit[row])
            )
            message += " There: " + ", ".join(f"{key} = {value:.4g}" for key, value in found.items()) + "."
        notes.append(Note(limit.note.code, message, limit.note.severity))
    if sizes < k:
        notes.append(
            Note(
                "underdetermined",
                f"{name} has {k} parameters and {sizes} sizes: many curves fit as well as this one. {help_line}",
                "warning",
            )
        )
    elif m <= k:
        notes.append(
            Note(
                "no-freedom",
                f"{name} has {k} parameters and {m} points: nothing is left to judge it by, and no interval exists. "
                f"{help_line}",
                "warning",
            )
        )
    elif variance.df[row] == 1:
        notes.append(
            Note(
                "one-degree-of-freedom",
                f"{name} leaves one residual degree of freedom: its intervals are as wide as that makes them, "
                "and AIC cannot choose between laws.",
            )
        )
    if m - k - 2 <= 0:
        message = f"{name}: AICc does not exist with {m} points and {k} parameters (m - k - 2 = {m - k - 2})."
        notes.append(Note(NO_AICC, message))
    if law.name == "power":
        notes += _direction(name, points, fits.theta[row, 1], alpha)
    if fits.tried > 4 and fits.agree[row] < 0.1:
        notes.append(
            Note(
                "starts-disagree",
                f"{name}: only {100 * fits.agree[row]:.0f} % of {fits.tried} starts reached the best optimum.",
                "warning",
            )
        )
    return notes
