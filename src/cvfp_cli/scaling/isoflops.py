"""Runs of equal compute: the model size with the least loss at each budget, and how it grows from budget to budget.

The second approach of Hoffmann et al. (2022), with a cubic of ln L over ln N in place of their parabola: a loss that falls
as powers of N and of C / N is not even about its least, and a parabola's least is off by that. The interval of the least
is Fieller's: the sizes at which the cubic's slope is not told from 0. It is open where that set reaches the last run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cvfp_cli.scaling.result import Estimate
from cvfp_cli.stats.estimate import range_json
from cvfp_cli.stats.regression import least_squares, t_quantile
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.points import Points
from cvfp_cli.study.units import YUnit, loss_of, required_unit, y_of

SAME = 1.1  # operations within this factor are one budget
LEAST_SIZES = 5  # model sizes of a budget: a cubic has four coefficients
HALVINGS = 40
STEPS = 400  # of the grid on which an interval's ends are looked for


@dataclass(frozen=True)
class Profile:
    """The runs of one budget.

    Attributes:
        budget: mean C. runs, sizes: how many, and of how many model sizes. model_size, x: N and D with the least loss.
        y: there. reason: why there is none; empty otherwise.
    """

    budget: float
    runs: int
    sizes: int
    model_size: Estimate | None = None
    x: Estimate | None = None
    y: float | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return {
            **vars(self),
            "model_size": range_json(self.model_size),
            "x": range_json(self.x),
        }


@dataclass(frozen=True)
class Grown:
    """A size at a budget by the power law through the profiles."""

    budget: float
    model_size: Estimate
    x: Estimate

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        sizes = {"model_size": self.model_size.range_json(), "x": self.x.range_json()}
        return {"budget": self.budget, **sizes}


@dataclass(frozen=True)
class IsoFlops:
    """The profiles of runs that share a law, and the power laws of N and D over C.

    Attributes:
        config: whose runs. x_name, y_name: the columns. level: of every interval.
        model_size, x: exponents over C; None with fewer than two budgets. budgets: the sizes at those asked for.
    """

    config: str
    x_name: str
    y_name: str
    level: float
    profiles: tuple[Profile, ...]
    model_size: Estimate | None = None
    x: Estimate | None = None
    budgets: tuple[Grown, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return {
            "config": self.config,
            "level": self.level,
            "profiles": [profile.to_json() for profile in self.profiles],
            "model_size_exponent": range_json(self.model_size),
            "x_exponent": range_json(self.x),
            "budgets": [grown.to_json() for grown in self.budgets],
        }


def isoflops(groups: Sequence[Points], label: str, budgets: Sequence[float], level: float) -> IsoFlops | None:
    """The profiles of all runs of these groups; None where they have no operations or no budget has enough model sizes."""
    parts = [(points.parameters, points.x, points.y, points.flops) for points in groups]
    if any(column is None for part in parts for column in part):
        return None
    n, d, y, c = (np.concatenate(column) for column in zip(*parts, strict=True))
    unit = required_unit(groups[0].y_unit, groups[0].y_name)
    order = np.lexsort((n, c))
    n, d, y, c = n[order], d[order], y[order], c[order]
    ends = np.flatnonzero(np.diff(np.log(c)) > 0.5 * np.log(SAME)) + 1
    profiles = [
        _profile(c[at], n[at], d[at], y[at], unit, level)
        for at in np.split(np.arange(len(c)), ends)
        if c[at[-1]] <= SAME * c[at[0]] and len(np.unique(n[at])) >= LEAST_SIZES
    ]
    if not profiles:
        return None
    found = IsoFlops(label, groups[0].x_name, groups[0].y_name, level, tuple(profiles))
    return _grown(found, budgets)


def _profile(c: Array, n: Array, d: Array, y: Array, unit: YUnit, level: float) -> Profile:
    """The least of the cubic through the runs of one budget."""
    budget, runs, sizes = float(np.exp(np.log(c).mean())), len(n), len(np.unique(n))
    loss = loss_of(y, unit)
    if loss.min() <= 0.0:
        return Profile(budget, runs, sizes, reason="a loss of 0 or less has no logarithm")
    centre = float(np.log(n).mean())
    z = np.log(n) - centre
    fit = least_squares(np.stack([z**i for i in range(4)], axis=1), np.log(loss), level=level)
    b = fit.values
    lowest, highest = float(z.min()), float(z.max())

    def slope(at: float) -> float:
        return float(b[1] + 2.0 * b[2] * at + 3.0 * b[3] * at * at)

    flat = np.roots([3.0 * b[3], 2.0 * b[2], b[1]])
    flat = flat[np.isreal(flat)].real
    least = [at for at in flat if lowest < at < highest and b[2] + 3.0 * b[3] * at > 0.0]
    if not least:
        side = "largest" if slope(highest) < 0.0 else "smallest"
        return Profile(budget, runs, sizes, reason=f"the loss is still falling towards the {side} model")
    middle = float(least[0])

    def doubt(at: float) -> float:
        """Below 0 where the slope is not told from 0."""
        row = np.array([0.0, 1.0, 2.0 * at, 3.0 * at * at])
        error = float(row @ fit.inverse_gram @ row) * (fit.variance or 0.0)
        return slope(at) ** 2 - t_quantile(level, fit.df) ** 2 * error

    low, high = (_end(doubt, middle, end) if fit.df else None for end in (lowest, highest))
    line = np.polyfit(z, np.log(d), 1)

    def model_size(at: float) -> float:
        return float(np.exp(at + centre))

    def tokens(at: float) -> float:
        return float(np.exp(np.polyval(line, at)))

    there = float(y_of(np.array(np.exp(np.polyval(b[::-1], middle))), unit))
    size = Estimate(middle, low, high).map(model_size)
    ends = (None if end is None else tokens(end) for end in (high, low))
    data = Estimate(tokens(middle), next(ends), next(ends))
    return Profile(budget, runs, sizes, size, data, there)


def _end(doubt: Callable[[float], float], middle: float, last: float) -> float | None:
    """Where doubt ends between the least and the last run; None where it does not."""
    before = middle
    for at in np.linspace(middle, last, STEPS)[1:]:
        if doubt(float(at)) > 0.0:
            return _crossing(doubt, before, float(at))
        before = float(at)
    return None


def _crossing(doubt: Callable[[float], float], inside: float, outside: float) -> float:
    """Where doubt ends between two near places, by halving: scipy.optimize takes longer to import."""
    for _ in range(HALVINGS):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if doubt(middle) <= 0.0 else (inside, middle)
    return inside


def _grown(found: IsoFlops, budgets: Sequence[float]) -> IsoFlops:
    """With the power laws through the leasts, each budget counting once."""
    known = [profile for profile in found.profiles if profile.model_size and profile.x]
    if len(known) < 2:
        return found
    log_c = np.log([profile.budget for profile in known])
    centre = float(log_c.mean())
    exponents, there = [], []
    for name in ("model_size", "x"):
        sizes = np.log([getattr(profile, name).known for profile in known])
        fit = least_squares(np.column_stack([np.ones_like(log_c), log_c - centre]), sizes, level=found.level)
        exponents.append(fit.coefficients[1])
        at = [fit.contrast([1.0, np.log(budget) - centre]) for budget in budgets]
        there.append([estimate.map(lambda end: float(np.exp(min(end, 700.0)))) for estimate in at])
    grown = tuple(Grown(*row) for row in zip(budgets, *there, strict=True))
    return replace(found, model_size=exponents[0], x=exponents[1], budgets=grown)
