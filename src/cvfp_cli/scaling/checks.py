"""What the residuals say of a fit's assumptions: unequal errors, an objective they contradict, runs that stand out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cvfp_cli.counting import agreeing, counted
from cvfp_cli.laws.registry import LAWS
from cvfp_cli.notes import Note
from cvfp_cli.scaling.batch import Batch, make_batch
from cvfp_cli.scaling.curves import residuals
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.global_fit import fit_curves
from cvfp_cli.scaling.numbers import figure, size
from cvfp_cli.scaling.result import Fit
from cvfp_cli.stats.robust import VarianceTest, outliers, variance_test
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
    groups: Sequence[Points], fits: dict[str, tuple[Fit, ...]], options: FitOptions
) -> tuple[Note, ...]:
    """Notes on each group's residuals about the law that fits it best by AIC among those that it can test.

    Args:
        fits: of the laws of one variable, by law.
    """
    notes: list[Note] = []
    for law, members in _best(groups, fits).items():
        for points in members:
            notes += _check(points, law, options, SIGNIFICANCE / len(groups))
    return tuple(notes)


def _best(groups: Sequence[Points], fits: dict[str, tuple[Fit, ...]]) -> dict[str, list[Points]]:
    """The groups by the law that each is checked with."""
    found: dict[str, list[Points]] = {}
    for points in groups:
        own = [fit for each in fits.values() for fit in each if fit.config == points.label]
        able = [
            fit
            for fit in own
            if points.distinct_sizes > LAWS[fit.law].k and fit.aic is not None and not fit.limit
        ]
        if able and len(points) <= MOST_POINTS:
            found.setdefault(min(able, key=lambda fit: fit.aic or 0.0).law, []).append(points)
    return found


def _check(points: Points, law: str, options: FitOptions, significance: float) -> list[Note]:
    name = f"{points.label}: {law}" if points.label else law
    test, relative, out = _residuals(points, law, options.objective)
    notes = []
    if test.p_value is not None and test.p_value < significance:
        way = "grow" if test.rises else "shrink"
        message = (
            f"{name}: errors {way} with {points.x_name} (p = {test.p_value:.2g}); the intervals allow for it."
        )
        values = {"law": law, "p": test.p_value, "way": way}
        other = "ppl" if options.objective == "log" else "log"
        swapped = _residuals(points, law, other)[0]
        if swapped.p_value is not None and swapped.p_value > EVEN:
            scale = {"log": "relative", "ppl": "absolute"}[other]
            message += f" Their {scale} size is even: --objective {other} suits them."
            values["objective"] = other
        notes.append(Note("unequal-variance", message, values=values))
    if np.any(out):
        notes.append(_outliers(points, law, options, name, relative, np.flatnonzero(out)))
    return notes


def _residuals(points: Points, law: str, objective: str) -> tuple[VarianceTest, Array, Array]:
    """The test of unequal variance, residuals in robust standard deviations (m,), and which stand out (m,)."""
    batch: Batch = make_batch([points], objective)
    fits = fit_curves(LAWS[law], batch.data, starts=STARTS)
    r, jacobian = (part[0] for part in residuals(LAWS[law], batch.data, fits.theta))
    relative, out = outliers(r, jacobian)
    return variance_test(r, jacobian, batch.data.z[0]), relative, np.asarray(out)


def _outliers(points: Points, law: str, options: FitOptions, name: str, relative: Array, out: Rows) -> Note:
    """Which runs stand out, and the law's parameters without them; nothing is dropped."""
    kept = np.ones(len(points), dtype=bool)
    kept[out] = False
    rest = points.only(kept)
    without: dict[str, float | None] = {}
    if rest.distinct_sizes > LAWS[law].k:
        plain = replace(options, predict=(), targets=(), window=0, hold_out=False, intervals=False)
        without = {key: one.value for key, one in fit_groups([rest], law, plain)[0].parameters.items()}
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
