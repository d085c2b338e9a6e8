"""Where the intervals of a joint fit come from, and every parameter with its own or the reason why it has none.

Error components serve where an interval stays within what the law allows, profiles of the Huber loss where one would
leave it, and runs drawn again where many share no data size with one another (see ``joint_errors``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cvfp_cli.laws.surface import ALPHA, BETA
from cvfp_cli.scaling.joint import JointData, JointFit, bootstrap_joint, user_values
from cvfp_cli.scaling.joint_errors import (
    ENOUGH_RUNS,
    MET,
    NO_RUNS,
    REPLICATES,
    UNSEEN,
    JointErrors,
    joint_errors,
    parameter_rows,
)
from cvfp_cli.scaling.joint_profile import Ends, design_flaws, parameter_ends
from cvfp_cli.scaling.joint_runs import JointRuns
from cvfp_cli.scaling.numbers import ROUNDING, rounded_off
from cvfp_cli.scaling.result import Estimate
from cvfp_cli.stats.error_model import Flags
from cvfp_cli.stats.solver import Array

# What a parameter without a value says in its place, by reason.
REASONS = {
    "few-runs": "fewer runs than parameters",
    "two-model-sizes": "fewer than three model sizes",
    "two-data-sizes": "fewer than three data sizes",
    "fixed-ratio": "data size follows from model size",
    "same-passes": "all runs passed over the data equally often",
    "unbounded": "no value is ruled out",
}
NEAR = 1e-9  # a coordinate this near to a bound of the law is on it
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class JointIntervals:
    """What the intervals of one joint fit are made from.

    Attributes:
        errors: of the fit's figures; None without degrees of freedom. flaws: parameters that the runs leave undetermined,
            by reason. unseen: those with an error that the residuals say nothing of.
        draws: bootstrap refits in the fit's coordinates, (R, k), or None. ends: of profiles, by parameter, or None.
    """

    data: JointData
    fit: JointFit
    level: float
    errors: JointErrors | None
    flaws: Mapping[str, tuple[str, ...]]
    unseen: frozenset[str]
    draws: Array | None
    ends: Mapping[str, Ends] | None

    @classmethod
    def of(cls, fit: JointFit, runs: JointRuns, level: float, replicates: int, seed: int) -> "JointIntervals":
        """Choose the kind of interval: the bootstrap where ``replicates`` ask for it."""
        data, m = runs.data, len(runs.y)
        flaws, rows = _flaws(data), parameter_rows(data)
        errors = joint_errors(fit, data, runs.size, runs.model)
        flawed = {name for names in flaws.values() for name in names}
        unseen = {name for name, row in rows.items() if errors is not None and errors.unseen(row)} - flawed
        ends = None
        if not replicates and errors is not None and not errors.by_size and not flaws and m >= ENOUGH_RUNS:
            replicates = REPLICATES
        elif not replicates and errors is not None and _leaves_the_law(fit, data, errors, flaws, level):
            rises = {
                name: errors.allowed(row, level)
                for name, row in rows.items()
                if not data.held.fixed[data.law.coordinate[name]]
            }
            ends = parameter_ends(data, fit, rises, flawed=flawed | unseen)
            ends |= dict.fromkeys(unseen, Ends(None, None))
        draws = bootstrap_joint(data, fit, replicates, seed) if replicates else None
        return cls(data, fit, level, errors, flaws, frozenset(unseen), draws, ends)

    @property
    def method(self) -> str:
        """What the intervals are, in words."""
        if self.fit.noise is None:
            return "none"
        if self.draws is not None:
            return "case bootstrap"
        return "error components (M-estimate)" if self.ends is None else "profile of the Huber loss"

    @property
    def untold(self) -> str:
        """Why nothing of this fit has an interval; empty where the fit has some."""
        if self.draws is not None or self.errors is not None:
            return ""
        return NO_RUNS if len(self.fit.residuals) <= self.data.held.k else MET

    @property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """Which parameters have no value, by reason."""
        flawed = {name for names in self.flaws.values() for name in names}
        free = tuple(
            name
            for name, at in self.data.law.coordinate.items()
            if self.ends is not None
            and self.ends[name].free
            and name not in flawed
            and not self.data.held.fixed[at]
        )
        return dict(self.flaws) | ({"unbounded": free} if free else {})

    def parameters(self) -> dict[str, Estimate]:
        """Every parameter with its interval, or why it has no value."""
        fit, data, law = self.fit, self.data, self.data.law
        why = {name: reason for reason, names in self.reasons.items() for name in names}
        values, intervals = user_values(fit.theta[None], data)[0], self._intervals()
        result = {}
        for i, name in enumerate(law.parameters):
            if name in why:
                result[name] = Estimate(None, reason=REASONS[why[name]])
                continue
            value = float(np.exp(values[i])) if name in law.positive else float(values[i])
            low, high = intervals[name]
            if name == "E":
                least = ROUNDING * float(np.exp(np.min(data.log_loss)))
                low, high = rounded_off(low, least), rounded_off(high, least)
                value = 0.0 if value < least else value
            bound = bool(at_bounds(fit, data)[law.coordinate[name]])
            reason = UNSEEN if name in self.unseen and self.draws is None else self.untold
            result[name] = Estimate(value, low, high, at_bound=bound, reason=reason)
        return result

    def _intervals(self) -> dict[str, Interval]:
        if self.draws is not None:
            return _percentiles(self.draws, self.data, self.level)
        if self.ends is not None:
            return {name: (self.ends[name].low, self.ends[name].high) for name in self.data.law.parameters}
        return self._asymptotic()

    def _asymptotic(self) -> dict[str, Interval]:
        law = self.data.law
        result: dict[str, Interval] = {}
        values = user_values(self.fit.theta[None], self.data)[0]
        for (name, row), value in zip(parameter_rows(self.data).items(), values, strict=True):
            width = float("nan") if self.errors is None else self.errors.half_width(row, self.level)
            if not np.isfinite(width):
                result[name] = (None, None)
                continue
            low, high = value - width, value + width
            if name in law.positive:
                low, high = np.exp(low), np.exp(high)
            result[name] = (max(float(low), 0.0), float(high))
        return result


def at_bounds(fit: JointFit, data: JointData) -> Flags:
    """Which coordinates lie on a bound of what the law allows, (k,)."""
    return np.asarray((fit.theta <= data.law.lower + NEAR) | (fit.theta >= data.law.upper - NEAR))


def _flaws(data: JointData) -> dict[str, tuple[str, ...]]:
    """As ``design_flaws``; with fewer different runs than parameters nothing is determined."""
    pairs = len(np.unique(np.column_stack([data.u, data.v]), axis=0))
    free = tuple(name for name, at in data.law.coordinate.items() if not data.held.fixed[at])
    return {"few-runs": free} if pairs < data.held.k else design_flaws(data)


def _leaves_the_law(
    fit: JointFit, data: JointData, errors: JointErrors, flaws: Mapping[str, tuple[str, ...]], level: float
) -> bool:
    """Whether an asymptotic interval would leave what the law allows, so that it says nothing."""
    lower, upper = data.law.lower, data.law.upper
    bound = at_bounds(fit, data) & ~data.held.fixed
    if flaws or not fit.determined or np.any(bound[1:]):
        return True
    reach = np.array([errors.half_width(row, level) for row in np.eye(data.law.k)])
    exponents = 3 + np.flatnonzero(~data.held.fixed[3:])
    lowest = np.min(data.log_loss - fit.residuals)
    return bool(
        np.any(fit.theta[exponents] - reach[exponents] <= lower[exponents])
        or np.any(fit.theta[exponents] + reach[exponents] >= upper[exponents])
        or (not data.held.fixed[0] and np.exp(fit.theta[0]) + reach[0] >= np.exp(lowest))
    )


def _percentiles(draws: Array, data: JointData, level: float) -> dict[str, Interval]:
    """Ends over refits; one at the steepest exponent that the law allows, or at its amplitude, is open."""
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(user_values(draws, data), [tail, 1.0 - tail], axis=0)
    result: dict[str, Interval] = {}
    law = data.law
    for i, name in enumerate(law.parameters):
        steepest = {"A": ALPHA, "B": BETA}.get(name, law.coordinate[name])
        at = i if name in law.further else {"A": 2, "B": 4}.get(name, i)
        open_end = name != "E" and high[at] >= law.upper[steepest] - 1e-6
        ends = np.exp(np.array([low[i], min(high[i], 700.0)])) if name in law.positive else (low[i], high[i])
        result[name] = (float(ends[0]), None if open_end else float(ends[1]))
    return result
