"""Fits with shared, fixed or tied parameters, put together as one ``Fit`` a group."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.laws.base import Law
from cvfp_cli.laws.quantities import Quantity
from cvfp_cli.laws.registry import get_law
from cvfp_cli.notes import Note
from cvfp_cli.scaling.assemble import Figures, assemble
from cvfp_cli.scaling.batch import Batch, make_batch
from cvfp_cli.scaling.constraint import Constraint, check_law, fixed_coordinates
from cvfp_cli.scaling.criteria import information, told
from cvfp_cli.scaling.derived import reached_quantity, target_quantity
from cvfp_cli.scaling.fit_notes import NO_AICC
from cvfp_cli.scaling.fits import FitOptions, figure_quantities, fit_groups
from cvfp_cli.scaling.global_fit import CurveFits
from cvfp_cli.scaling.held_out import Mask, Origin, Pools, Test, forward_masks
from cvfp_cli.scaling.predictions import NOTHING_LEFT, SHARED_UNSEEN, out_of_reach, solve_size
from cvfp_cli.scaling.profiles import Interval, fitted_values, intervals
from cvfp_cli.scaling.result import Estimate, Fit, Target
from cvfp_cli.scaling.shared import (
    SharedFit,
    curve,
    fit_shared,
    refit_shared,
    shared_starts,
)
from cvfp_cli.scaling.shared_errors import FitErrors, shared_errors
from cvfp_cli.scaling.shared_quantities import lifted, measured_instead
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points

# Notes of a fit on its own that a shared fit answers differently.
OWN_NOTES = frozenset({"no-freedom", "underdetermined", "one-degree-of-freedom", "starts-disagree", NO_AICC})


def fit_constrained(
    groups: Sequence[Points], law: str, constraint: Constraint, options: FitOptions | None = None
) -> tuple[Fit, ...]:
    """Fit one law to all groups under a constraint, of which what the law does not have is ignored.

    Groups that share nothing are fitted each on its own.

    Raises:
        InputError: as ``fit_groups``, or a parameter that cannot be shared, fixed or tied so.
    """
    chosen, options = get_law(law), options or FitOptions()
    check_law(chosen, constraint)
    mine = constraint.within(chosen.parameters)
    for points in groups:
        points.require_fittable()
    return tuple(
        fit
        for pool in pools_of(groups, mine)
        for fit in (
            _fit_pool(pool, chosen, mine, options)
            if is_constrained(pool, mine)
            else fit_groups(pool, law, options)
        )
    )


def cannot_hold(
    groups: Sequence[Points], law: str, constraint: Constraint, objective: str
) -> InputError | None:
    """Why a law cannot be fitted to these groups with what is fixed; None where it can."""
    chosen = get_law(law)
    mine = constraint.within(chosen.parameters)
    if not mine.fixed:
        return None
    try:
        for pool in pools_of(groups, mine):
            fixed_coordinates(chosen, mine, shared_batch(pool, objective))
    except InputError as problem:
        return problem
    return None


def pools_of(groups: Sequence[Points], constraint: Constraint) -> list[Sequence[Points]]:
    """The groups that are fitted together."""
    apart = bool(constraint.fixed or constraint.tied) and not constraint.shared
    return [[points] for points in groups] if apart else [groups]


def is_constrained(groups: Sequence[Points], constraint: Constraint) -> bool:
    """Whether a constraint changes the fit of these groups: one group has nothing to share."""
    return bool(constraint.fixed or constraint.tied or (constraint.shared and len(groups) > 1))


def _fit_pool(
    groups: Sequence[Points], chosen: Law, constraint: Constraint, options: FitOptions
) -> tuple[Fit, ...]:
    batch = shared_batch(groups, options.objective)
    fit = fit_shared(chosen, batch, constraint)
    curves = as_curves(fit)
    errors = shared_errors(fit, batch, batch.residuals(chosen, curves.theta))
    figures = _figures(fit, batch, curves, errors, options)
    count = len(groups)
    fits = assemble(curves, batch, np.full(count, errors.df), figures, options)
    return tuple(_with_joint(one, fit, errors, constraint, count) for one in fits)


def shared_batch(groups: Sequence[Points], objective: str) -> Batch:
    """A batch with one origin and one unit of y, so that shared coordinates mean the same in every group."""
    batch = make_batch(groups, objective, common_origin=True)
    if objective == "log":
        return batch
    unit = float(np.mean(batch.scale.log_unit))
    shift = batch.scale.log_unit - unit
    data = replace(batch.data, target=batch.data.target * np.exp(shift)[:, None])
    scale = replace(batch.scale, log_unit=np.full_like(shift, unit), lowest=batch.scale.lowest + shift)
    return replace(batch, data=data, scale=scale)


def as_curves(fit: SharedFit) -> CurveFits:
    """The groups' curves in the coordinates of ``laws``."""
    theta, _ = fit.law.from_common(fit.coordinates())
    groups = len(theta)
    empty = np.zeros((groups, fit.law.k))
    return CurveFits(
        fit.law, fit.data, theta, np.zeros(groups), empty, empty, np.full(groups, fit.agree), fit.tried
    )


def constrained_origins(
    groups: Sequence[Points], law: str, constraint: Constraint, objective: str
) -> list[Origin]:
    """Rolling origins; groups that share are cut at the same number of sizes and fitted together."""
    chosen = get_law(law)
    mine = constraint.within(chosen.parameters)
    found: list[Origin] = []
    first = 0
    for pool in pools_of(groups, mine):
        batch = shared_batch(pool, objective)
        tests = shared_pool(fit_shared(chosen, batch, mine), batch).origins()
        found += [replace(one, group=one.group + first) for one in tests]
        first += len(pool)
    return found


def shared_pool(fit: SharedFit, batch: Batch) -> Pools:
    """All groups of a batch as one pool, fitted with the sharing kept."""
    weight, layout = batch.data.weight, fit.layout
    counted, size = weight > 0, batch.size
    starts = np.concatenate([fit.theta, shared_starts(fit.law, batch, layout)[:6]])

    def determined(_: int, hidden: Mask) -> bool:
        kept = counted & ~hidden.reshape(weight.shape)
        sizes = np.array([len(np.unique(own[there])) for own, there in zip(size, kept, strict=True)])
        return bool(sizes.sum() >= layout.k and np.all(sizes >= max(layout.own, 2)))

    def refit(rows: Rows, hidden: Mask) -> Array:
        left = np.where(hidden.reshape(-1, *weight.shape), 0.0, weight)
        coordinates = refit_shared(fit, starts, left)
        z = np.broadcast_to(batch.data.z, left.shape)
        return np.asarray(curve(fit.law, coordinates, z)[0] - batch.log_y).reshape(hidden.shape)

    group = np.where(counted, np.arange(len(weight))[:, None], -1)
    return Pools(group.reshape(1, -1), size.reshape(1, -1), determined, refit)


def _figures(
    fit: SharedFit, batch: Batch, curves: CurveFits, errors: FitErrors, options: FitOptions
) -> Figures:
    per_group = [_quantities(fit, batch, g, options) for g in range(len(batch.groups))]
    flat = [q for quantities in per_group for q in quantities]
    values = [float(value[0]) for value in fitted_values(fit, flat)]
    measured = options.intervals and errors.df > 0
    delta = errors.delta(fit, flat, options.level) if measured else np.full((len(flat), 1), np.nan)
    ends = np.full((2, len(flat)), np.nan)
    flat, still = measured_instead(fit, flat, held=fit.layout.held)
    # What no free unknown moves has its value, whatever the errors.
    ends[:, still] = np.array(values)[still]
    moved = np.flatnonzero(np.isfinite(delta[:, 0]) & ~still)
    found = intervals(fit, delta[moved], [flat[i] for i in moved]) if moved.size else []
    for i, one in zip(moved, found, strict=True):
        ends[:, i] = one.low[0], one.high[0]
    count, groups = len(per_group[0]), len(per_group)
    unseen = (np.isnan(delta[:, 0]) & ~still).reshape(groups, count)

    def column(ends: list[float]) -> list[Array]:
        return list(np.array(ends).reshape(groups, count).T)

    lows, highs = (column(list(side)) for side in ends)
    loo = np.full(groups, np.nan)
    forward: list[list[Test]] = [[] for _ in range(groups)]
    if options.hold_out:
        loo, forward = _held_out(fit, batch, options.holdout)
    return Figures(
        quantities=per_group[0],
        values=column(values),
        intervals=[Interval(low, high) for low, high in zip(lows, highs, strict=True)],
        has_intervals=np.full(groups, bool(measured)),
        unseen=list(unseen.T),
        without=NOTHING_LEFT if options.intervals else "",
        targets=[
            _targets(fit, batch, curves, g, errors if measured else None, options) for g in range(groups)
        ],
        loo=loo,
        forward=forward,
    )


def _quantities(fit: SharedFit, batch: Batch, g: int, options: FitOptions) -> list[Quantity]:
    own = figure_quantities(fit.law, batch, options)
    return [lifted(quantity, fit.law, fit.layout, g) for quantity in own]


def _targets(
    fit: SharedFit,
    batch: Batch,
    curves: CurveFits,
    g: int,
    errors: FitErrors | None,
    options: FitOptions,
) -> tuple[Target, ...]:
    points, origin, log_unit = batch.groups[g], float(batch.scale.origin[g]), float(batch.scale.log_unit[g])
    groups = len(batch.groups)
    result = []
    for ppl in options.targets:
        log_target = float(np.log(ppl)) - log_unit
        z = solve_size(fit.law, curves.theta[g], log_target)
        if not np.isfinite(z):
            reason = out_of_reach(fit.law, curves.theta[g : g + 1], log_unit, points.y_name, ppl)
            result.append(Target(ppl, None, None, None, True, reason))
            continue
        x = float(np.exp(z + origin))
        low = high = None
        reason = NOTHING_LEFT if options.intervals else ""
        if errors is not None:
            make = reached_quantity if fit.layout.held else target_quantity
            target = make(fit.law, np.full(groups, z), np.full(groups, log_target))
            wanted = [lifted(target, fit.law, fit.layout, g)]
            delta = errors.delta(fit, wanted, options.level)
            wanted, _ = measured_instead(fit, wanted, held=fit.layout.held)
            reason = SHARED_UNSEEN
            if np.isfinite(delta[0, 0]):
                reason = ""
                ends = intervals(fit, delta, wanted)[0]
                low, high = (
                    None if np.isnan(end[0]) else float(np.exp(end[0] + origin))
                    for end in (ends.low, ends.high)
                )
        result.append(Target(ppl, x, low, high, not points.x.min() <= x <= points.x.max(), reason))
    return tuple(result)


def _held_out(fit: SharedFit, batch: Batch, holdout: int) -> tuple[Array, list[list[Test]]]:
    """Leave-one-out errors (G,) and the forward test of each group."""
    pool = shared_pool(fit, batch)
    (tests,) = pool.forward([forward_masks(batch.groups, holdout)])
    ends = np.cumsum([len(points) for points in batch.groups])
    forward: list[list[Test]] = [[] for _ in batch.groups]
    for place, error in tests:
        g = int(np.searchsorted(ends, place, side="right"))
        forward[g].append((place - int(ends[g]) + len(batch.groups[g]), error))
    return pool.leave_one_out(), forward


def _with_joint(one: Fit, fit: SharedFit, errors: FitErrors, constraint: Constraint, groups: int) -> Fit:
    """The group's fit, with what belongs to all groups together: k, information criteria, flags, notes."""
    m, k = int(np.sum(fit.data.weight)), fit.layout.k
    rss = float(fit.rss[0])
    shared = [name for name in fit.law.parameters if name in constraint.shared] if groups > 1 else []
    fixed = constraint.values
    parameters = {
        name: Estimate(fixed[name], fixed=True) if name in fixed else replace(estimate, shared=name in shared)
        for name, estimate in one.parameters.items()
    }
    notes = [note for note in one.warnings if note.code not in OWN_NOTES]
    limit = one.limit
    if any(one.parameters[name].at_bound for name in fixed):
        # The limit is where the user put the fit, not what the data show.
        limit, notes = "", [note for note in notes if not note.code.startswith("limit-")]
    if shared:
        said = (
            f"{one.law}: {', '.join(shared)} shared by {counted(groups, 'configuration')}: one fit of {counted(m, 'point')} and {counted(k, 'parameter')}; "
            "k, AICc, BIC and all intervals belong to it."
        )
        notes.append(Note("shared-fit", said))
    notes += errors.notes(one.law)
    # AIC of one group's y would count parameters that the others paid for.
    of_y, of_objective = None, told(rss, m)
    if groups == 1:
        of_y = told(one.rss_ppl, sum(point.y**2 for point in one.fitted))
        of_objective = told(one.rss_log, m) if fit.data.objective == "log" else of_y
    criteria = information(m, k, of_y=of_y, of_objective=of_objective)
    asymptote = parameters[fit.law.parameters[0]] if fit.law.has_floor else None
    return replace(
        one,
        replicates=None,
        k=k,
        limit=limit,
        parameters=parameters,
        asymptote=asymptote,
        warnings=tuple(notes),
        **criteria,
    )
