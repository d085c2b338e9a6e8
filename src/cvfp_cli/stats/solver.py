"""Bounded Levenberg-Marquardt for many small least-squares problems at once, batched over data sets and starts."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

MAX_ITERATIONS = 200
# Two steps in a row that lower the cost by less than this share of it end a problem.
TOLERANCE = 1e-14


@dataclass(frozen=True)
class Evaluation:
    """Where P problems stand: the data's sum of squares and the whole cost (P,), J'r (P, k) and J'J (P, k, k)."""

    rss: Array
    cost: Array
    direction: Array
    gram: Array


class Problem(Protocol):
    """A batch of least-squares problems that share their number of unknowns."""

    def evaluate(self, theta: Array, rows: Rows) -> Evaluation:
        """Cost and normal equations of the problems at ``rows`` for unknowns ``theta``, shape (len(rows), k)."""
        ...

    def settle(self, theta: Array, rows: Rows) -> Array:
        """``theta`` with the unknowns that have a closed form put at their best values, given the others."""
        ...


@dataclass(frozen=True)
class Solution:
    """Unknowns (P, k), the data's own sum of squares (P,) and the whole cost (P,)."""

    theta: Array
    rss: Array
    cost: Array


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def minimise(
    problem: Problem,
    start: Array,
    lower: Array,
    upper: Array,
    *,
    rows: Rows | None = None,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Lower the cost of every problem from its own start, within its own box.

    Args:
        start, lower, upper: shape (S, k); an unknown whose bounds agree is held there.
        rows: the problem that each start belongs to, shape (S,); default 0 ... S-1.

    Returns:
        where each start ended, never above where it began.
    """
    which = np.arange(len(start)) if rows is None else rows
    theta = problem.settle(np.clip(start, lower, upper), which)
    at = problem.evaluate(theta, which)
    rss, cost, direction, gram = at.rss, at.cost.copy(), at.direction, at.gram
    damping, growth = np.full(len(start), 1e-3), np.full(len(start), 2.0)
    calm = np.zeros(len(start), dtype=np.int64)
    live = np.flatnonzero(np.isfinite(cost))
    diagonal = np.arange(start.shape[1])
    for _ in range(max_iterations):
        if live.size == 0:
            break
        # A trial may overflow; its cost is then not finite, and it is not taken.
        here, d, a = theta[live], direction[live], gram[live]
        low, high = lower[live], upper[live]
        # An unknown on its bound that would leave the box is held for this step.
        held = ((here <= low) & (d <= 0.0)) | ((here >= high) & (d >= 0.0))
        d = np.where(held, 0.0, d)
        a = np.where(held[:, :, None] | held[:, None, :], 0.0, a)
        own = a[:, diagonal, diagonal]
        a[:, diagonal, diagonal] = np.where(
            held | (own <= 0.0), 1.0, own * (1.0 + damping[live][:, None]) + 1e-300
        )
        # Scaled to a unit diagonal, so that the units of the unknowns do not matter to the solve.
        unit = 1.0 / np.sqrt(a[:, diagonal, diagonal])
        a *= unit[:, :, None] * unit[:, None, :]
        a[:, diagonal, diagonal] = 1.0 + 1e-15
        step = np.linalg.solve(a, (unit * d)[:, :, None])[:, :, 0] * unit
        trial = problem.settle(np.clip(here + step, low, high), which[live])
        new = problem.evaluate(trial, which[live])
        better = new.cost < cost[live]
        small = cost[live] - new.cost <= tolerance * cost[live]
        won = live[better]
        theta[won], rss[won], cost[won] = trial[better], new.rss[better], new.cost[better]
        direction[won], gram[won] = new.direction[better], new.gram[better]
        damping[live] = np.where(better, np.maximum(damping[live] * 0.2, 1e-12), damping[live] * growth[live])
        growth[live] = np.where(better, 2.0, growth[live] * 2.0)
        calm[live] = np.where(better & ~small, 0, calm[live] + (small & (better | (new.cost == cost[live]))))
        stuck = ~better & (np.max(np.abs(trial - here), axis=1) < 1e-12)
        live = live[~((calm[live] >= 2) | (damping[live] > 1e16) | stuck | (cost[live] < 1e-29))]
    return Solution(theta, rss, cost)
