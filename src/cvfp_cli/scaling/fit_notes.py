"""What the user is told of one fit: limits, what the data leave open, how little there is to judge by."""

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.laws.base import NEAR, Law, Limit
from cvfp_cli.laws.floored import CONSTANT
from cvfp_cli.laws.registry import LAWS
from cvfp_cli.notes import Note
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.global_fit import CurveFits
from cvfp_cli.scaling.result import Estimate
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.points import Points

NO_AICC = "no-aicc"
# Sizes within this factor hardly tell a slope.
NARROW = 1.1
# A line that changes ln y by less than this over all sizes is level to rounding.
FLAT = 1e-9


def fit_notes(
    law: Law,
    fits: CurveFits,
    batch: Batch,
    row: int,
    limit: Limit,
    df: Array,
    parameters: dict[str, Estimate],
) -> list[Note]:
    """Everything there is to say of one group's fit."""
    points = batch.groups[row]
    m, sizes, k = len(points), points.distinct_sizes, law.k
    name = f"{points.label}: {law.name}" if points.label else law.name
    # Seeds of a size share its samples, so that more of them are no further place to judge a curve at.
    help_line = "More sizes, or parameters shared across configurations (--share), would help."
    notes = []
    if limit.note is not None:
        message = limit.note.message
        if limit.law in LAWS:
            found = law.limiting_parameters(
                fits.theta[row], float(batch.scale.origin[row]), float(batch.scale.log_unit[row])
            )
            message += " There: " + ", ".join(f"{key} = {value:.4g}" for key, value in found.items()) + "."
        notes.append(Note(limit.note.code, message, limit.note.severity))
    notes += _break_at_end(law, name, points, parameters) if limit.law != CONSTANT else []
    notes += _undetermined(name, points, parameters, limit)
    if sizes < k:
        notes.append(
            Note(
                "underdetermined",
                f"{name} has {counted(k, 'parameter')} and {counted(sizes, 'size')}: many curves fit as well as this one. {help_line}",
                "warning",
            )
        )
    elif m <= k:
        notes.append(
            Note(
                "no-freedom",
                f"{name} has {counted(k, 'parameter')} and {counted(m, 'point')}: nothing is left to judge it by, and no interval exists. "
                f"{help_line}",
                "warning",
            )
        )
    elif sizes == k:
        notes.append(
            Note(
                "no-freedom",
                f"{name} has {counted(k, 'parameter')} and as many sizes: it passes through the mean of each, so how far "
                f"it misses a size cannot be seen, and no interval exists. {help_line}",
                "warning",
            )
        )
    elif df[row] == 1:
        notes.append(
            Note(
                "one-degree-of-freedom",
                f"{name} leaves one residual degree of freedom: its intervals are as wide as that makes them, "
                "and AIC cannot choose between laws.",
            )
        )
    if m - k - 2 <= 0:
        message = f"{name}: AICc does not exist with {counted(m, 'point')} and {counted(k, 'parameter')} (m - k - 2 = {m - k - 2})."
        notes.append(Note(NO_AICC, message))
    if law.slope and parameters[law.slope].value is not None:
        notes += _direction(law, name, points, fits.theta[row, 1], parameters[law.slope])
    if fits.tried > 4 and fits.agree[row] < 0.1:
        notes.append(
            Note(
                "starts-disagree",
                f"{name}: only {100 * fits.agree[row]:.0f} % of {fits.tried} starts reached the best optimum.",
                "warning",
            )
        )
    return notes


def _undetermined(name: str, points: Points, parameters: dict[str, Estimate], limit: Limit) -> list[Note]:
    """Which parameters have no value that the data determine, beyond those of a limit."""
    lost = [
        key for key, estimate in parameters.items() if estimate.value is None and key not in limit.endless
    ]
    if not lost:
        return []
    span = float(points.x.max() / points.x.min())
    near = f": the largest {points.x_name} is only {span:.9g} times the smallest" if span < NARROW else ""
    message = f"{name}: these data do not determine {', '.join(lost)}{near}."
    return [Note("undetermined", message, "warning", {"parameters": ", ".join(lost)})]


def _break_at_end(law: Law, name: str, points: Points, parameters: dict[str, Estimate]) -> list[Note]:
    """A break that ended at the smallest or the largest size."""
    d = parameters.get(law.break_at)
    if d is None or d.value is None or not d.at_bound:
        return []
    last = d.value > float(points.x.min()) * (1.0 + NEAR)
    beyond = ", so no point tells how the law goes on" if last else ""
    message = f"{name}: the break {law.break_at} lies at the {'largest' if last else 'smallest'} size, the edge of the data{beyond}."
    return [Note("break-at-end", message, "warning")]


def _direction(law: Law, name: str, points: Points, slope: float, alpha: Estimate) -> list[Note]:
    """What to say of a line that does not fall: it rises, or the data show no slope at all."""
    low, high = alpha.low, alpha.high
    level = abs(slope) * float(np.ptp(np.log(points.x))) < FLAT
    if level or (slope >= 0.0 and low is not None and high is not None and low <= 0.0 <= high):
        seen = (
            "does not vary"
            if level
            else f"shows neither a fall nor a rise (the interval of {law.slope} holds 0)"
        )
        return [Note("flat", f"{name}: {points.y_name} {seen} over these {points.x_name}.", "warning")]
    if slope > 0.0:
        return [
            Note(
                "rising",
                f"{name}: {points.y_name} rises with {points.x_name} ({law.slope} above 0).",
                "warning",
            )
        ]
    return []
