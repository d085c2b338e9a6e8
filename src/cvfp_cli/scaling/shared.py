"""One law through several groups at once, with some parameters the same in all of them.

Nine configurations of four sizes cannot determine exp-decay's four parameters each, but they can determine one b and
one c for all, and a ppl_min and an A each. All groups make one least-squares problem. Coordinates of a group are the
law's common ones (``Law.from_common``), with one origin of z for all groups; a shared coordinate stands once in the
vector of unknowns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.errors import InputError
from cvfp_cli.laws.base import Data, Law
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.curves import Pull, Tie, normal_equations, through
from cvfp_cli.scaling.global_fit import ROUNDING, SAME, fit_curves
from cvfp_cli.stats.solver import Array, Evaluation, Problem, Rows, minimise


def shared_coordinates(law: Law, names: Sequence[str]) -> tuple[int, ...]:
    """The coordinates to share for the user's ``names``, of which those that the law does not have are ignored.

    Raises:
        InputError: a parameter that cannot be shared.
    """
    possible = law.shareable
    mine = [name for name in names if name in law.parameters]
    for name in mine:
        if name not in possible:
            raise InputError(
                f"--share: {name} of {law.name} cannot be shared.",
                hint=f"It can share {', '.join(possible)}." if possible else "Leave that law out.",
            )
    for name, other in law.needs.items():
        if name in mine and other not in mine:
            raise InputError(
                f"--share {name} alone means nothing: its unit depends on {other}.",
                hint=f"Use --share {name},{other}.",
            )
    return tuple(sorted(possible[name] for name in mine))


def curve(law: Law, own: Array, z: Array) -> tuple[Array, Array]:
    """``ln f`` (..., m) and its Jacobian (..., m, k) for common coordinates (..., k) at z (..., m)."""
    theta, by_own = law.from_common(own.reshape(-1, law.k))
    value, jacobian = law.log_curve(theta, z.reshape(-1, z.shape[-1]))
    if by_own is not None:
        jacobian = jacobian @ by_own
    return value.reshape(z.shape), jacobian.reshape(*z.shape, law.k)


@dataclass(frozen=True)
class Layout:
    """Where each group's coordinates stand among the unknowns.

    Attributes:
        position: (G, k). unknowns: K. lower, upper: bounds, (K,).
    """

    position: NDArray[np.intp]
    unknowns: int
    lower: Array
    upper: Array

    def scatter(self, group: int, gradient: Array) -> Array:
        """A gradient by one group's coordinates (P, k) as one by the unknowns (P, K)."""
        out = np.zeros((len(gradient), self.unknowns))
        out[:, self.position[group]] = gradient
        return out


def make_layout(law: Law, groups: int, shared: Sequence[int]) -> Layout:
    """Shared coordinates first, then each group's own."""
    position = np.zeros((groups, law.k), dtype=np.intp)
    low, high = law.common_bounds()
    lower, upper = [low[i] for i in shared], [high[i] for i in shared]
    for order, i in enumerate(shared):
        position[:, i] = order
    for g in range(groups):
        for i in range(law.k):
            if i not in shared:
                position[g, i] = len(lower)
                lower.append(low[i])
                upper.append(high[i])
    return Layout(position, len(lower), np.array(lower), np.array(upper))


@dataclass(frozen=True)
class SharedProblem:
    """The stacked least-squares problem; ``weight`` (P, G, m) tells its P versions apart."""

    law: Law
    data: Data
    layout: Layout
    weight: Array
    tie: Tie | None = None
    pull: Pull | None = None

    def evaluate(self, theta: Array, rows: Rows) -> Evaluation:
        """See ``solver.Problem``."""
        unknowns, by_unknown = (theta, None) if self.tie is None else self.tie(theta, rows)
        at = normal_equations(*self._stacked(unknowns, rows))
        if self.pull is not None:
            at = self.pull.add_to(at, unknowns, rows)
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
        jacobian = np.zeros((*r.shape, self.layout.unknowns))
        for g, positions in enumerate(self.layout.position):
            jacobian[:, g][:, :, positions] = own[:, g]
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

    def pose(self, rows: Rows, tie: Tie | None, pull: Pull | None) -> Problem:
        """See ``profiles.Family``."""
        weight = np.broadcast_to(self.data.weight, (len(rows), *self.data.weight.shape))
        return SharedProblem(self.law, self.data, self.layout, weight, tie, pull)

    def starts(self) -> Array:
        """None but the optimum itself: a shared fit is well determined or it is not."""
        return np.empty((1, 0, self.layout.unknowns))


def shared_starts(law: Law, batch: Batch, layout: Layout, shared: Sequence[int]) -> Array:
    """Starting points (S, K): the groups' own fits averaged, each group's shape for all, and a grid of shapes."""
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
    return np.clip(np.array(starts), layout.lower, layout.upper)


def fit_shared(law: Law, batch: Batch, shared: Sequence[int]) -> SharedFit:
    """Fit all groups of a batch (made with one origin) at once."""
    layout = make_layout(law, len(batch.groups), shared)
    starts = shared_starts(law, batch, layout, shared)
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
