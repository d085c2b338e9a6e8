"""What the residuals say of a fit's assumptions: unequal errors, an objective they contradict, runs that stand out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from cvfp_cli.stats.robust import outliers, strays, variance_test
from cvfp_cli.stats.size_errors import SizeErrors, size_errors
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points

# Chance that any group of a study is told of unequal errors where there are none.
SIGNIFICANCE = 0.05
# The other objective is called the better one only where its own residuals show no trend at all.
EVEN = 0.2
# The tests take the cube of the points; larger tables are not tested.
MOST_POINTS = 500
MOST_NAMED = 3
# So many standard deviations say no more than that it is far.
MOST_SD = 1000
STARTS = 8


@dataclass(frozen=True)
class StandsOut:
    """What stands out from a law: runs, and sizes of several runs as a whole.

    Attributes:
        relative: the distance of each run in standard deviations, (m,).
        strays: runs that differ from the other runs of their size, (m,). off: runs of sizes that lie off the curve, (m,).
        size: the index of each run's size, (m,).
    """

    relative: Array
    strays: Flags
    off: Flags
    size: Rows

    @property
    def out(self) -> Flags:
        """All runs concerned, (m,)."""
        return self.strays | self.off

    @property
    def count(self) -> int:
        """How many runs and sizes there are to name; the runs of a size are named once."""
        return int(np.sum(self.strays)) + len(np.unique(self.size[self.off]))


def check_groups(
    groups: Sequence[Points],
    fits: dict[str, tuple[Fit, ...]],
    options: FitOptions,
    constraint: Constraint = FREE,
) -> tuple[Note, ...]:
    """Notes on each group's residuals about the law that fits it best by AIC among those that it can test.

    That AIC counts the means of the sizes, as the mixture's weights do.

    Args:
        fits: of the laws of one variable, by law. constraint: what they were fitted under; nothing of it is shared.
    """
    notes: list[Note] = []
    for points in groups:
        able = [
            (fit.means.aic(fit.k), fit.law)
            for each in fits.values()
            for fit in each
            if fit.config == points.label
            and fit.aic is not None
            and fit.means is not None
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


def standing_out(points: Points, law: str, objective: str, constraint: Constraint) -> StandsOut:
    """What stands out from a law in one group.

    Runs that differ from the other runs of their size come first, and the sizes are judged without them: one run that
    is off would make its size so.
    """
    parts = _residuals(points, law, objective, constraint)
    errors = _by_size(points, parts)
    size, weight = points.size_index, points.relative_weights
    relative, alone = np.zeros(len(points)), np.zeros(len(points), dtype=bool)
    if errors.within_df[0] > 0:
        r = parts[0]
        mean = errors.residual[0] / np.sqrt(np.bincount(size, weight))
        h = errors.leverage[0]
        away = r / np.sqrt(weight) + (mean * h / (1.0 - h))[size]
        relative, alone = strays(r, weight, size, away)
        if np.any(alone):
            errors = _errors(_without(points, alone), law, objective, constraint)
    of_size, out = outliers(*errors.even()[:2])
    # No size loses all of its runs above, so that their indices stay.
    off = out[size] & ~alone
    return StandsOut(np.where(alone, relative, of_size[size]), alone, off, size)


def _check(
    points: Points, law: str, options: FitOptions, constraint: Constraint, significance: float
) -> list[Note]:
    name = f"{points.label}: {law}" if points.label else law
    found = standing_out(points, law, options.objective, constraint)
    # Runs of one size share its error: as many looks at it as there are sizes, however many seeds there are.
    kept = _without(points, found.strays)
    test = variance_test(*_errors(kept, law, options.objective, constraint).even())
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
        swapped = variance_test(*_errors(kept, law, other, constraint).even())
        if swapped.p_value is not None and swapped.p_value > EVEN:
            scale = {"log": "relative", "ppl": "absolute"}[other]
            message += f" Their {scale} size is even: --objective {other} suits them."
            values["objective"] = other
        notes.append(Note("unequal-variance", message, values=values))
    if found.count:
        notes.append(_outliers(points, law, options, constraint, name, found))
    return notes


def _without(points: Points, out: Flags) -> Points:
    return points.only(~out) if np.any(out) else points


def _errors(points: Points, law: str, objective: str, constraint: Constraint) -> SizeErrors:
    """What the residuals about a law say of its errors, by size."""
    return _by_size(points, _residuals(points, law, objective, constraint))


def _by_size(points: Points, parts: tuple[Array, Array, Array]) -> SizeErrors:
    """The same, of what ``_residuals`` gave."""
    r, jacobian, z = (part[None] for part in parts)
    return size_errors(r, jacobian, points.relative_weights[None], points.size_index[None], z)


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
    points: Points, law: str, options: FitOptions, constraint: Constraint, name: str, found: StandsOut
) -> Note:
    """What stands out, and the law's parameters without it; nothing is dropped."""
    rest = points.only(~found.out)
    without: dict[str, float | None] = {}
    if testable(rest, law, constraint):
        plain = replace(options, predict=(), targets=(), window=0, hold_out=False, intervals=False)
        fit = fit_constrained([rest], law, constraint, plain)[0]
        without = {key: one.value for key, one in fit.parameters.items()}
    first = [int(np.flatnonzero(found.size == g)[0]) for g in np.unique(found.size[found.off])]
    runs = np.bincount(found.size)
    several = [i for i in first if runs[found.size[i]] > 1]
    places = [f"{points.x_name} {size(float(x))}" for x in points.x]
    named = {i: places[i] for i in first}
    named |= {
        int(i): f"{places[i]}, one of {counted(int(runs[found.size[i]]), 'run')}"
        for i in np.flatnonzero(found.strays)
    }
    by = "; in robust standard deviations of the residuals"
    if len(first) < len(named):
        by = "; in standard deviations of the runs of a size about its mean"
        by += ", and of the sizes about the law" if first else ""
    return outlier_note(
        name,
        law,
        [(place, float(found.relative[i])) for i, place in named.items()],
        len(points),
        without,
        sizes=(len(several), len(runs)),
        by=by,
    )


def outlier_note(
    name: str,
    law: str,
    named: Sequence[tuple[str, float]],
    runs: int,
    without: Mapping[str, float | None],
    *,
    sizes: tuple[int, int] = (0, 0),
    by: str = "; in robust standard deviations of the residuals",
) -> Note:
    """What stands out, the farthest first, and the parameters of a fit without it.

    Args:
        name: what the note begins with. named: what stands out, with its distance in standard deviations. runs: of all.
        without: values by name; empty where too few runs are left.
        sizes: how many of what stands out are sizes of several runs, and of how many. by: what the distances are.
    """
    order = sorted(named, key=lambda one: -abs(one[1]))
    listed = ", ".join(f"{place} ({_distance(sd)})" for place, sd in order[:MOST_NAMED])
    more = f" and {len(order) - MOST_NAMED} more" if len(order) > MOST_NAMED else ""
    shown = ", ".join(f"{key} = {figure(value)}" for key, value in without.items())
    rest = f" Without {agreeing(len(order), 'it', 'them')}: {shown}." if shown else ""
    single = len(order) - sizes[0]
    what = [f"{counted(single, 'run')} of {runs}"] if single else []
    what += [f"{counted(sizes[0], 'size')} of {sizes[1]}"] if sizes[0] else []
    message = (
        f"{name}: {' and '.join(what)} {agreeing(len(order), 'stands', 'stand')} out: {listed}{more}{by}.{rest} "
        "Nothing was left out."
    )
    values = {"law": law, "runs": single, "of": runs, **({"sizes": sizes[0]} if sizes[0] else {})}
    return Note("outliers", message, "warning", values)


def _distance(sd: float) -> str:
    """A distance in standard deviations; of a very large one that it is."""
    if abs(sd) > MOST_SD:
        return f"more than {MOST_SD:,} sd {'above' if sd > 0 else 'below'}"
    return f"{sd:+.0f} sd"
