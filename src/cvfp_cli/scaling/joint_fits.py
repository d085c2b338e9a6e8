"""The joint law's fit of all runs of one pool, put together as one ``Fit``."""

from collections.abc import Sequence

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import JOINT
from cvfp_cli.laws.registry import SURFACES
from cvfp_cli.laws.surface import ALPHA, BETA, Surface
from cvfp_cli.notes import Note
from cvfp_cli.scaling.bootstrap import LEAST_CASES
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.criteria import information
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.held_out import Mask, Origin, Pools, forward_masks, mean_error
from cvfp_cli.scaling.joint import (
    HeldCoordinates,
    JointData,
    JointFit,
    bootstrap_joint,
    check_joint,
    fit_joint,
    joint_data,
    solve_joint,
    user_values,
)
from cvfp_cli.scaling.joint_budget import compute_of, relation_of
from cvfp_cli.scaling.joint_errors import (
    ENOUGH_RUNS,
    REPLICATES,
    JointErrors,
    joint_errors,
    outlying,
    parameter_rows,
    stand_out,
)
from cvfp_cli.scaling.joint_pool import pool_test
from cvfp_cli.scaling.joint_profile import Ends, design_flaws, parameter_ends
from cvfp_cli.scaling.joint_questions import Answers, AskedFit, answer
from cvfp_cli.scaling.numbers import ROUNDING, rounded_off
from cvfp_cli.scaling.predictions import maybe
from cvfp_cli.scaling.result import DIFFER, Estimate, Fit, FittedPoint, PoolTest, Starts
from cvfp_cli.stats.error_model import Flags
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points
from cvfp_cli.study.units import PPL, YUnit, loss_of, required_unit, y_of

# Numbers in one batch of refits (problems times runs), to bound memory.
CELLS = 100_000
# Of data sizes in tests of larger ones: blocks at most, and the fewest to fit to.
MOST_BLOCKS, LEAST_BLOCKS = 8, 3
# What a parameter without a value says in its place, by reason.
REASONS = {
    "few-runs": "fewer runs than parameters",
    "two-model-sizes": "fewer than three model sizes",
    "two-data-sizes": "fewer than three data sizes",
    "fixed-ratio": "data size follows from model size",
    "same-passes": "all runs passed over the data equally often",
    "unbounded": "no value is ruled out",
}


def fit_joint_groups(
    groups: Sequence[Points],
    options: FitOptions | None = None,
    *,
    replicates: int = 0,
    seed: int = 0,
    label: str = "",
    constraint: Constraint | None = None,
    law: str = JOINT,
) -> Fit:
    """Fit a law of model and data size to the runs of all groups together, and test whether they share it.

    L is ln y for a perplexity and y for a loss (see ``units.loss_of``), N the parameters of both blocks, D the training size.

    Args:
        replicates: 0 for asymptotic intervals, else that many bootstrap refits of resampled runs.
        constraint: parameters that are fixed or tied.
        law: its name, one of ``names.JOINTS``.
        label: the fit's name; the group's own, or how many configurations there are, without it.

    Raises:
        InputError: runs without parameter counts, too few sizes, or too few runs to resample.
    """
    options = options or FitOptions()
    form = SURFACES[law]
    n, d, y, member, order = _runs(groups)
    unit = required_unit(groups[0].y_unit, groups[0].y_name)
    constraint = constraint or Constraint()
    check_joint(constraint, form)
    held, passes = HeldCoordinates.of(constraint, form), _passes(groups, form)[order]
    data = joint_data(n, d, _losses(y, unit, groups[0].y_name), held, law=form, passes=passes)
    m, k = len(y), data.held.k
    if replicates and m < LEAST_CASES:
        raise InputError(
            f"The joint law's bootstrap resamples runs; {m} are too few.", hint="Leave out --bootstrap."
        )
    fit = fit_joint(data)
    flaws = _flaws(data)
    rows = parameter_rows(data)
    errors = joint_errors(fit, data, *_labels(groups, n, d, member))
    profiled = _leaves_the_law(fit, data, errors, flaws, options.level)
    flawed = {name for names in flaws.values() for name in names}
    unseen = {name for name, row in rows.items() if errors is not None and errors.unseen(row)}
    ends = None
    if not replicates and _draws_runs(errors, flaws, m):
        replicates = REPLICATES
    elif profiled and errors is not None:
        rises = {
            name: errors.allowed(row, options.level)
            for name, row in rows.items()
            if not data.held.fixed[form.coordinate[name]]
        }
        ends = parameter_ends(data, fit, rises, flawed=flawed | unseen)
        ends |= dict.fromkeys(unseen - flawed, Ends(None, None))
    draws = bootstrap_joint(data, fit, replicates, seed) if replicates else None
    parameters, reasons = _parameters(fit, data, errors, draws, ends, flaws, options.level)
    for name, value in constraint.within(form.parameters).fixed:
        parameters[name] = Estimate(value, fixed=True)
    outlying = stand_out(fit, data, n, d) if errors is not None and not flaws else None
    asked = AskedFit(
        data,
        fit,
        n,
        d,
        unit,
        errors,
        ends is not None,
        draws,
        options.level,
        frozenset(name for name, estimate in parameters.items() if estimate.reason),
    )
    flops = [points.flops for points in groups if points.flops is not None]
    operations = np.concatenate(flops)[order] if len(flops) == len(groups) else None
    compute = compute_of(asked, relation_of(n, d, passes, operations), options.budgets)
    answers = answer(asked, options.predict, options.pairs, options.targets)
    members = [
        tuple(part[member == g] for part in (n, d, data.log_loss, data.passes)) for g in range(len(groups))
    ]
    pool = pool_test(members, data, fit) if options.hold_out else None
    predicted = asked.to_y(data.log_loss_at(fit.theta[None])[0][0])
    misses, log_misses = predicted - y, np.log(predicted / y)
    log_loss_rss = float(fit.residuals @ fit.residuals)
    total = float(np.sum((data.log_loss - data.log_loss.mean()) ** 2))
    rss = float(misses @ misses)
    loo, tests = None, []
    if options.hold_out:
        held_out = _held_out(asked, y)
        masks = forward_masks(groups, options.holdout, np.concatenate([points.x for points in groups]))
        loo, (tests,) = maybe(held_out.leave_one_out()[0]), held_out.forward([[one[order] for one in masks]])
    exact = rss <= 0.0 or log_loss_rss <= 0.0
    criteria = information(m, k, of_y=None if exact else rss, of_objective=None if exact else log_loss_rss)
    return Fit(
        config=label or (groups[0].label if len(groups) == 1 else counted(len(groups), "configuration")),
        law=law,
        x=groups[0].x_name,
        y=groups[0].y_name,
        y_unit=groups[0].y_unit.name,
        objective="huber",
        points=m,
        k=k,
        level=options.level,
        parameters=parameters,
        r_squared=1.0 - log_loss_rss / total if total > 0 else None,
        rss_ppl=rss,
        rss_log=float(log_misses @ log_misses),
        **criteria,
        fitted=tuple(_point(n[i], d[i], y[i], predicted[i]) for i in range(m)),
        interval_method=_method(fit, draws, ends),
        loo_error=loo,
        forward_error=mean_error(tests),
        held_out=tuple(_point(n[i], d[i], y[i], y[i] * np.exp(error)) for i, error in tests),
        held_out_by=groups[0].holdout.column if groups[0].holdout else "",
        asymptote=None,
        predictions=answers.predictions,
        targets=answers.targets,
        cheapest=answers.cheapest,
        compute=compute,
        pool=pool,
        starts=Starts(fit.tried, fit.agree),
        warnings=(
            *_notes(groups, fit, data, reasons, answers, pool, options),
            *_error_notes(errors, [name for name in rows if name in unseen - flawed], draws, law),
            *([outlying] if outlying else []),
        ),
    )


def _runs(groups: Sequence[Points]) -> tuple[Array, Array, Array, Rows, Rows]:
    """N, D, y and the group of every run, (m,) each, in an order of their own, and that order.

    Raises:
        InputError: there are none, or a group has no parameter counts.
    """
    if not groups:
        raise InputError("The joint law needs runs; there are none.")
    missing = [points.label for points in groups if points.parameters is None]
    if missing:
        raise InputError(
            f"The joint law needs the parameter counts of both blocks; {missing[0] or 'this table'} has none.",
            hint="Name the column that holds model sizes with --parameters, or fit power, saturating or exp-decay "
            "instead.",
        )
    n = np.concatenate([points.parameters for points in groups if points.parameters is not None])
    d = np.concatenate([points.x for points in groups])
    y = np.concatenate([points.y for points in groups])
    member = np.repeat(np.arange(len(groups)), [len(points) for points in groups])
    order = np.lexsort((y, n, d))
    return n[order], d[order], y[order], member[order], order


def _passes(groups: Sequence[Points], law: Surface) -> Array:
    """How often each run passed over its data, (m,) in the groups' order; 1 for a law that does not ask.

    Raises:
        InputError: the law asks, and a group does not say.
    """
    missing = [points.label for points in groups if points.passes is None]
    if law.repeats and missing:
        raise InputError(
            f"{law.name} needs to know how often each run passed over its data; {missing[0] or 'this table'} does not "
            "say.",
            hint="Name the column that holds it with --epochs, or fit joint.",
        )
    return np.concatenate(
        [
            points.passes if law.repeats and points.passes is not None else np.ones(len(points))
            for points in groups
        ]
    )


def joint_origins(groups: Sequence[Points], law: str, constraint: Constraint) -> list[Origin]:
    """Fits to the runs of the smaller data sizes, judged on the next; all runs are one group.

    Sizes are the data sizes themselves, or ``MOST_BLOCKS`` blocks of them with equally many runs where there are more.
    """
    form = SURFACES[law]
    n, d, y, _, order = _runs(groups)
    unit = required_unit(groups[0].y_unit, groups[0].y_name)
    passes, loss = _passes(groups, form)[order], _losses(y, unit, groups[0].y_name)
    held = HeldCoordinates.of(constraint, form)
    block = np.unique(d, return_inverse=True)[1]
    if block[-1] >= MOST_BLOCKS:
        # Runs of one size stay together: the block of the first of them is that of all.
        block = (MOST_BLOCKS * np.searchsorted(d, d) // len(d)).astype(np.intp)
        block = np.unique(block, return_inverse=True)[1]

    def determined(_: int, hidden: Mask) -> bool:
        return bool(np.sum(~hidden) > held.k and len(np.unique(n[~hidden])) > 1)

    def log_errors(hidden: Mask) -> Array:
        known = ~hidden
        data = joint_data(n[known], d[known], loss[known], held, law=form, passes=passes[known])
        u, v = np.log(n) - data.centre_n, np.log(d) - data.centre_d
        log_loss = form.log_loss(fit_joint(data).theta[None], u[None], v[None], passes[None])[0][0]
        return np.log(y_of(np.exp(log_loss), unit) / y)

    def refit(rows: Rows, hidden: Mask) -> Array:
        return np.array([log_errors(mask) for mask in hidden])

    one = np.zeros((1, len(y)), dtype=np.intp)
    return Pools(one, block[None], determined, refit).origins(LEAST_BLOCKS)


def outlying_runs(groups: Sequence[Points], constraint: Constraint, law: str = JOINT) -> Flags:
    """Which runs stand out from a joint law of all groups, in the groups' order."""
    form = SURFACES[law]
    n, d, y, _, order = _runs(groups)
    unit = required_unit(groups[0].y_unit, groups[0].y_name)
    held, passes = HeldCoordinates.of(constraint, form), _passes(groups, form)[order]
    data = joint_data(n, d, _losses(y, unit, groups[0].y_name), held, law=form, passes=passes)
    out = np.zeros(len(y), dtype=bool)
    out[order] = outlying(fit_joint(data), data)[1]
    return out


def _losses(y: Array, unit: YUnit, name: str) -> Array:
    """Losses, as ``units.loss_of``.

    Raises:
        InputError: a perplexity of 1 or less, which has no loss above 0.
    """
    low = y[y <= 1.0]
    if unit.name == PPL and low.size:
        raise InputError(
            f"The joint law needs losses above 0 nats; {low.size} of {counted(len(y), 'value')} of {name} are perplexities of 1 or "
            f"less, such as {low[0]:g}, and have none.",
            hint="Say with --y-unit what it is: nats, bits, bpb or other.",
        )
    return loss_of(y, unit)


def _flaws(data: JointData) -> dict[str, tuple[str, ...]]:
    """As ``design_flaws``; with fewer different runs than parameters nothing is determined."""
    pairs = len(np.unique(np.column_stack([data.u, data.v]), axis=0))
    free = tuple(name for name, at in data.law.coordinate.items() if not data.held.fixed[at])
    return {"few-runs": free} if pairs < data.held.k else design_flaws(data)


def _labels(groups: Sequence[Points], n: Array, d: Array, member: Rows) -> tuple[Rows, Rows]:
    """Which samples and which model each run has: a data size is shared within a study."""
    studies = np.unique([points.study for points in groups], return_inverse=True)[1]
    sizes = np.unique(np.column_stack([studies[member], d]), axis=0, return_inverse=True)[1]
    models = np.unique(np.column_stack([member, n]), axis=0, return_inverse=True)[1]
    return sizes.ravel(), models.ravel()


def _draws_runs(errors: JointErrors | None, flaws: dict[str, tuple[str, ...]], runs: int) -> bool:
    """Whether the default intervals come from runs drawn again: enough of them, and no sizes that they share."""
    return errors is not None and not errors.by_size and not flaws and runs >= ENOUGH_RUNS


def _leaves_the_law(
    fit: JointFit,
    data: JointData,
    errors: JointErrors | None,
    flaws: dict[str, tuple[str, ...]],
    level: float,
) -> bool:
    """Whether an asymptotic interval would leave what the law allows, so that it says nothing."""
    lower, upper = data.law.lower, data.law.upper
    bound = ((fit.theta <= lower + 1e-9) | (fit.theta >= upper - 1e-9)) & ~data.held.fixed
    if flaws or fit.covariance is None or errors is None or np.any(bound[1:]):
        return True
    reach = np.array([errors.half_width(row, level) for row in np.eye(data.law.k)])
    exponents = 3 + np.flatnonzero(~data.held.fixed[3:])
    lowest = np.min(data.log_loss - fit.residuals)
    return bool(
        np.any(fit.theta[exponents] - reach[exponents] <= lower[exponents])
        or np.any(fit.theta[exponents] + reach[exponents] >= upper[exponents])
        or (not data.held.fixed[0] and np.exp(fit.theta[0]) + reach[0] >= np.exp(lowest))
    )


def _method(fit: JointFit, draws: Array | None, ends: dict[str, Ends] | None) -> str:
    if fit.noise is None:
        return "none"
    if draws is not None:
        return "case bootstrap"
    return "error components (M-estimate)" if ends is None else "profile of the Huber loss"


def _point(n: float, x: float, y: float, predicted: float) -> FittedPoint:
    return FittedPoint(
        float(x), float(y), float(predicted), float(100.0 * (predicted / y - 1.0)), model_size=float(n)
    )


def _parameters(
    fit: JointFit,
    data: JointData,
    errors: JointErrors | None,
    draws: Array | None,
    ends: dict[str, Ends] | None,
    flaws: dict[str, tuple[str, ...]],
    level: float,
) -> tuple[dict[str, Estimate], dict[str, tuple[str, ...]]]:
    """Every parameter with its interval, and which have none, by reason."""
    law = data.law
    reasons = dict(flaws)
    flawed = {name for names in flaws.values() for name in names}
    free = tuple(
        name
        for name, at in law.coordinate.items()
        if ends is not None and ends[name].free and name not in flawed and not data.held.fixed[at]
    )
    if free:
        reasons["unbounded"] = free
    why = {name: reason for reason, names in reasons.items() for name in names}
    values = user_values(fit.theta[None], data)[0]
    if draws is not None:
        intervals = _percentiles(draws, data, level)
    elif ends is not None:
        intervals = {name: (ends[name].low, ends[name].high) for name in law.parameters}
    else:
        intervals = _asymptotic(data, values, errors, level)
    result = {}
    for i, name in enumerate(law.parameters):
        if name in why:
            result[name] = Estimate(None, reason=REASONS[why[name]])
            continue
        own = law.coordinate[name]
        at_bound = bool(fit.theta[own] <= law.lower[own] + 1e-9 or fit.theta[own] >= law.upper[own] - 1e-9)
        value = float(np.exp(values[i])) if name in law.positive else float(values[i])
        low, high = intervals[name]
        if name == "E":
            least = ROUNDING * float(np.exp(np.min(data.log_loss)))
            low, high = rounded_off(low, least), rounded_off(high, least)
            value = 0.0 if value < least else value
        result[name] = Estimate(value, low, high, at_bound=at_bound)
    return result, reasons


def _asymptotic(
    data: JointData, values: Array, errors: JointErrors | None, level: float
) -> dict[str, tuple[float | None, float | None]]:
    result: dict[str, tuple[float | None, float | None]] = {}
    for (name, row), value in zip(parameter_rows(data).items(), values, strict=True):
        width = float("nan") if errors is None else errors.half_width(row, level)
        if not np.isfinite(width):
            result[name] = (None, None)
            continue
        low, high = value - width, value + width
        if name in data.law.positive:
            low, high = np.exp(low), np.exp(high)
        result[name] = (max(float(low), 0.0), float(high))
    return result


def _percentiles(draws: Array, data: JointData, level: float) -> dict[str, tuple[float | None, float | None]]:
    """Ends over refits; one at the steepest exponent that the law allows, or at its amplitude, is open."""
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(user_values(draws, data), [tail, 1.0 - tail], axis=0)
    result: dict[str, tuple[float | None, float | None]] = {}
    law = data.law
    for i, name in enumerate(law.parameters):
        steepest = {"A": ALPHA, "B": BETA}.get(name, law.coordinate[name])
        at = i if name in law.further else {"A": 2, "B": 4}.get(name, i)
        open_end = name != "E" and high[at] >= law.upper[steepest] - 1e-6
        ends = np.exp(np.array([low[i], min(high[i], 700.0)])) if name in law.positive else (low[i], high[i])
        result[name] = (float(ends[0]), None if open_end else float(ends[1]))
    return result


def _held_out(law: AskedFit, y: Array) -> Pools:
    """All runs as one pool, fitted anew near the fit of all."""
    data, d = law.data, law.d

    def determined(_: int, hidden: Mask) -> bool:
        return bool(np.sum(~hidden) >= data.held.k and len(np.unique(d[~hidden])) > 1)

    def refit(rows: Rows, hidden: Mask) -> Array:
        errors = np.empty(hidden.shape)
        step = max(1, CELLS // len(y))
        for first in range(0, len(hidden), step):
            keep = (~hidden[first : first + step]).astype(float)
            # One point moves the fit little: the refits start there and need four digits only.
            theta = solve_joint(data, np.tile(law.fit.theta, (len(keep), 1)), keep, tolerance=1e-5)[0]
            errors[first : first + step] = np.log(law.to_y(data.log_loss_at(theta)[0]) / y)
        return errors

    one = np.zeros((1, len(y)), dtype=np.intp)
    return Pools(one, np.unique(d, return_inverse=True)[1][None], determined, refit)


def _notes(
    groups: Sequence[Points],
    fit: JointFit,
    data: JointData,
    reasons: dict[str, tuple[str, ...]],
    answers: Answers,
    pool: PoolTest | None,
    options: FitOptions,
) -> list[Note]:
    notes = [note for points in groups for note in points.notes]
    m, k = len(fit.residuals), data.held.k
    if m <= k:
        message = f"{data.law.name} has {counted(k, 'parameter')} and {counted(m, 'point')}: nothing is left to judge it by."
        notes.append(
            Note("no-freedom", message, "warning", {"law": data.law.name, "parameters": k, "points": m})
        )
    said = {name for names in reasons.values() for name in names}
    gone = [
        name
        for name, at in data.law.coordinate.items()
        if name not in said
        and not data.held.fixed[at]
        and (fit.theta[at] <= data.law.lower[at] + 1e-9 or fit.theta[at] >= data.law.upper[at] - 1e-9)
    ]
    if gone:
        message = f"{data.law.name} ran into the bound of what it allows for {', '.join(gone)}."
        notes.append(Note("limit-joint", message, "warning", {"parameters": ", ".join(gone)}))
    spans = [float(np.exp(np.ptp(part))) for part in (data.u, data.v)]
    notes += [_undetermined(data.law.name, reason, names, spans, k) for reason, names in reasons.items()]
    if options.predict:
        size = answers.usual_size
        message = f"{data.law.name}: sizes to predict at without a model size are taken at the one measured most often, {size:.4g}."
        notes.append(Note("joint-size", message, values={"size": size}))
    if data.law.repeats and (options.predict or options.pairs or options.targets):
        passes = float(np.median(data.passes))
        message = (
            f"{data.law.name}: what is asked of other sizes holds for {passes:.4g} passes, the runs' median."
        )
        notes.append(Note("joint-passes", message, values={"passes": passes}))
    if pool is not None and pool.p is not None and pool.p < DIFFER:
        message = (
            f"{data.law.name}: the {pool.groups} groups do not share one law (F({pool.df1}, {pool.df2}) = {pool.f:.3g}, "
            f"p = {pool.p:.2g}): its parameters are an average of theirs."
        )
        values = {"groups": pool.groups, "df1": pool.df1, "df2": pool.df2, "f": pool.f or 0.0, "p": pool.p}
        notes.append(Note("pool-differs", message, "warning", values))
    return notes


def _error_notes(
    errors: JointErrors | None, unseen: Sequence[str], draws: Array | None, law: str
) -> list[Note]:
    """What the intervals take the runs' errors to be."""
    if errors is None or draws is not None:
        return []
    if unseen:
        listed = ", ".join(unseen)
        message = (
            f"{law}: no interval for {listed}: there are no more data sizes than parameters that only they tell, so how "
            "far the law misses a size cannot be seen. More data sizes would show it."
        )
        return [Note("common-errors-unknown", message, "warning", {"parameters": listed})]
    share = errors.model.shared_by_size
    if not errors.by_size or share <= 0.0:
        return []
    message = (
        f"{law}: models err together at one data size (correlation {share:.2f}); the intervals allow for it."
    )
    return [Note("common-errors", message, values={"correlation": share})]


def _undetermined(law: str, reason: str, names: Sequence[str], spans: Sequence[float], k: int) -> Note:
    listed = ", ".join(names)
    why = {
        "few-runs": f"there are fewer different runs than the law's {counted(k, 'parameter')}",
        "two-model-sizes": "with fewer than three model sizes they trade with one another",
        "two-data-sizes": "with fewer than three data sizes they trade with one another",
        "same-passes": "all runs passed over their data equally often",
        "fixed-ratio": "the data size follows from the model size in all runs, so the two terms can change places",
        "unbounded": f"these runs rule out no value (model sizes span a factor of {spans[0]:.3g}, data sizes one of "
        f"{spans[1]:.3g})",
    }[reason]
    values: dict[str, str | float] = {"parameters": listed, "model_span": spans[0], "data_span": spans[1]}
    return Note(f"joint-{reason}", f"{law}: {listed} undetermined: {why}.", "warning", values)
