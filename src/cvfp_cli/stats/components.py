"""Variance components by restricted maximum likelihood (REML), from cross products alone.

The residuals of a linear model with m rows and a design of rank p have, on the n = m - p contrasts that are free of
the design's coefficients, the covariance

    V = s_0 I + s_1 Z_1 Z_1' + ... + s_c Z_c Z_c',

one s_i per component and one column of Z_i per group that shares an effect. REML (Patterson and Thompson 1971)
maximises the likelihood of these contrasts. With M the projection off the design, M (Z_1 ... Z_c) = Q B with
orthonormal columns in Q, b = Q'r, D the diagonal matrix of s_i / s_0 and P = (M V M)^-, everything it needs is
small, so that its cost depends on the number of groups and not of rows (Woodbury's identity):

    F = I + B D B',   W'PW s_0 = B' F^-1 B,   W'Pr s_0 = B' F^-1 b,   r'Pr s_0 = r'Mr - b'b + b' F^-1 b,
    log |V| = n ln s_0 + ln |F|.

What holds P twice follows from P V P = P. Score and expected information are those of Searle, Casella and McCulloch
(1992), chapter 6:

    score_i = (r'P V_i P r - tr P V_i) / 2,      information_ij = tr(P V_i P V_j) / 2.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

ITERATIONS = 200
TOLERANCE = 1e-12  # relative fall of -2 ln likelihood per contrast at which the search ends
FLOOR = 1e-12  # smallest share of the mean square that the rows' own variance may take


@dataclass(frozen=True)
class Products:
    """What the likelihood needs of residuals, design and groups.

    Attributes:
        free: n, the number of rows minus the rank of the design.
        square: r'Mr.
        root: B, (rank, q).
        along: b, (rank,).
        owner: the component, 0 ... c-1, that each of the q columns belongs to, (q,).
        parts: c.
    """

    free: int
    square: float
    root: Array
    along: Array
    owner: Rows
    parts: int

    @classmethod
    def of(cls, residuals: Array, columns: Array, owner: Rows, parts: int, free: int) -> "Products":
        """From Mr, (m,), and M (Z_1 ... Z_c), (m, q)."""
        basis, root = np.linalg.qr(columns)
        return cls(free, float(residuals @ residuals), root, basis.T @ residuals, owner, parts)

    def only(self, kept: Rows) -> "Products":
        """With these components alone, in their order."""
        columns = np.isin(self.owner, kept)
        owner = np.searchsorted(kept, self.owner[columns]).astype(np.intp)
        return replace(self, root=self.root[:, columns], owner=owner, parts=len(kept))


@dataclass(frozen=True)
class Components:
    """Estimated variances.

    Attributes:
        values: of the rows themselves first, then of each component, (1 + c,).
        information: expected information of these values, (1 + c, 1 + c). A component estimated as 0 stays in it,
            so that what is known of it keeps its own degrees of freedom instead of lending those of the rows.
        method: ``reml``, or ``moments`` where the search did not end.
        deviance: -2 ln of the restricted likelihood, without its constant n ln 2 pi.
    """

    values: Array
    information: Array
    method: str
    deviance: float


@dataclass(frozen=True)
class _State:
    """Likelihood, score and information at one point, with the mean square as the unit."""

    deviance: float
    score: Array
    information: Array


def traces(products: Products) -> Array:
    """tr(M V_i M V_j) for the rows (index 0) and every component, (1 + c, 1 + c).

    Its null space are the combinations of variances that no quadratic form of the residuals can tell.
    """
    return _information(products, products.root.T @ products.root, np.zeros(products.parts))


def estimate_components(products: Products, *, negative: bool = False) -> Components:
    """Maximise the restricted likelihood by Fisher scoring with step halving.

    Starts are the moments (MINQUE with no prior weights: Rao 1971), equal variances, and rows alone; the highest end
    wins. In balanced designs one step from anywhere is the answer of the analysis of variance.

    Args:
        negative: let a component be negative where V stays a covariance: groups more alike than chance would have
            them. Variances of contrasts are then unbiased, and t intervals from them hold as often as they say
            (Kenward and Roger 1997); holding components at 0 makes intervals too wide where they are small.
    """
    n, parts = products.free, products.parts
    if n <= 0 or products.square <= 0.0:
        return Components(np.zeros(1 + parts), np.zeros((1 + parts, 1 + parts)), "reml", float("-inf"))
    unit = products.square / n
    if parts == 0:
        return Components(
            np.array([unit]), np.array([[0.5 * n / unit**2]]), "reml", n * (1.0 + float(np.log(unit)))
        )
    scaled = replace(products, square=float(n), along=products.along / np.sqrt(unit))
    moments = _moments(scaled)
    equal, alone = np.full(1 + parts, 1.0 / (1 + parts)), np.concatenate([[1.0], np.full(parts, 1e-3)])
    low = np.concatenate([[FLOOR], np.full(parts, -np.inf if negative else 0.0)])
    ends = [_climb(scaled, start, low) for start in (moments, equal, alone)]
    best = min((end for end in ends if end[2]), key=lambda end: end[1].deviance, default=ends[0])
    values, state, ended = best
    if not ended:
        values, state = moments, _at(scaled, moments)
    return Components(
        values * unit,
        state.information / unit**2,
        "reml" if ended else "moments",
        state.deviance + n * float(np.log(unit)),
    )


def deviance(products: Products, values: Array) -> float:
    """-2 ln of the restricted likelihood at ``values`` (rows first), without n ln 2 pi."""
    return _at(products, np.asarray(values, dtype=float)).deviance


def _moments(products: Products) -> Array:
    """Equate r'M V_i M r with its expectation, and put what is negative to 0."""
    squares = np.bincount(products.owner, (products.root.T @ products.along) ** 2, products.parts)
    found = np.linalg.lstsq(traces(products), np.concatenate([[products.square], squares]), rcond=1e-12)[0]
    return np.asarray(np.maximum(found, np.concatenate([[1e-3], np.zeros(products.parts)])))


def _climb(products: Products, start: Array, low: Array) -> tuple[Array, _State, bool]:
    """Fisher scoring from one start, components held at ``low`` or above; and whether it ended."""
    here = np.maximum(start, low)
    state = _at(products, here)
    for _ in range(ITERATIONS):
        free = ~((here <= low) & (state.score <= 0.0))
        step = np.zeros(len(here))
        if np.any(free):
            part = state.information[np.ix_(free, free)]
            step[free] = np.linalg.lstsq(part, state.score[free], rcond=1e-13)[0]
        # What the step promises of the deviance.
        if float(step @ state.score) <= TOLERANCE * products.free:
            return here, state, True
        size, better = 1.0, None
        while better is None and size > 1e-6:
            trial = np.maximum(here + size * step, low)
            new = _state(products, trial)
            if new is not None and new.deviance < state.deviance:
                better = new
            size *= 0.5
        if better is None:
            return here, state, True
        fall = state.deviance - better.deviance
        here, state = trial, better
        if fall <= TOLERANCE * products.free:
            return here, state, True
    return here, state, False


def _at(products: Products, values: Array) -> _State:
    """The state at values of which none is negative, where it always exists."""
    state = _state(products, values)
    if state is None:
        raise ValueError("variance components below 0 make no covariance here")
    return state


def _state(products: Products, values: Array) -> _State | None:
    """Deviance, score and information at ``values``; None where they make no covariance.

    The formulas stand at the head of the module.
    """
    own, ratio = values[0], values[1:] / values[0]
    each = ratio[products.owner]
    root, n = products.root, products.free
    inner = np.eye(len(root)) + (root * each) @ root.T
    try:
        half = np.linalg.cholesky(inner)
    except np.linalg.LinAlgError:
        return None
    left = np.linalg.solve(half, root)  # (rank, q)
    seen = np.linalg.solve(half, products.along)  # (rank,)
    within = left.T @ left  # W'PW s_0
    aimed = left.T @ seen  # W'Pr s_0
    square = products.square - float(products.along @ products.along) + float(seen @ seen)  # r'Pr s_0
    logdet = n * float(np.log(own)) + 2.0 * float(np.sum(np.log(np.diag(half))))
    trace = np.bincount(products.owner, np.diag(within), products.parts)
    squares = np.bincount(products.owner, aimed**2, products.parts)
    score = np.empty(len(values))
    score[0] = (square - float(ratio @ squares)) / own**2 - (n - float(ratio @ trace)) / own
    score[1:] = squares / own**2 - trace / own
    information = _information(products, within, ratio) / own**2
    return _State(logdet + square / own, score / 2.0, information / 2.0)


def _information(products: Products, within: Array, ratio: Array) -> Array:
    """tr(P V_i P V_j) s_0^2 from W'PW s_0; at ratios of 0 it is tr(M V_i M V_j)."""
    owner, parts = products.owner, products.parts
    by_row = np.zeros((parts, len(owner)))
    np.add.at(by_row, owner, within**2)
    blocks = np.array([np.bincount(owner, row, parts) for row in by_row]).reshape(parts, parts)
    trace = np.bincount(owner, np.diag(within), parts)
    twice = trace - blocks @ ratio  # tr(P P V_j) s_0^2
    full = np.empty((1 + parts, 1 + parts))
    full[0, 0] = products.free - float(ratio @ trace) - float(ratio @ twice)
    full[0, 1:] = full[1:, 0] = twice
    full[1:, 1:] = blocks
    return full
