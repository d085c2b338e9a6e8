"""The joint law's fit of all runs, put together as one ``Fit``."""

from collections.abc import Sequence

import numpy as np

from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.scaling.bootstrap import LEAST_CASES
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint import (
    LOWER,
    PARAMETERS,
    UPPER,
    JointData,
    JointFit,
    bootstrap_joint,
    fit_joint,
    joint_data,
    log_loss_at,
    solve_joint,
    user_jacobian,
    user_values,
)
from cvfp_cli.scaling.points import Points
from cvfp_cli.scaling.regression import t_quantile
from cvfp_cli.scaling.result import Estimate, Fit, FittedPoint, Prediction, Starts
from cvfp_cli.scaling.solver import Array

# Columns that hold a loss in nats already; of all others ln is taken.
LOSSES = frozenset({"val_loss", "train_loss", "loss"})


def fit_joint_groups(
    groups: Sequence[Points], options: FitOptions | None = None, *, replicates: int = 0, seed: int = 0
) -> Fit:
    """Fit ``L = E + A / N^alpha + B / D^beta`` to the runs of all groups together.

    L is ln y for a perplexity and y for a loss column, N the parameters of both blocks, D the training size.

    Args:
        replicates: 0 for asymptotic intervals, else that many bootstrap refits of resampled runs.

    Raises:
        InputError: runs without parameter counts, too few sizes, or too few runs to resample.
    """
    options = options or FitOptions()
    if not groups:
        raise InputError("The joint law needs runs; there are none.")
    missing = [points.label for points in groups if points.parameters is None]
    if missing:
        raise InputError(
            f"The joint law needs the parameter counts of both blocks; {missing[0]} has none.",
            hint="Add columns for them, or fit power, saturating or exp-decay instead.",
        )
    n = np.concatenate([points.parameters for points in groups if points.parameters is not None])
    d = np.concatenate([points.x for points in groups])
    y = np.concatenate([points.y for points in groups])
    order = np.lexsort((y, n, d))
    n, d, y = n[order], d[order], y[order]
    is_loss = groups[0].y_name in LOSSES
    data = joint_data(n, d, y if is_loss else np.log(y))
    fit = fit_joint(data)
    m, k = len(y), len(PARAMETERS)
    if replicates and m < LEAST_CASES:
        raise InputError(
            f"The joint law's bootstrap resamples runs; {m} are too few.", hint="Leave out --bootstrap."
        )
    half = t_quantile(options.level, m - k) if m > k else float("nan")
    predicted = _to_y(log_loss_at(fit.theta[None], data.u[None], data.v[None])[0][0], is_loss)
    errors = predicted - y
    log_errors = np.log(predicted / y)
    log_loss_rss = float(fit.residuals @ fit.residuals)
    total = float(np.sum((data.log_loss - data.log_loss.mean()) ** 2))
    rss = float(errors @ errors)
    draws = bootstrap_joint(data, fit, replicates, seed) if replicates else None
    loo, forward, held_out = _held_out(data, fit, d, y, is_loss, options)
    criteria = _criteria(m, k, rss, log_loss_rss)
    return Fit(
        config=groups[0].label if len(groups) == 1 else f"{len(groups)} configurations",
        law="joint",
        x=groups[0].x_name,
        y=groups[0].y_name,
        objective="huber",
        points=m,
        k=k,
        level=options.level,
        parameters=_parameters(fit, data, half, draws, options.level),
        r_squared=1.0 - log_loss_rss / total if total > 0 else None,
        rss_ppl=rss,
        rss_log=float(log_errors @ log_errors),
        aic=criteria[0],
        aicc=criteria[1],
        bic=criteria[2],
        fitted=tuple(_point(d[i], y[i], predicted[i]) for i in range(m)),
        interval_method="none"
        if fit.covariance is None
        else ("case bootstrap" if replicates else "asymptotic (M-estimate)"),
        loo_error=loo,
        forward_error=forward,
        held_out=held_out,
        asymptote=None,
        predictions=_predictions(fit, data, n, d, is_loss, half, options),
        starts=Starts(fit.tried, fit.agree),
        warnings=tuple(_notes(groups, fit, m, k, options)),
    )


def _to_y(log_loss: Array, is_loss: bool) -> Array:
    loss = np.exp(log_loss)
    return loss if is_loss else np.exp(np.minimum(loss, 700.0))


def _point(x: float, y: float, predicted: float) -> FittedPoint:
    return FittedPoint(float(x), float(y), float(predicted), float(100.0 * (predicted / y - 1.0)))


def _criteria(m: int, k: int, rss: float, log_rss: float) -> tuple[float | None, float | None, float | None]:
    """AIC from y's own sum of squares as the studies print it; AICc and BIC from that of ln L."""
    if rss <= 0.0 or log_rss <= 0.0:
        return None, None, None
    full = k + 1
    base = m * float(np.log(log_rss / m))
    aicc = base + 2 * full + 2 * full * (full + 1) / (m - full - 1) if m > full + 1 else None
    return m * float(np.log(rss / m)) + 2 * k, aicc, base + k * float(np.log(m))


def _parameters(
    fit: JointFit, data: JointData, half: float, draws: Array | None, level: float
) -> dict[str, Estimate]:
    values = user_values(fit.theta[None], data)[0]
    jacobian = user_jacobian(data)
    if draws is not None:
        tail = 0.5 * (1.0 - level)
        low, high = np.quantile(user_values(draws, data), [tail, 1.0 - tail], axis=0)
    elif fit.covariance is not None and np.isfinite(half):
        se = np.sqrt(np.diag(jacobian @ fit.covariance @ jacobian.T))
        low, high = values - half * se, values + half * se
    else:
        low = high = np.full(5, np.nan)
    # In the order of PARAMETERS: which coordinate says whether the term is still there.
    own = (0, 1, 3, 2, 4)
    result = {}
    for i, name in enumerate(PARAMETERS):
        at_bound = bool(
            fit.theta[own[i]] <= LOWER[own[i]] + 1e-9 or fit.theta[own[i]] >= UPPER[own[i]] - 1e-9
        )
        ends = [values[i], low[i], high[i]]
        if name in ("A", "B"):
            ends = [float(np.exp(min(end, 700.0))) for end in ends]
        elif not np.isnan(ends[1]):
            ends[1] = max(ends[1], 0.0)
        # A term at its edge has no spread of its own; E = 0 has an upper end.
        known = not at_bound or name == "E"
        shown = [float(end) if known and not np.isnan(end) else None for end in ends[1:]]
        result[name] = Estimate(float(ends[0]), shown[0], shown[1], at_bound=at_bound)
    return result


def _held_out(
    data: JointData, fit: JointFit, d: Array, y: Array, is_loss: bool, options: FitOptions
) -> tuple[float | None, float | None, tuple[FittedPoint, ...]]:
    """Leave-one-out and forward errors; the largest data sizes are held out of all model sizes at once."""
    m, k = len(y), len(PARAMETERS)

    def refit(keep: Array) -> Array:
        # One point moves the fit little: the refits start there and need four digits only.
        parts = [keep[i : i + 250] for i in range(0, len(keep), 250)]
        ends = [solve_joint(data, np.tile(fit.theta, (len(w), 1)), w, tolerance=1e-5)[0] for w in parts]
        theta = np.concatenate(ends)
        u, v = (np.broadcast_to(part, keep.shape) for part in (data.u, data.v))
        return _to_y(log_loss_at(theta, u, v)[0], is_loss)

    loo = None
    if m - 1 >= k:
        predicted = np.diag(refit(1.0 - np.eye(m)))
        loo = float(np.mean(np.abs(np.log(predicted / y))))
    sizes = np.unique(d)
    if len(sizes) <= options.holdout:
        return loo, None, ()
    out = d >= sizes[-options.holdout]
    if np.sum(~out) < k or len(np.unique(d[~out])) < 2:
        return loo, None, ()
    predicted = refit((~out).astype(float)[None])[0]
    held = tuple(_point(d[i], y[i], predicted[i]) for i in np.flatnonzero(out))
    return loo, float(np.mean(np.abs(np.log(predicted[out] / y[out])))), held


def _predictions(
    fit: JointFit, data: JointData, n: Array, d: Array, is_loss: bool, half: float, options: FitOptions
) -> tuple[Prediction, ...]:
    """At each size, for the model size that was measured most often (the largest of those)."""
    sizes, counts = np.unique(n, return_counts=True)
    size = float(sizes[counts == counts.max()].max())
    result = []
    for x in options.predict:
        v = np.log(x) - data.centre_d if np.isfinite(x) else 700.0
        u = np.log(size) - data.centre_n
        value, jacobian = log_loss_at(fit.theta[None], np.array([[u]]), np.array([[v]]))
        ends: list[float | None] = [None] * 4
        if fit.covariance is not None and np.isfinite(half):
            row = jacobian[0, 0].copy()
            row[0] = np.exp(-value[0, 0])
            variance = float(row @ fit.covariance @ row)
            for i, extra in enumerate((fit.scale**2, 0.0)):
                width = half * float(np.sqrt(variance + extra))
                ends[2 * i] = float(_to_y(value[0, 0] - width, is_loss))
                ends[2 * i + 1] = float(_to_y(value[0, 0] + width, is_loss))
        outside = not d.min() <= x <= d.max()
        result.append(
            Prediction(x, float(_to_y(value[0, 0], is_loss)), ends[0], ends[1], outside, ends[2], ends[3])
        )
    return tuple(result)


def _notes(groups: Sequence[Points], fit: JointFit, m: int, k: int, options: FitOptions) -> list[Note]:
    notes = [note for points in groups for note in points.notes]
    if m <= k:
        notes.append(
            Note(
                "no-freedom",
                f"joint has {k} parameters and {m} points: nothing is left to judge it by.",
                "warning",
            )
        )
    gone = [
        name
        for name, at in zip(("E", "A", "B", "alpha", "beta"), range(5), strict=True)
        if fit.theta[at] <= LOWER[at] + 1e-9 or fit.theta[at] >= UPPER[at] - 1e-9
    ]
    if gone:
        notes.append(
            Note(
                "limit-joint",
                f"joint ran into the edge of what it allows for {', '.join(gone)}.",
                "warning",
                {"parameters": ", ".join(gone)},
            )
        )
    if options.predict:
        notes.append(
            Note("joint-size", "joint: predictions are for the model size that was measured most often.")
        )
    return notes
