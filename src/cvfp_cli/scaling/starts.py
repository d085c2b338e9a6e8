"""Starting points: a grid over the shape, scaled by the spread of the sizes, with the linear parameters solved for.

For a fixed shape a curve is linear in E and B (``f = E + B exp(-h)``), so each grid point needs only a 2 x 2
least-squares problem (variable projection, Golub and Pereyra 1973), held to E >= 0 and B >= 0.
"""

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.scaling.curves import Data, best_level, box, pieces
from cvfp_cli.scaling.laws import LOG_A_RANGE, Law, log_value
from cvfp_cli.scaling.quantities import LOG_A, STRETCH

Array = NDArray[np.float64]

# Curves of each stretch on the grid.
PLACES = 24
STRETCHES = np.array([0.0, 0.15, 0.3, 0.5, 0.75, 1.1, 1.6, 2.4, 3.5, 5.0])
FLOORS = np.array([0.0, 0.3, 0.6, 0.8, 0.9, 0.97])
BREAKS = np.array([0.15, 0.35, 0.5, 0.65, 0.85])
# The grid's curves may be this many times as many as are worked on at a time: it needs no derivatives.
GRID_PIECES = 16
WIDTHS = np.log([0.05, 0.3, 1.0])


def _linear(data: Data, w: Array) -> tuple[Array, Array]:
    """E and B of ``y = E + B w`` by non-negative least squares; ``w`` has shape (P, S, m)."""
    y = np.exp(data.target) if data.objective == "log" else data.target
    # On logs an error counts relative to y.
    weight = data.weight / (y * y) if data.objective == "log" else data.weight
    v, t = weight[:, None, :], y[:, None, :]
    s1, sw, sww = v.sum(2), (v * w).sum(2), (v * w * w).sum(2)
    st, swt = (v * t).sum(2), (v * w * t).sum(2)
    determinant = s1 * sww - sw * sw
    safe = np.where(determinant > 1e-14 * s1 * sww, determinant, np.inf)
    e = (sww * st - sw * swt) / safe
    b = (s1 * swt - sw * st) / safe
    only_b = swt / np.maximum(sww, 1e-280)
    only_e = st / s1
    e, b = np.where(b < 0.0, only_e, e), np.maximum(b, 0.0)
    b, e = np.where(e < 0.0, only_b, b), np.maximum(e, 0.0)
    return e, b


def grid(law: Law, data: Data) -> Array:
    """All starting points of each data set, shape (P, S, k)."""
    problems = len(data.z)
    spread = np.maximum(np.ptp(data.z, axis=1), 1e-6)
    if law.name == "power":
        z0 = data.z - data.z.mean(axis=1, keepdims=True)
        log_y = data.target if data.objective == "log" else np.log(np.maximum(data.target, 1e-280))
        slope = (data.weight * z0 * log_y).sum(1) / np.maximum((data.weight * z0 * z0).sum(1), 1e-280)
        start = np.zeros((problems, 5, 2))
        start[:, :, 1] = slope[:, None] * np.array([1.0, 0.5, 1.5, 0.8, 1.2])
        return start
    if law.name == "bnsl":
        return _broken_grid(data)
    c = STRETCHES if law.name == "exp-decay" else STRETCHES[:1]
    shapes = np.zeros((problems, len(c), PLACES, law.k))
    # A curve is placed by the z at which its excess has fallen to 1/e: from a fortieth of the range, a step after the
    # smallest size, to where it has hardly begun to fall (by 5 %) at the largest. That finds steps between any two sizes.
    rate = np.maximum(c, 1e-6)[None, :]
    first = np.broadcast_to(spread[:, None] / 40.0, (problems, len(c)))
    last = np.log1p(20.0 * np.expm1(rate * spread[:, None])) / rate
    share = np.linspace(0.0, 1.0, PLACES)
    place = first[..., None] * (last / first)[..., None] ** share
    shapes[..., LOG_A] = np.clip(np.log(rate[..., None] / np.expm1(rate[..., None] * place)), *LOG_A_RANGE)
    if law.name == "exp-decay":
        shapes[..., STRETCH] = c[None, :, None]
    flat = shapes.reshape(problems, -1, law.k)
    count = flat.shape[1]
    pure = flat.reshape(-1, law.k).copy()
    log_w = log_value(law, pure, np.repeat(data.z, count, axis=0))
    w = np.exp(np.minimum(log_w, 300.0)).reshape(problems, count, -1)
    e, b = _linear(data, w)
    total = np.maximum(e + b, 1e-280)
    flat[..., 1] = np.clip(e / total, 0.0, 1.0)
    flat[..., 0] = np.log(total)
    return flat


def _broken_grid(data: Data) -> Array:
    """bnsl: floors x breaks x widths, with level and both slopes from a line with a bend in ln(y - E)."""
    problems = len(data.z)
    log_y = data.target if data.objective == "log" else np.log(np.maximum(data.target, 1e-280))
    lowest = np.min(np.where(data.weight > 0, log_y, np.inf), axis=1)
    starts = []
    for floor in FLOORS:
        excess = np.exp(log_y) - floor * np.exp(lowest)[:, None]
        log_excess = np.log(np.maximum(excess, 1e-280))
        for position in BREAKS:
            at = data.z.min(1) + position * np.ptp(data.z, axis=1)
            for width in WIDTHS:
                f = np.exp(width)
                bend = f * (
                    np.logaddexp(0.0, (data.z - at[:, None]) / f) - np.logaddexp(0.0, -at / f)[:, None]
                )
                columns = np.stack([np.ones_like(data.z), -data.z, -bend], axis=2) * data.weight[..., None]
                gram = columns.transpose(0, 2, 1) @ columns + 1e-9 * np.eye(3)
                right = columns.transpose(0, 2, 1) @ (data.weight * log_excess)[..., None]
                b, c0, c1 = np.linalg.solve(gram, right)[..., 0].T
                e = floor * np.exp(lowest)
                total = e + np.exp(np.clip(b, -300.0, 300.0))
                start = np.stack([np.log(total), e / total, c0, c1, at, np.full(problems, width)], axis=1)
                starts.append(start)
    return np.stack(starts, axis=1)


def best_starts(law: Law, data: Data, count: int) -> Array:
    """The ``count`` most promising starting points of each data set, best first, shape (P, count, k).

    For exp-decay the best of every stretch c comes before second bests, so that the starts differ in kind.
    """
    # A few data sets at a time: each has hundreds of grid points.
    wide = len(STRETCHES) * PLACES * data.z.shape[1] // GRID_PIECES
    parts = [
        _best_starts(law, data.take(np.arange(len(data.z))[part]), count)
        for part in pieces(len(data.z), wide)
    ]
    return np.concatenate(parts)


def _best_starts(law: Law, data: Data, count: int) -> Array:
    flat = grid(law, data)
    problems, size, k = flat.shape
    lower, upper = box(law, data)
    flat = np.clip(flat, lower[:, None, :], upper[:, None, :])
    theta, cost = best_level(law, data, flat.reshape(-1, k), np.repeat(np.arange(problems), size))
    cost = cost.reshape(problems, size)
    cost = np.where(np.isfinite(cost), cost, np.inf)
    theta = theta.reshape(problems, size, k)
    if law.name == "exp-decay":
        blocks = cost.reshape(problems, len(STRETCHES), PLACES)
        rank = np.argsort(np.argsort(blocks, axis=2), axis=2).reshape(problems, size)
        order = np.lexsort((cost, np.minimum(rank, 2)), axis=1)[:, :count]
    else:
        order = np.argsort(cost, axis=1)[:, :count]
    return np.asarray(np.take_along_axis(theta, order[:, :, None], axis=1))
