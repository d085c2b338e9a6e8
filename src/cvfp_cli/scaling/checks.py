"""What the residuals say of a fit's assumptions: unequal errors, an objective they contradict, runs that stand out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cvfp_cli.counting import agreeing, counted
from cvfp_cli.laws.registry import LAWS
from cvfp_cli.notes import Note
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.constraint import FREE, Constraint
from cvfp_cli.scaling.curves import residuals
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.global_fit import fit_curves
from cvfp_cli.scaling.numbers import figure, size
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.shared import fit_shared
from cvfp_cli.scaling.shared_errors import free_jacobian
from cvfp_cli.scaling.shared_fits import as_curves, fit_constrained, shared_batch
from cvfp_cli.stats.error_model import Flags
from cvfp_cli.stats.robust import outliers, variance_test
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points

# Chance that any group of a study is told of unequal errors where there are none.
SIGNIFICANCE = 0.05
# The other objective is called the better one only where its own residuals show no trend at all.
EVEN = 0.2
# The tests take the cube of the points; larger tables are not tested.
MOST_POINTS = 500
MOST_NAMED = 3
STARTS = 8


def check_groups(
    groups: Sequence[Points],
    fits: dict[str, tuple[Fit, ...]],
    options: FitOptions,
    constraint: Constraint = FREE,
) -> tuple[Note, ...]:
    """Notes on each group's residuals about the law that fits it best by AIC among those that it can test.

    Args:
        fits: of the laws of one variable, by law. constraint: what they were fitted under; nothing of it is shared.
    """
    notes: list[Note] = []
    for points in groups:
        able = [
            (fit.aic, fit.law)
            for each in fits.values()
            for fit in each
            if fit.config == points.label
            and fit.aic is not None
            and not fit.limit
            and testable(points, fit.law, constraint)
        ]
        if able:
            law = min(able)[1]
            notes += _check(points, law, options, constraint.of_one, SIGNIFICANCE / len(groups))
    return tuple(notes)


def testable(points: Points, law: str, constraint: Constraint) -> bool:
    """Whether a group's residuals about a law say anything, and are few enough to look at."""
    left = points.distinct_sizes - constraint.estimated(LAWS[law].parameters)
    return left > 0 and len(points) <= MOST_POINTS


def standing_out(points: Points, law: str, objective: str, constraint: Constraint) -> Flags:
    """Which runs of a group stand out from a law, (m,)."""
    r, jacobian, _ = _residuals(points, law, objective, constraint)
    return outliers(r, jacobian)[1]


def _check(
    points: Points, law: str, options: FitOptions, constraint: Constraint, significance: float
) -> list[Note]:
    name = f"{points.label}: {law}" if points.label else law
    r, jacobian, z = _residuals(points, law, options.objective, constraint)
    test = variance_test(r, jacobian, z)
    relative, out = outliers(r, jacobian)
    notes = []
    if test.p_value is not None and test.p_value < significance:
        way = "grow" if test.rises else "shrink"
        message = (
            f"{name}: errors {way} with {points.x_name} (p = {test.p_value:.2g}); the intervals allow for it."
        )
        values = {"law": law, "p": test.p_value, "way": way}
        if test.rises and any(size > points.x.max() for size in options.predict):
            message += " Those of a new run beyond all sizes take the noise of the largest, and are too narrow if it grows on."
        other = "ppl" if options.objective == "log" else "log"
        swapped = variance_test(*_residuals(points, law, other, constraint))
        if swapped.p_value is not None and swapped.p_value > EVEN:
            scale = {"log": "relative", "ppl": "absolute"}[other]
            message += f" Their {scale} size is even: --objective {other} suits them."
            values["objective"] = other
        notes.append(Note("unequal-variance", message, values=values))
    if np.any(out):
        notes.append(_outliers(points, law, options, constraint, name, relative, np.flatnonzero(out)))
    return notes


def _residuals(
    points: Points, law: str, objective: str, constraint: Constraint
) -> tuple[Array, Array, Array]:
    """Residuals (m,), the Jacobian of the curve by what is estimated (m, k), and ln n (m,)."""
    chosen = LAWS[law]
    mine = constraint.within(chosen.parameters)
    if mine:
        batch = shared_batch([points], objective)
        held = fit_shared(chosen, batch, mine)
        theta = as_curves(held).theta
        return batch.residuals(chosen, theta)[0], free_jacobian(held)[0], batch.data.z[0]
    batch = make_batch([points], objective)
    fits = fit_curves(chosen, batch.data, starts=STARTS)
    r, jacobian = (part[0] for part in residuals(chosen, batch.data, fits.theta))
    return r, jacobian, batch.data.z[0]


def _outliers(
    points: Points,
    law: str,
    options: FitOptions,
    constraint: Constraint,
    name: str,
    relative: Array,
    out: Rows,
) -> Note:
    """Which runs stand out, and the law's parameters without them; nothing is dropped."""
    kept = np.ones(len(points), dtype=bool)
    kept[out] = False
    rest = points.only(kept)
    without: dict[str, float | None] = {}
    if testable(rest, law, constraint):
        plain = replace(options, predict=(), targets=(), window=0, hold_out=False, intervals=False)
        fit = fit_constrained([rest], law, constraint, plain)[0]
        without = {key: one.value for key, one in fit.parameters.items()}
    places = [f"{points.x_name} {size(float(x))}" for x in points.x]
    return outlier_note(name, law, places, relative, out, without)


def outlier_note(
    name: str,
    law: str,
    places: Sequence[str],
    relative: Array,
    out: Rows,
    without: Mapping[str, float | None],
) -> Note:
    """Which runs stand out, the farthest first, and the parameters of a fit without them.

    Args:
        name: what the note begins with. places: how to call each run.
        relative: residuals in robust standard deviations, (m,). out: the runs that stand out.
        without: values by name; empty where too few runs are left.
    """
    order = out[np.argsort(-np.abs(relative[out]))]
    listed = ", ".join(f"{places[i]} ({relative[i]:+.0f} sd)" for i in order[:MOST_NAMED])
    more = f" and {len(order) - MOST_NAMED} more" if len(order) > MOST_NAMED else ""
    shown = ", ".join(f"{key} = {figure(value)}" for key, value in without.items())
    rest = f" Without {agreeing(len(out), 'it', 'them')}: {shown}." if shown else ""
    message = (
        f"{name}: {counted(len(out), 'run')} of {len(places)} {agreeing(len(out), 'stands', 'stand')} out: {listed}{more}; "
        f"in robust standard deviations of the residuals.{rest} Nothing was left out."
    )
    return Note("outliers", message, "warning", {"law": law, "runs": len(out), "of": len(places)})
