"""The joint law's fit of all runs of one pool, put together as one ``Fit``."""

from collections.abc import Sequence

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import JOINT
from cvfp_cli.laws.registry import SURFACES
from cvfp_cli.scaling.bootstrap import LEAST_CASES
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.criteria import information, told
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.held_out import Mask, Origin, Pools, forward_masks, mean_error
from cvfp_cli.scaling.joint import check_joint, fit_joint, solve_joint
from cvfp_cli.scaling.joint_answers import answer
from cvfp_cli.scaling.joint_budget import compute_of, relation_of
from cvfp_cli.scaling.joint_errors import outlying
from cvfp_cli.scaling.joint_intervals import JointIntervals
from cvfp_cli.scaling.joint_notes import joint_notes
from cvfp_cli.scaling.joint_pool import pool_test
from cvfp_cli.scaling.joint_questions import AskedFit
from cvfp_cli.scaling.joint_runs import JointRuns
from cvfp_cli.scaling.predictions import maybe
from cvfp_cli.scaling.result import Estimate, Fit, FittedPoint, Starts
from cvfp_cli.stats.error_model import Flags
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points
from cvfp_cli.study.units import y_of

# Numbers in one batch of refits (problems times runs), to bound memory.
CELLS = 100_000
# Of data sizes in tests of larger ones: blocks at most, and the fewest to fit to.
MOST_BLOCKS, LEAST_BLOCKS = 8, 3


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
        replicates: 0 for the intervals that ``JointIntervals`` chooses, else that many bootstrap refits of resampled runs.
        constraint: parameters that are fixed or tied.
        law: its name, one of ``names.JOINTS``.
        label: the fit's name; the group's own, or how many configurations there are, without it.

    Raises:
        InputError: runs without parameter counts, too few sizes, or too few runs to resample.
    """
    options, constraint, form = options or FitOptions(), constraint or Constraint(), SURFACES[law]
    check_joint(constraint, form)
    runs = JointRuns.of(groups, form, constraint)
    n, d, y, data = runs.n, runs.d, runs.y, runs.data
    m, k = len(y), data.held.k
    if replicates and m < LEAST_CASES:
        raise InputError(
            f"The joint law's bootstrap resamples runs; {m} are too few.", hint="Leave out --bootstrap."
        )
    fit = fit_joint(data)
    found = JointIntervals.of(fit, runs, options.level, replicates, seed)
    parameters = found.parameters()
    for name, value in constraint.within(form.parameters).fixed:
        parameters[name] = Estimate(value, fixed=True)
    undetermined = frozenset(name for name, one in parameters.items() if one.reason and one.value is None)
    asked = AskedFit(runs, found, undetermined)
    compute = compute_of(asked, relation_of(n, d, data.passes, runs.flops), options.budgets)
    answers = answer(asked, options.predict, options.pairs, options.targets)
    members = [
        tuple(part[runs.member == g] for part in (n, d, data.log_loss, data.passes))
        for g in range(len(groups))
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
        loo, (tests,) = (
            maybe(held_out.leave_one_out()[0]),
            held_out.forward([[one[runs.order] for one in masks]]),
        )
    # A law that meets every run but for rounding has none of these criteria.
    of_y, of_objective = told(rss, float(y @ y)), told(log_loss_rss, m)
    exact = of_y is None or of_objective is None
    criteria = information(m, k, of_y=None if exact else of_y, of_objective=None if exact else of_objective)
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
        interval_method=found.method,
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
            *(note for points in groups for note in points.notes),
            *joint_notes(runs, found, answers, pool, options),
        ),
    )


def joint_origins(groups: Sequence[Points], law: str, constraint: Constraint) -> list[Origin]:
    """Fits to the runs of the smaller data sizes, judged on the next; all runs are one group.

    Sizes are the data sizes themselves, or ``MOST_BLOCKS`` blocks of them with equally many runs where there are more.
    """
    form = SURFACES[law]
    runs = JointRuns.of(groups, form, constraint)
    n, d, y, whole = runs.n, runs.d, runs.y, runs.data
    held = whole.held
    block = np.unique(d, return_inverse=True)[1]
    if block[-1] >= MOST_BLOCKS:
        # Runs of one size stay together: the block of the first of them is that of all.
        block = (MOST_BLOCKS * np.searchsorted(d, d) // len(d)).astype(np.intp)
        block = np.unique(block, return_inverse=True)[1]

    def determined(_: int, hidden: Mask) -> bool:
        return bool(np.sum(~hidden) > held.k and len(np.unique(n[~hidden])) > 1)

    def log_errors(hidden: Mask) -> Array:
        data = runs.part(~hidden)
        u, v = np.log(n) - data.centre_n, np.log(d) - data.centre_d
        log_loss = form.log_loss(fit_joint(data).theta[None], u[None], v[None], whole.passes[None])[0][0]
        return np.log(y_of(np.exp(log_loss), runs.unit) / y)

    def refit(rows: Rows, hidden: Mask) -> Array:
        return np.array([log_errors(mask) for mask in hidden])

    one = np.zeros((1, len(y)), dtype=np.intp)
    return Pools(one, block[None], determined, refit).origins(LEAST_BLOCKS)


def outlying_runs(groups: Sequence[Points], constraint: Constraint, law: str = JOINT) -> Flags:
    """Which runs stand out from a joint law of all groups, in the groups' order."""
    runs = JointRuns.of(groups, SURFACES[law], constraint)
    out = np.zeros(len(runs.y), dtype=bool)
    out[runs.order] = outlying(fit_joint(runs.data), runs.data)[1]
    return out


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


def _point(n: float, x: float, y: float, predicted: float) -> FittedPoint:
    return FittedPoint(
        float(x), float(y), float(predicted), float(100.0 * (predicted / y - 1.0)), model_size=float(n)
    )
