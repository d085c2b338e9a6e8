"""The fit of a law of model and data size (``laws.surface``), with the loss L in nats.

Fitted as in Hoffmann et al. 2022 ("Chinchilla", approach 3) and Besiroglu et al. 2024: the Huber loss (threshold 1e-3)
of ln L minus its logarithm measured, from a grid of starts. The grid runs over the two exponents alone, since E, A and B
enter the additive law linearly and have a closed form there; a richer law starts from those at each of its own values.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cvfp_cli.errors import InputError
from cvfp_cli.laws.joint import LAW as ADDITIVE
from cvfp_cli.laws.surface import COMMON, Surface
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.stats.huber import huber_loss, minimise_huber
from cvfp_cli.stats.solver import Array, Rows

THRESHOLD = 1e-3
EXPONENTS = np.array([0.03, 0.08, 0.15, 0.25, 0.35, 0.45, 0.6, 0.8, 1.1, 1.5, 2.2])
STARTS = 10
# The exponents can be tied.
TIED = ("alpha", "beta")
# theta (P, k) -> a figure of the law (P,) and its gradient (P, k).
Figure = Callable[[Array], tuple[Array, Array]]


def holdable(law: Surface) -> dict[str, int]:
    """The parameters that can be fixed, and where they stand in theta."""
    return {name: law.coordinate[name] for name in ("E", *TIED, *law.further)}


def check_joint(constraint: Constraint, law: Surface = ADDITIVE) -> None:
    """Check what is asked of the joint law's parameters.

    Raises:
        InputError: a parameter that it cannot fix or tie, or a value that it does not allow.
    """
    mine, places = constraint.within(law.parameters), holdable(law)
    for name, value in mine.fixed:
        if name not in places:
            raise InputError(
                f"--fix: {name} of {law.name} cannot be fixed.", hint=f"It can fix {', '.join(places)}."
            )
        at = places[name]
        most = float(law.upper[at]) if name in TIED else float(np.exp(law.upper[at]))
        least = float(np.exp(law.lower[at])) if name in law.further else 0.0
        if not least <= value <= most or (name in TIED and value == 0.0):
            raise InputError(
                f"--fix {name}={value:g}: {law.name} has no such law.",
                hint=f"It allows {name} {'above' if name in TIED else 'from'} {least:.4g} to {most:.4g}.",
            )
    for pair in mine.tied:
        if set(pair) != set(TIED):
            raise InputError(
                f"--tie {'='.join(pair)}: these parameters of {law.name} are not of one kind.",
                hint=f"It can tie {'='.join(TIED)}.",
            )


@dataclass(frozen=True)
class HeldCoordinates:
    """What a constraint leaves of theta: ``theta = base + matrix @ free``.

    Attributes:
        matrix: (k, F), one 1 a row of a coordinate that is estimated. base: fixed coordinates, else 0, (k,).
    """

    matrix: Array = field(default_factory=lambda: np.eye(ADDITIVE.k))
    base: Array = field(default_factory=lambda: np.zeros(ADDITIVE.k))

    @classmethod
    def of(cls, constraint: Constraint, law: Surface = ADDITIVE) -> "HeldCoordinates":
        """The map of a constraint; names of other laws are passed over."""
        mine, places = constraint.within(law.parameters), holdable(law)
        matrix, base = np.eye(law.k), np.zeros(law.k)
        for name, value in mine.fixed:
            at = places[name]
            base[at] = value if name in TIED else max(np.log(max(value, 1e-300)), law.lower[at])
            matrix[at] = 0.0
        for one, other in mine.tied:
            matrix[places[other]] = matrix[places[one]]
        return cls(matrix[:, matrix.any(axis=0)], base)

    @property
    def k(self) -> int:
        """Number of parameters that are estimated."""
        return int(self.matrix.shape[1])

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Which coordinates are fixed, (k,)."""
        return np.asarray(~np.any(self.matrix, axis=1))

    @property
    def tied(self) -> bool:
        """Whether the two exponents are one."""
        return bool(self.matrix[3].any() and np.all(self.matrix[3] == self.matrix[4]))

    def enter(self, theta: Array) -> Array:
        """The free coordinates (P, F) of theta (P, k): the mean of tied ones."""
        return np.asarray(theta @ self.matrix / self.matrix.sum(axis=0))

    def bounds(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bounds of the free coordinates (P, F) from theirs (P, k)."""
        mine = self.matrix.T > 0.0
        low = np.where(mine, lower[:, None, :], -np.inf).max(axis=2)
        high = np.where(mine, upper[:, None, :], np.inf).min(axis=2)
        return low, high

    def leave(self, free: Array) -> Array:
        """theta (P, k) from free coordinates (P, F)."""
        return np.asarray(self.base + free @ self.matrix.T)


@dataclass(frozen=True)
class JointData:
    """Runs as arrays of shape (m,): centred ln N and ln D, ln L, and the two centres; and how theta is constrained.

    ``passes`` over the data are 1 where each token was read once, (m,).
    """

    u: Array
    v: Array
    log_loss: Array
    centre_n: float
    centre_d: float
    held: HeldCoordinates = field(default_factory=HeldCoordinates)
    law: Surface = ADDITIVE
    passes: Array = field(default_factory=lambda: np.ones(1))

    def log_loss_at(self, theta: Array) -> tuple[Array, Array]:
        """ln L of the runs and its Jacobian for coordinates theta (P, k): (P, m) and (P, m, k)."""
        wide = (len(theta), self.u.shape[-1])
        return log_loss_at(
            theta, np.broadcast_to(self.u, wide), np.broadcast_to(self.v, wide), self.law, self.passes
        )


@dataclass(frozen=True)
class Noise:
    """Means of psi^2 and of psi' over the errors, psi being the slope of the Huber loss."""

    psi_square: float
    slope: float


@dataclass(frozen=True)
class JointFit:
    """One joint fit.

    Attributes:
        theta: ln E, ln A', ln B' (both at the centre of the data), alpha, beta, and what the law adds.
        residuals: ln L measured minus fitted, (m,).
        determined: whether the runs tell all coordinates that are free of a bound.
        noise: of the errors; None where nothing is left to see it by. scale: robust standard deviation of the residuals.
        tried, agree: starts, and the share of them that reached the same loss.
    """

    theta: Array
    loss: float
    residuals: Array
    determined: bool
    noise: Noise | None
    scale: float
    tried: int
    agree: float


def joint_data(
    parameters: Array,
    tokens: Array,
    loss: Array,
    held: HeldCoordinates | None = None,
    *,
    law: Surface = ADDITIVE,
    passes: Array | None = None,
) -> JointData:
    """Centre the logarithms.

    Raises:
        InputError: a fixed E that is not below the largest loss, fewer than two model sizes or data sizes, or a loss that is not above 0.
    """
    if np.any(~(loss > 0)):
        raise InputError("The joint law needs losses above 0 nats: a perplexity of 1 or less has none.")
    for name, values in (("model sizes (parameters)", parameters), ("data sizes", tokens)):
        if len(np.unique(values)) < 2:
            raise InputError(
                f"The joint law needs at least two different {name}; all runs have {values[0]:g}.",
                hint="Fit power, saturating or exp-decay instead.",
            )
    held = held or HeldCoordinates.of(Constraint(), law)
    if held.fixed[0] and np.exp(held.base[0]) >= loss.max():
        raise InputError(
            f"--fix E={np.exp(held.base[0]):g}: no run has a loss above it; the largest is {loss.max():g}.",
            hint="Choose a smaller E.",
        )
    u, v = np.log(parameters), np.log(tokens)
    return JointData(
        u - u.mean(),
        v - v.mean(),
        np.log(loss),
        float(u.mean()),
        float(v.mean()),
        held,
        law,
        np.ones_like(u) if passes is None else passes,
    )


def log_loss_at(
    theta: Array, u: Array, v: Array, law: Surface = ADDITIVE, passes: Array | float = 1.0
) -> tuple[Array, Array]:
    """ln L and its Jacobian for coordinates theta (P, k) at u, v of shape (P, m)."""
    return law.log_loss(theta, u, v, np.broadcast_to(passes, u.shape))


def joint_starts(data: JointData, alphas: Array = EXPONENTS, betas: Array = EXPONENTS) -> Array:
    """Where fits start, (S, k): the best of the grid at each value of the law's further coordinates, the best first."""
    found, losses = [], []
    for values in data.law.starts:
        own = np.array(values)
        fixed = data.held.fixed[COMMON:]
        own[fixed] = data.held.base[COMMON:][fixed]
        theta, loss = _additive_starts(data, own, alphas, betas)
        found.append(theta)
        losses.append(loss)
    return np.asarray(np.concatenate(found)[np.argsort(np.concatenate(losses), kind="stable")])


def _additive_starts(data: JointData, own: Array, alphas: Array, betas: Array) -> tuple[Array, Array]:
    """The best grid points over (alpha, beta), each with E, A', B' >= 0 by weighted least squares, and their losses.

    The closed form is the additive law's, at what the further coordinates ``own`` make of the data sizes.
    """
    held = data.held
    gained = data.law.gain(own[None], data.passes[None]) if data.law.repeats else None
    v = data.v if gained is None else data.v + gained[0][0]
    grids = [held.base[at : at + 1] if held.fixed[at] else grid for at, grid in ((3, alphas), (4, betas))]
    if held.tied:
        alpha = beta = min(grids, key=len)
    else:
        alpha, beta = (grid.ravel() for grid in np.meshgrid(*grids))
    loss = np.exp(data.log_loss)
    columns = np.stack(
        [
            np.ones((len(alpha), len(loss))),
            np.exp(-alpha[:, None] * data.u),
            np.exp(-beta[:, None] * v),
        ],
        axis=2,
    )
    columns /= loss[None, :, None]
    # A fixed E is taken off what the others have to explain.
    first = 1 if held.fixed[0] else 0
    target = 1.0 - np.exp(held.base[0]) / loss if first else np.ones_like(loss)
    best_rss = np.full(len(alpha), np.inf)
    best = np.zeros((len(alpha), 3))
    # Non-negative least squares by trying every set of columns: there are seven.
    for size in (1, 2, 3):
        for chosen in combinations(range(first, 3), size):
            part = columns[:, :, chosen]
            gram = part.transpose(0, 2, 1) @ part
            ridge = 1e-12 * np.einsum("pkk->p", gram)[:, None, None] * np.eye(size)
            found = np.linalg.solve(gram + ridge, (part * target[:, None]).sum(axis=1)[:, :, None])[:, :, 0]
            rss = np.sum((target - (part @ found[:, :, None])[:, :, 0]) ** 2, axis=1)
            take = np.all(found >= 0.0, axis=1) & (rss < best_rss)
            best_rss[take] = rss[take]
            full = np.zeros((len(alpha), 3))
            full[:, chosen] = found
            best[take] = full[take]
    theta = np.column_stack([np.log(np.maximum(best, 1e-6)), alpha, beta])
    if first:
        theta[:, 0] = held.base[0]
    theta = np.hstack([theta, np.tile(own, (len(theta), 1))])
    r = data.log_loss - data.log_loss_at(theta)[0]
    losses = huber_loss(r, np.ones_like(r), THRESHOLD)
    order = np.argsort(losses, kind="stable")[:STARTS]
    return theta[order], losses[order]


def solve_joint(
    data: JointData,
    start: Array,
    weight: Array,
    *,
    lower: Array | None = None,
    upper: Array | None = None,
    tolerance: float = 1e-9,
    threshold: float = THRESHOLD,
    max_iterations: int = 300,
    figure: Figure | None = None,
) -> tuple[Array, Array]:
    """Minimise the Huber loss from each start (P, k) with weights (P, m), within bounds (k,) or (P, k): the law's.

    With a ``figure`` of the law the weights have one column more, by which the figure is held near 0.

    What ``data.held`` constrains stays so: of tied coordinates the narrower bounds count, and fixed ones have their value.
    The arrays of ``data`` are those of all problems, (m,), or one row a problem, (P, m).
    """
    wide = (len(weight), data.u.shape[-1])
    u, v, log_loss, passes = (
        np.broadcast_to(part, wide) for part in (data.u, data.v, data.log_loss, data.passes)
    )
    held, law = data.held, data.law
    whole = held.k == law.k

    def model(free: Array, rows: Rows) -> tuple[Array, Array]:
        theta = free if whole else held.leave(free)
        value, jacobian = law.log_loss(theta, u[rows], v[rows], passes[rows])
        off = value - log_loss[rows]
        if figure is not None:
            own, gradient = figure(theta)
            off = np.column_stack([off, own])
            jacobian = np.concatenate([jacobian, gradient[:, None]], axis=1)
        return off, jacobian if whole else jacobian @ held.matrix

    low = np.broadcast_to(law.lower if lower is None else lower, start.shape)
    high = np.broadcast_to(law.upper if upper is None else upper, start.shape)
    if not whole:
        low, high = held.bounds(low, high)
        start = np.clip(held.enter(start), low, high)
    got = minimise_huber(
        model, start, weight, low, high, threshold, max_iterations=max_iterations, tolerance=tolerance
    )
    return got.theta if whole else held.leave(got.theta), got.loss


def fit_joint(data: JointData) -> JointFit:
    """Fit the joint law to the runs."""
    starts = joint_starts(data)
    theta, loss = solve_joint(data, starts, np.ones((len(starts), len(data.u))))
    best = int(np.argmin(loss))
    agree = float(np.mean(loss <= loss[best] * (1.0 + 1e-4) + 1e-15))
    residuals = data.log_loss - data.log_loss_at(theta[best : best + 1])[0][0]
    determined, noise = _determined(theta[best], data), noise_of(residuals, data.held.k)
    scale = robust_scale(residuals)
    return JointFit(theta[best], float(loss[best]), residuals, determined, noise, scale, len(starts), agree)


def gradient(theta: Array, data: JointData) -> Array:
    """Derivatives of ln L at the runs of ``data`` by E itself, which may be 0, and the other coordinates, (m, k)."""
    value, jacobian = data.log_loss_at(theta[None])
    rows = jacobian[0].copy()
    rows[:, 0] = np.exp(-value[0])
    return np.asarray(rows)


def robust_scale(residuals: Array) -> float:
    """Standard deviation of normal errors from the median of their sizes."""
    return float(np.median(np.abs(residuals)) / special.ndtri(0.75))


def noise_of(residuals: Array, k: int) -> Noise | None:
    """What the residuals of a fit with ``k`` parameters say of the errors; None where they say nothing.

    With a threshold below the noise, mean psi' is the share of errors within it: a density at 0, estimated over a
    wider window as for median regression (Koenker 2005, section 3.4).
    """
    m, scale = len(residuals), robust_scale(residuals)
    if m <= k or scale <= 0.0:
        return None
    window = max(THRESHOLD, 1.06 * scale * m ** (-0.2))
    # A fit of absolute errors passes through k points; they say nothing about the density.
    inside = max(float(np.sum(np.abs(residuals) < window)) - k, 1.0)
    psi = np.clip(residuals, -THRESHOLD, THRESHOLD)
    # As with squares, a fit of k parameters leaves m - k residuals' worth of error.
    return Noise(float(psi @ psi) / (m - k), inside / (m - k) * THRESHOLD / window)


def _determined(theta: Array, data: JointData) -> bool:
    """Whether the gradients by the coordinates that lie on no bound are independent of one another."""
    law, held = data.law, data.held
    free = (theta > law.lower + 1e-9) & (theta < law.upper - 1e-9)
    free[0] = True
    # A tied pair is on its bound together.
    part = gradient(theta, data) @ held.matrix[:, free @ held.matrix > 0.0]
    return bool(np.linalg.cond(part.T @ part) <= 1e14)


def user_values(theta: Array, data: JointData) -> Array:
    """(E, ln A, alpha, ln B, beta) from coordinates (P, k), and the further ones: A and B at N = 1 and D = 1."""
    return np.stack(
        [
            np.exp(theta[:, 0]),
            theta[:, 1] + theta[:, 3] * data.centre_n,
            theta[:, 3],
            theta[:, 2] + theta[:, 4] * data.centre_d,
            *theta[:, 4:].T,
        ],
        axis=1,
    )


def user_jacobian(data: JointData) -> Array:
    """Derivatives of ``user_values`` by E and the other coordinates, as in ``gradient``, (k, k)."""
    jacobian = np.eye(data.law.k)
    jacobian[2:4] = jacobian[[3, 2]]
    jacobian[1, 3], jacobian[3, 4] = data.centre_n, data.centre_d
    return jacobian


def bootstrap_joint(data: JointData, fit: JointFit, replicates: int, seed: int) -> Array:
    """Coordinates of refits to resampled runs (cases), (replicates, k).

    Each is the better of two: from the fit, and from the fit with half of the loss in E, since from E = 0 there is no
    way back.
    """
    rng = np.random.default_rng(seed)
    m = len(data.u)
    half = fit.theta.copy()
    middle = float(np.median(data.log_loss))
    half[:3] = middle + np.log([0.5, 0.25, 0.25])
    found = []
    for first in range(0, replicates, 250):
        size = min(250, replicates - first)
        counts = rng.multinomial(m, np.full(m, 1.0 / m), size=size).astype(float)
        ends = [solve_joint(data, np.tile(start, (size, 1)), counts) for start in (fit.theta, half)]
        better = ends[1][1] < ends[0][1]
        found.append(np.where(better[:, None], ends[1][0], ends[0][0]))
    return np.concatenate(found)
