"""Profile-likelihood intervals, traced for many data sets, figures and sides at once.

The profile of a figure is the smallest sum of squares at each of its values; the interval holds the values whose
profile stays below ``RSS + delta`` with ``delta = F(1, df) * variance`` (Bates and Watts 1988, chapter 6). A
prediction interval is found by the same walk: a new measurement belongs to it as long as the fit to the data and
that measurement together stays below the same threshold, which for a straight line is the t prediction interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.laws.quantities import Bound, Quantity
from cvfp_cli.scaling.curves import CoordinateMap, PseudoObservation
from cvfp_cli.stats.solver import Array, Problem, Rows, minimise

MAX_WALK = 36
# An end is found when the root of the profile's rise agrees with the threshold's to this share.
PRECISION = 1e-4
ITERATIONS = 60
# An outer point this far above the threshold may be a local minimum; it is solved again from the last inner point.
DOUBTFUL = 0.25


class RefittableBatch(Protocol):
    """A batch of P fitted problems that can be posed again under a constraint or with one more measurement."""

    @property
    def theta(self) -> Array:
        """Where each fit ended, (P, k)."""

    @property
    def rss(self) -> Array:
        """Its sum of squares, (P,)."""

    @property
    def lower(self) -> Array:
        """Lower bounds, (P, k)."""

    @property
    def upper(self) -> Array:
        """Upper bounds, (P, k)."""

    def pose(self, rows: Rows, constraint: CoordinateMap | None, pseudo: PseudoObservation | None) -> Problem:
        """The problems at ``rows`` (repeats allowed), each with its own entry of the constraint or the measurement."""

    def starts(self) -> Array:
        """Further starting points of each problem, shape (P, S, k)."""


@dataclass(frozen=True)
class Interval:
    """Ends of one figure for P problems in the user's unit, each (P,); NaN where open."""

    low: Array
    high: Array


@dataclass
class _Walks:
    """One walk for each figure, problem and side; arrays of length N. ``g`` is root(rise / delta) - 1."""

    problem: Rows
    quantity: NDArray[np.int64]
    sign: Array
    delta: Array
    start: Array
    t_in: Array
    g_in: Array
    theta_in: Array
    t_out: Array
    g_out: Array
    theta_out: Array
    step: Array
    bound: NDArray[np.bool_]  # t_out is a bound, fitted on its own
    doubt: NDArray[
        np.bool_
    ]  # t_out was solved from afar and is to be solved again from the nearest inner point
    checked: Array  # width of the bracket when t_out was last solved
    end: Array  # user's value where a bound is reached; NaN open; +inf still walking or ended within


def held_fits(
    family: RefittableBatch, bounds: Sequence[Bound]
) -> dict[tuple[int, float], tuple[Array, Array]]:
    """Best fit with a coordinate held on its bound: RSS (P,) and theta (P, k), for every different bound."""
    found: dict[tuple[int, float], tuple[Array, Array]] = {}
    starts = np.concatenate([family.theta[:, None, :], family.starts()], axis=1)
    problems, count, k = starts.shape
    rows = np.repeat(np.arange(problems), count)
    problem = family.pose(np.arange(problems), None, None)
    for bound in bounds:
        key = (bound.coordinate, bound.at)
        if key in found:
            continue
        lower, upper = family.lower[rows], family.upper[rows]
        lower[:, bound.coordinate] = upper[:, bound.coordinate] = bound.at
        got = minimise(
            problem, starts.reshape(-1, k), lower, upper, rows=rows, max_iterations=ITERATIONS, tolerance=1e-9
        )
        rss = got.rss.reshape(problems, count)
        best = rss.argmin(axis=1)
        theta = got.theta.reshape(problems, count, k)[np.arange(problems), best]
        found[key] = (rss[np.arange(problems), best], theta)
    return found


def _begin(family: RefittableBatch, delta: Array, quantities: Sequence[Quantity]) -> _Walks:
    """Both walks of every figure, with bounds already compared with the threshold."""
    problems, count = len(family.theta), len(quantities)
    half, centre = half_widths(family, delta, quantities)
    problem = np.tile(np.repeat(np.arange(problems), 2), count)
    quantity = np.repeat(np.arange(count), 2 * problems)
    size = len(problem)
    walks = _Walks(
        problem=problem,
        quantity=quantity,
        sign=np.tile([-1.0, 1.0], problems * count),
        delta=delta[quantity, problem],
        start=centre[quantity, problem],
        t_in=centre[quantity, problem],
        g_in=np.full(size, -1.0),
        theta_in=family.theta[problem],
        t_out=np.full(size, np.nan),
        g_out=np.full(size, np.nan),
        theta_out=family.theta[problem],
        step=half[quantity, problem],
        bound=np.zeros(size, dtype=np.bool_),
        doubt=np.zeros(size, dtype=np.bool_),
        checked=np.full(size, np.inf),
        end=np.full(size, np.inf),
    )
    bounds = [bound for q in quantities for bound in (q.low, q.high) if bound is not None]
    held = held_fits(family, bounds) if bounds else {}
    for index, q in enumerate(quantities):
        for bound, direction in ((q.low, -1.0), (q.high, 1.0)):
            if bound is None:
                continue
            rss, theta = held[bound.coordinate, bound.at]
            rise = np.maximum(rss - family.rss, 0.0)
            mask = (quantity == index) & (walks.sign == direction)
            reached = (rise <= delta[index])[problem[mask]]
            walks.end[mask] = np.where(reached, np.nan if bound.end is None else bound.end, np.inf)
            if np.isfinite(bound.t):
                walks.bound[mask] = ~reached
                walks.t_out[mask] = np.where(reached, np.nan, bound.t)
                walks.g_out[mask] = np.where(
                    reached, np.nan, np.sqrt(rise / delta[index])[problem[mask]] - 1.0
                )
                walks.theta_out[mask] = theta[problem[mask]]
    return walks


def half_widths(family: RefittableBatch, delta: Array, quantities: Sequence[Quantity]) -> tuple[Array, Array]:
    """Linear half-width and value of every figure, (Q, P) each, from the curvature at the optimum."""
    every = np.arange(len(family.theta))
    gram = family.pose(every, None, None).evaluate(family.theta, every).gram
    unit = 1.0 / np.sqrt(np.maximum(np.einsum("pkk->pk", gram), 1e-12))
    scaled = gram * unit[:, :, None] * unit[:, None, :] + 1e-9 * np.eye(gram.shape[1])
    half, centre = [], []
    for q, allowed in zip(quantities, delta, strict=True):
        value, gradient = q.functional(family.theta, every)
        solved = np.linalg.solve(scaled, (gradient * unit)[:, :, None])[:, :, 0]
        variance = np.einsum("pk,pk->p", solved, gradient * unit) + (
            1.0 / q.weight if q.hold is None else 0.0
        )
        width = np.sqrt(np.maximum(allowed * variance, 0.0))
        largest = 0.5 * (1.0 + np.abs(value))
        half.append(np.where(np.isfinite(width) & (width > 1e-9), np.minimum(width, largest), largest))
        centre.append(value)
    return np.array(half), np.array(centre)


class _Tracer:
    """Points of the profiles: solves many held or measured fits at once, each of its own figure."""

    def __init__(
        self, family: RefittableBatch, quantities: Sequence[Quantity], problem: Rows, quantity: Rows
    ) -> None:
        self.family, self.quantities = family, quantities
        self.problem, self.quantity = problem, quantity
        self.target = np.zeros(len(problem))
        measured = np.array([q.hold is None for q in quantities])[quantity]
        weight = np.array([q.weight for q in quantities])[quantity]
        pseudo = PseudoObservation(self._functional, self.target, np.where(measured, weight, 0.0))
        self.posed = family.pose(problem, self._constrain, pseudo if measured.any() else None)

    def _constrain(self, unknowns: Array, rows: Rows) -> tuple[Array, Array]:
        theta = unknowns.copy()
        by_unknown = np.tile(np.eye(unknowns.shape[1]), (len(unknowns), 1, 1))
        for index, q in enumerate(self.quantities):
            mask = self.quantity[rows] == index
            if q.hold is not None and mask.any():
                at = rows[mask]
                theta[mask], by_unknown[mask] = q.hold(unknowns[mask], self.target[at], self.problem[at])
        return theta, by_unknown

    def _functional(self, theta: Array, rows: Rows) -> tuple[Array, Array]:
        value, gradient = np.zeros(len(theta)), np.zeros_like(theta)
        for index, q in enumerate(self.quantities):
            mask = self.quantity[rows] == index
            if q.hold is None and mask.any():
                value[mask], gradient[mask] = q.functional(theta[mask], self.problem[rows[mask]])
        return value, gradient

    def solve(self, rows: Rows, t: Array, starts: Sequence[Array]) -> tuple[Array, Array]:
        """The profile at ``t``: the cost above the optimum (R,), and the coordinates there (R, k)."""
        self.target[rows] = t
        lower, upper = self.family.lower[self.problem[rows]], self.family.upper[self.problem[rows]]
        begin = [start.copy() for start in starts]
        for index, q in enumerate(self.quantities):
            mask = self.quantity[rows] == index
            if q.enter is not None:
                for start in begin:
                    start[mask] = q.enter(start[mask], t[mask], self.problem[rows[mask]])
        times = len(begin)
        got = minimise(
            self.posed,
            np.concatenate(begin),
            np.tile(lower, (times, 1)),
            np.tile(upper, (times, 1)),
            rows=np.tile(rows, times),
            max_iterations=ITERATIONS,
            tolerance=1e-9,
        )
        cost = got.cost.reshape(times, len(rows))
        best = cost.argmin(axis=0)
        unknowns = got.theta.reshape(times, len(rows), -1)[best, np.arange(len(rows))]
        theta, _ = self._constrain(unknowns, rows)
        return cost[best, np.arange(len(rows))] - self.family.rss[self.problem[rows]], theta


def linear_intervals(family: RefittableBatch, delta: Array, quantities: Sequence[Quantity]) -> list[Interval]:
    """Intervals of figures that are linear in the coordinates of a straight line: the t intervals, exactly."""
    every = np.arange(len(family.theta))
    inverse = np.linalg.inv(family.pose(every, None, None).evaluate(family.theta, every).gram)
    result = []
    for q, allowed in zip(quantities, np.broadcast_to(delta, (len(quantities), len(every))), strict=True):
        value, gradient = q.functional(family.theta, every)
        variance = np.einsum("pi,pij,pj->p", gradient, inverse, gradient) + (1.0 if q.hold is None else 0.0)
        half = np.sqrt(allowed * variance)
        ends = (q.user(value - half, every), q.user(value + half, every))
        result.append(Interval(*(ends[::-1] if q.falling else ends)))
    return result


def intervals(family: RefittableBatch, delta: Array, quantities: Sequence[Quantity]) -> list[Interval]:
    """Interval of every figure for every problem.

    Args:
        delta: allowed rise of the sum of squares above its minimum, above 0: one a problem (P,), or one a figure
            and problem (Q, P).
    """
    walks = _begin(family, np.broadcast_to(delta, (len(quantities), len(family.theta))), quantities)
    tracer = _Tracer(family, quantities, walks.problem, walks.quantity)
    farthest = np.array([q.farthest for q in quantities])[walks.quantity]
    vanishing = np.array([np.nan if q.vanishing is None else q.vanishing for q in quantities])[walks.quantity]
    on = np.flatnonzero(np.isposinf(walks.end))
    for turn in range(MAX_WALK):
        if on.size == 0:
            break
        t = _next(walks, on, turn)
        rise, theta = tracer.solve(on, t, (walks.theta_in[on], walks.theta_out[on]))
        g = np.sqrt(np.maximum(rise, 0.0) / walks.delta[on]) - 1.0
        close = np.abs(g) < PRECISION
        out = (g > 0.0) & ~close
        w_out, w_in = on[out], on[~out]
        again = w_in[t[~out] == walks.t_out[w_in]]
        # The outer point was a false minimum: nothing bounds the walk yet.
        walks.step[again] = np.abs(walks.t_out[again] - walks.t_in[again])
        walks.t_out[again] = np.nan
        walks.bound[w_out] = False
        walks.t_out[w_out], walks.g_out[w_out], walks.theta_out[w_out] = t[out], g[out], theta[out]
        walks.t_in[w_in], walks.g_in[w_in], walks.theta_in[w_in] = t[~out], g[~out], theta[~out]
        width = np.abs(walks.t_out[on] - walks.t_in[on])
        walks.checked[w_out] = width[out]
        far_out = (walks.g_out[on] > DOUBTFUL) & ~walks.bound[on] & np.isfinite(walks.t_out[on])
        walks.doubt[on] = ~out & far_out & (width < 0.2 * walks.checked[on])
        # While inside, the next step aims past the threshold; a profile that has gone flat is crossed in strides.
        walks.step[on] *= np.where(out, 1.0, np.clip(1.4 / np.maximum(g + 1.0, 0.05) - 0.4, 0.6, 8.0))
        walks.step[on] *= np.where(~out & (turn > 6), 1.5, 1.0)
        narrow = width <= 1e-9 * (1e-3 + np.abs(walks.t_in[on]))
        far = ~np.isfinite(walks.t_out[on]) & (np.abs(walks.t_in[on] - walks.start[on]) > farthest[on])
        walks.end[on[far]] = np.where(walks.sign[on[far]] < 0, vanishing[on[far]], np.nan)
        on = on[~(close | narrow | far)]
    endless = on[~np.isfinite(walks.t_out[on])]
    walks.end[endless] = np.where(walks.sign[endless] < 0, vanishing[endless], np.nan)
    return _collect(walks, quantities)


def _next(walks: _Walks, on: Rows, turn: int) -> Array:
    """Where each walk looks next: a step outwards, or a secant within its bracket."""
    t_in, t_out, g_in, g_out = walks.t_in[on], walks.t_out[on], walks.g_in[on], walks.g_out[on]
    bracketed = np.isfinite(t_out)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip(-g_in / (g_out - g_in), 0.01, 0.99)
    # A far outer point says little about the slope; and every fourth look is in the middle, so that brackets shrink.
    share = np.where((turn % 4 == 3) | ~np.isfinite(share) | (g_out > 3.0), 0.5, share)
    stride = t_in + walks.sign[on] * walks.step[on]
    within = t_in + share * (t_out - t_in)
    nearer = (turn == 0) & (np.abs(stride - t_in) < np.abs(within - t_in))
    inner = np.where(walks.doubt[on], t_out, within)
    return np.where(bracketed & ~nearer, inner, stride)


def _collect(walks: _Walks, quantities: Sequence[Quantity]) -> list[Interval]:
    """Walks back into intervals in the user's units."""
    result = []
    for index, q in enumerate(quantities):
        ends = []
        for direction in (-1.0, 1.0):
            mask = (walks.quantity == index) & (walks.sign == direction)
            user = q.user(walks.t_in[mask], walks.problem[mask])
            ends.append(np.where(np.isposinf(walks.end[mask]), user, walks.end[mask]))
        low, high = (ends[1], ends[0]) if q.falling else (ends[0], ends[1])
        result.append(Interval(low, high))
    return result


def profile_rise(family: RefittableBatch, quantity: Quantity, t: Array) -> Array:
    """The profile of one figure at ``t`` (P,): the least sum of squares there, above the optimum's, (P,)."""
    every = np.arange(len(family.theta))
    tracer = _Tracer(family, [quantity], every, np.zeros(len(every), dtype=np.intp))
    starts = [family.theta, *np.moveaxis(family.starts(), 1, 0)]
    return tracer.solve(every, t, starts)[0]


def fitted_values(family: RefittableBatch, quantities: Sequence[Quantity]) -> list[Array]:
    """Each figure at the optimum, in the user's unit, one array (P,) a figure."""
    rows = np.arange(len(family.theta))
    return [q.user(q.functional(family.theta, rows)[0], rows) for q in quantities]
