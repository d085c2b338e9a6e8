"""Minimise a Huber loss over many small curve fits at once: reweighted least squares that turns into Newton.

With a threshold far below the noise, as Hoffmann et al. (2022) and Besiroglu et al. (2024) use, the loss is nearly the
sum of absolute errors: only the few points within the threshold have curvature. Weighting every point by
min(1, delta / |r|) is safe but slow; using the curvature of the inner points alone is Newton's method and fast near the
end. The Hessian used here is the inner points' plus ``blend`` times the outer points' weights, and ``blend`` shrinks as
steps succeed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cvfp_cli.stats.solver import Array, Rows

# theta (P, k) and rows -> residuals (P, m) and their Jacobian by theta (P, m, k).
Model = Callable[[Array, Rows], tuple[Array, Array]]


@dataclass(frozen=True)
class HuberSolution:
    """Unknowns (P, k) and the loss (P,)."""

    theta: Array
    loss: Array


def huber_loss(r: Array, weight: Array, threshold: float) -> Array:
    """Sum of ``r^2 / 2`` within the threshold and ``threshold (|r| - threshold / 2)`` beyond, (P,)."""
    size = np.abs(r)
    inner = np.minimum(size, threshold)
    return np.asarray(np.einsum("pm,pm->p", weight, inner * (size - 0.5 * inner)))


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def minimise_huber(
    model: Model,
    start: Array,
    weight: Array,
    lower: Array,
    upper: Array,
    threshold: float,
    *,
    max_iterations: int = 300,
    tolerance: float = 1e-9,
) -> HuberSolution:
    """Lower the Huber loss of every problem from its own start, within its own box.

    Args:
        start, lower, upper: shape (P, k). weight: shape (P, m), such as bootstrap counts.
        tolerance: a problem ends after three steps in a row that each gain less than this share of the loss.
    """
    theta = np.clip(start, lower, upper)
    every = np.arange(len(theta))
    r, jacobian = model(theta, every)
    loss = huber_loss(r, weight, threshold)
    blend = np.full(len(theta), 1.0)
    damping = np.full(len(theta), 1e-6)
    calm = np.zeros(len(theta), dtype=np.int64)
    live = every
    diagonal = np.arange(theta.shape[1])
    for _ in range(max_iterations):
        if live.size == 0:
            break
        here, r_live, j_live, w = theta[live], r[live], jacobian[live], weight[live]
        size = np.abs(r_live)
        inner = size <= threshold
        hessian_weight = w * np.where(inner, 1.0, blend[live][:, None] * threshold / np.maximum(size, 1e-300))
        slope = w * np.clip(r_live, -threshold, threshold)
        transposed = j_live.transpose(0, 2, 1)
        direction = -(transposed @ slope[:, :, None])[:, :, 0]
        gram = transposed @ (hessian_weight[:, :, None] * j_live)
        low, high = lower[live], upper[live]
        held = ((here <= low) & (direction <= 0.0)) | ((here >= high) & (direction >= 0.0))
        direction = np.where(held, 0.0, direction)
        gram = np.where(held[:, :, None] | held[:, None, :], 0.0, gram)
        own = gram[:, diagonal, diagonal]
        gram[:, diagonal, diagonal] = np.where(
            held | (own <= 0.0), 1.0, own * (1.0 + damping[live][:, None]) + 1e-300
        )
        unit = 1.0 / np.sqrt(gram[:, diagonal, diagonal])
        gram *= unit[:, :, None] * unit[:, None, :]
        gram[:, diagonal, diagonal] = 1.0 + 1e-12
        step = np.linalg.solve(gram, (unit * direction)[:, :, None])[:, :, 0] * unit
        trial = np.clip(here + np.clip(step, -2.0, 2.0), low, high)
        new_r, new_jacobian = model(trial, live)
        new_loss = huber_loss(new_r, w, threshold)
        better = new_loss < loss[live]
        small = loss[live] - new_loss <= tolerance * loss[live]
        won = live[better]
        theta[won], loss[won] = trial[better], new_loss[better]
        r[won], jacobian[won] = new_r[better], new_jacobian[better]
        blend[live] = np.clip(blend[live] * np.where(better, 0.5, 4.0), 1e-3, 1.0)
        # Damping is the last resort: it grows only where even full reweighting fails.
        damping[live] = np.where(
            better,
            np.maximum(damping[live] * 0.2, 1e-9),
            np.where(blend[live] >= 1.0, damping[live] * 10.0, damping[live]),
        )
        calm[live] = np.where(better & ~small, 0, calm[live] + (better & small))
        live = live[~((calm[live] >= 3) | (damping[live] > 1e8) | (loss[live] <= 1e-30))]
    return HuberSolution(theta, loss)
