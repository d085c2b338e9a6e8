"""One law through one or several groups at once, with parameters shared, fixed or tied.

Nine configurations of four sizes cannot determine exp-decay's four parameters each, but they can determine one b and
one c for all, and a ppl_min and an A each. All groups make one least-squares problem. Coordinates of a group are the
law's common ones (``Law.from_common``), with one origin of z for all groups; a shared coordinate stands once in the
vector of unknowns, as do two tied ones, and a fixed one has equal bounds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.laws.base import Data, Law
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.constraint import Constraint, fixed_coordinates, shared_coordinates
from cvfp_cli.scaling.curves import CoordinateMap, PseudoObservation, best_level, normal_equations, through
from cvfp_cli.scaling.global_fit import ROUNDING, SAME, fit_curves
from cvfp_cli.stats.solver import Array, Evaluation, Problem, Rows, minimise


def curve(law: Law, own: Array, z: Array) -> tuple[Array, Array]:
    """``ln f`` (..., m) and its Jacobian (..., m, k) for common coordinates (..., k) at z (..., m)."""
    theta, by_own = law.from_common(own.reshape(-1, law.k))
    value, jacobian = law.log_curve(theta, z.reshape(-1, z.shape[-1]))
    if by_own is not None:
        jacobian = jacobian @ by_own
    return value.reshape(z.shape), jacobian.reshape(*z.shape, law.k)


# Of one group's grid, how many curves are started from, after that many steps of their level alone.
GRID_STARTS, LEVEL_STEPS = 16, 10


@dataclass(frozen=True)
class Layout:
    """Where each group's coordinates stand among the unknowns: what is shared or tied stands once.

    Attributes:
        position: (G, k). unknowns: K. lower, upper: bounds, (K,); equal ones hold a fixed coordinate.
    """

    position: NDArray[np.intp]
    unknowns: int
    lower: Array
    upper: Array

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which unknowns are estimated, (K,)."""
        return self.lower < self.upper

    @property
    def k(self) -> int:
        """Number of parameters that are estimated."""
        return int(np.sum(self.free))

    @property
    def common(self) -> tuple[int, ...]:
        """The coordinates that are the same unknown in every group."""
        return tuple(int(i) for i in np.flatnonzero(np.all(self.position == self.position[0], axis=0)))

    @property
    def own(self) -> int:
        """How many free unknowns one group has for itself."""
        mine = self.position[0] if len(self.position) == 1 else np.delete(self.position[0], self.common)
        return int(np.sum(self.free[np.unique(mine)]))

    @property
    def held(self) -> bool:
        """Whether a coordinate is fixed or tied, so that not each can be solved for."""
        return self.k < self.unknowns or len(np.unique(self.position[0])) < self.position.shape[1]

    def scatter(self, group: int, gradient: Array) -> Array:
        """A gradient by one group's coordinates (..., k) as one by the unknowns (..., K)."""
        out = np.zeros((*gradient.shape[:-1], self.unknowns))
        for i, at in enumerate(self.position[group]):
            out[..., at] += gradient[..., i]
        return out


def make_layout(law: Law, batch: Batch, constraint: Constraint) -> Layout:
    """Shared coordinates first, then fixed ones, then each group's own.

    Raises:
        InputError: a value that a fixed parameter cannot have.
    """
    groups = len(batch.groups)
    position = np.zeros((groups, law.k), dtype=np.intp)
    low, high = law.common_box(batch.data)
    fixed = fixed_coordinates(law, constraint, batch)
    shared = shared_coordinates(law, constraint)
    lower, upper = [low[:, i].min() for i in shared], [high[:, i].max() for i in shared]
    lower += fixed.values()
    upper += fixed.values()
    for order, i in enumerate((*shared, *fixed)):
        position[:, i] = order
    common = {*shared, *fixed}
    places = {**law.shareable, **law.fixable}
    tied = [sorted((places[one], places[other])) for one, other in constraint.tied]
    # Of a tied pair the one that is fixed or shared, or else the first, stands for both.
    follows = {(i if j in common else j): (j if j in common else i) for i, j in tied}
    for g in range(groups):
        for i in range(law.k):
            if i not in common and i not in follows:
                position[g, i] = len(lower)
                lower.append(low[g, i])
                upper.append(high[g, i])
    for i, j in follows.items():
        position[:, i] = position[:, j]
    return Layout(position, len(lower), np.array(lower), np.array(upper))


@dataclass(frozen=True)
class SharedProblem:
    """The stacked least-squares problem; ``weight`` (P, G, m) tells its P versions apart."""

    law: Law
    data: Data
    layout: Layout
    weight: Array
    constraint: CoordinateMap | None = None
    pseudo: PseudoObservation | None = None

    def evaluate(self, theta: Array, rows: Rows) -> Evaluation:
        """See ``solver.Problem``."""
        unknowns, by_unknown = (theta, None) if self.constraint is None else self.constraint(theta, rows)
        at = normal_equations(*self._stacked(unknowns, rows))
        if self.pseudo is not None:
            at = self.pseudo.add_to(at, unknowns, rows)
        return at if by_unknown is None else through(at, by_unknown)

    def settle(self, theta: Array, rows: Rows) -> Array:
        """See ``solver.Problem``: nothing here has a closed form on its own."""
        return theta

    def _stacked(self, unknowns: Array, rows: Rows) -> tuple[Array, Array]:
        coordinates = unknowns[:, self.layout.position]
        z = np.broadcast_to(self.data.z, (len(unknowns), *self.data.z.shape))
        value, own = curve(self.law, coordinates, z)
        if self.data.objective == "ppl":
            value = np.exp(np.minimum(value, 300.0))
            own = own * value[..., None]
        weight = self.weight[rows]
        r = weight * (self.data.target - value)
        own = weight[..., None] * own
        jacobian = np.stack(
            [self.layout.scatter(g, own[:, g]) for g in range(len(self.layout.position))], axis=1
        )
        flat = r.shape[1] * r.shape[2]
        return r.reshape(len(r), flat), jacobian.reshape(len(r), flat, -1)


@dataclass(frozen=True)
class SharedFit:
    """The best shared fit; a ``profiles.Family`` of one problem.

    Attributes:
        theta: unknowns, (1, K). rss: (1,). tried, agree: starts and the share that ended there.
    """

    law: Law
    data: Data
    layout: Layout
    theta: Array
    rss: Array
    tried: int
    agree: float

    @property
    def lower(self) -> Array:
        """Lower bounds, (1, K)."""
        return self.layout.lower[None]

    @property
    def upper(self) -> Array:
        """Upper bounds, (1, K)."""
        return self.layout.upper[None]

    def coordinates(self) -> Array:
        """Each group's coordinates, (G, k)."""
        return np.asarray(self.theta[0][self.layout.position])

    def pose(self, rows: Rows, constraint: CoordinateMap | None, pseudo: PseudoObservation | None) -> Problem:
        """See ``profiles.Family``."""
        weight = np.broadcast_to(self.data.weight, (len(rows), *self.data.weight.shape))
        return SharedProblem(self.law, self.data, self.layout, weight, constraint, pseudo)

    def starts(self) -> Array:
        """None but the optimum itself: a shared fit is well determined or it is not."""
        return np.empty((1, 0, self.layout.unknowns))


def shared_starts(law: Law, batch: Batch, layout: Layout) -> Array:
    """Starting points (S, K): the groups' own fits averaged, each group's shape for all, and a grid of shapes."""
    shared = layout.common
    own = fit_curves(law, batch.data, starts=6).theta
    coordinates = law.to_common(own)[0]
    options = [coordinates]
    for g in range(len(coordinates)):
        option = coordinates.copy()
        option[:, list(shared)] = coordinates[g, list(shared)]
        options.append(option)
    if law.has_floor:
        lowest = np.exp(np.min(np.where(batch.data.weight > 0, batch.log_y, np.inf), axis=1))
        level = np.sum(batch.data.weight * batch.log_y, axis=1) / batch.data.weight.sum(axis=1)
        for shape in law.shapes:
            option = np.zeros_like(coordinates)
            option[:, 1] = 0.5 * lowest
            option[:, 0] = np.log(np.maximum(np.exp(level) - option[:, 1], 1e-6))
            option[:, 2:] = shape
            options.append(option)
    starts = []
    for option in options:
        unknowns = np.zeros(layout.unknowns)
        for i in range(law.k):
            if i in shared:
                unknowns[layout.position[0, i]] = np.median(option[:, i])
            else:
                unknowns[layout.position[:, i]] = option[:, i]
        starts.append(unknowns)
    found = np.clip(np.array(starts), layout.lower, layout.upper)
    return found if len(coordinates) > 1 else np.concatenate([found, _grid_starts(law, batch, layout)])


def _grid_starts(law: Law, batch: Batch, layout: Layout) -> Array:
    """The best of one group's grid (S, K), each with its free first coordinate, the level or the excess, fitted."""
    grid = law.grid(batch.data)[0]
    count = len(grid)
    rows = np.zeros(count, dtype=np.intp)
    theta, _ = best_level(law, batch.data, grid, rows)
    unknowns = np.zeros((count, layout.unknowns))
    unknowns[:, layout.position[0]] = law.to_common(theta)[0]
    unknowns = np.clip(unknowns, layout.lower, layout.upper)
    lower, upper = unknowns.copy(), unknowns.copy()
    level = layout.position[0, 0]
    lower[:, level], upper[:, level] = layout.lower[level], layout.upper[level]
    weight = np.broadcast_to(batch.data.weight, (1, *batch.data.weight.shape))
    problem = SharedProblem(law, batch.data, layout, weight)
    got = minimise(problem, unknowns, lower, upper, rows=rows, max_iterations=LEVEL_STEPS)
    return np.asarray(got.theta[np.argsort(got.rss, kind="stable")[:GRID_STARTS]])


def fit_shared(law: Law, batch: Batch, constraint: Constraint) -> SharedFit:
    """Fit all groups of a batch (made with one origin) at once."""
    layout = make_layout(law, batch, constraint)
    starts = shared_starts(law, batch, layout)
    count = len(starts)
    weight = np.broadcast_to(batch.data.weight, (1, *batch.data.weight.shape))
    got = minimise(
        SharedProblem(law, batch.data, layout, weight),
        starts,
        np.tile(layout.lower, (count, 1)),
        np.tile(layout.upper, (count, 1)),
        rows=np.zeros(count, dtype=np.intp),
    )
    best = int(np.argmin(got.rss))
    agree = float(np.mean(got.rss <= got.rss[best] * (1.0 + SAME) + ROUNDING))
    return SharedFit(
        law, batch.data, layout, got.theta[best : best + 1], got.rss[best : best + 1], count, agree
    )


def refit_shared(fit: SharedFit, starts: Array, weight: Array) -> Array:
    """Each group's coordinates (P, G, k) of refits with other weights (P, G, m), each from the best of the starts."""
    problems, count = len(weight), len(starts)
    rows = np.repeat(np.arange(problems), count)
    lower, upper = np.tile(fit.layout.lower, (len(rows), 1)), np.tile(fit.layout.upper, (len(rows), 1))
    got = minimise(
        SharedProblem(fit.law, fit.data, fit.layout, weight),
        np.tile(starts, (problems, 1)),
        lower,
        upper,
        rows=rows,
    )
    best = got.rss.reshape(problems, count).argmin(axis=1)
    theta = got.theta.reshape(problems, count, -1)[np.arange(problems), best]
    return np.asarray(theta[:, fit.layout.position])
