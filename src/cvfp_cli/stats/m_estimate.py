"""Errors of an M-estimate where the spread differs from run to run, as in tables gathered from many sources.

Huber's loss with a threshold delta far below the noise sees of most runs their sign alone, and how sharply it sees
the curve at a run depends on the density of that run's error at 0. One density for all makes intervals too short where
precise runs lie in one corner of the table; each run's own share of the curvature does not.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cvfp_cli.stats.components import Array, Rows
from cvfp_cli.stats.contrast_errors import NO_FREEDOM, NOT_DETERMINED, ContrastErrors


def local_errors(
    design: ArrayLike,
    residuals: ArrayLike,
    weights: ArrayLike,
    threshold: float,
    clusters: Rows | None = None,
) -> ContrastErrors:
    """Errors of contrasts of a fit by Huber's loss, by the sandwich with a local density (Powell 1991).

    B^-1 M B^-1 with M = sum over clusters of (X_g'psi_g)(X_g'psi_g)', psi the residual cut at the threshold, and
    B = sum of d_i x_i x_i', d_i the curvature of the loss at run i: 1 within the threshold, and where that is narrower
    than the bandwidth h, threshold / h within h and 0 beyond. h is Hall and Sheather's (1988) for the median, on a
    scale from the median of the residuals' sizes. A fit of absolute errors passes through p runs whatever the errors
    are, so p of the m_h runs within h are left out of B, by the factor (m_h - p) / m_h, the less the closer the
    threshold comes to h; M is raised by m / (m - p).

    Held, for the parameters of the joint law on 40, 80 and 240 runs drawn from a published table (150 sets each, so
    +-5 %): 91-97, 95-98, 94-97 % with each run's own spread, where one density held 72-83, 64-88, 68-84 %;
    95-99, 97-99, 93-99 % with one spread, at 1 to 1.3 times the width. Errors that sizes share need the error model, on
    psi / mean(psi') in place of residuals, or clusters of which there are many.

    Args:
        design: Jacobian at the estimate, (m, p). residuals: (m,). weights: contrasts, (k, p) or (p,).
        threshold: delta of the loss, in units of the residuals.
        clusters: a code for each run, runs of one cluster sharing errors; each on its own without them.

    Returns:
        errors with m - p degrees of freedom, or the number of clusters minus 1 if that is less; the scale of a profile is
        NaN, since no one rise of the loss fits all contrasts.
    """
    x, r = np.asarray(design, dtype=float), np.asarray(residuals, dtype=float)
    c = np.atleast_2d(np.asarray(weights, dtype=float))
    m, p = x.shape
    codes = (
        np.arange(m) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1].ravel()
    )
    df = float(min(m - p, int(codes.max())))
    norms = np.where(np.linalg.norm(x, axis=0) > 0, np.linalg.norm(x, axis=0), 1.0)
    x, c = x / norms, c / norms
    h = max(threshold, _bandwidth(r))
    inside = np.abs(r) <= h
    count = int(np.sum(inside))
    if df <= 0 or count <= p:
        return _without(len(c), NO_FREEDOM)
    bread = (x[inside].T @ x[inside]) * (threshold / h) * (count - p * (1.0 - threshold / h)) / count
    values, axes = np.linalg.eigh(bread)
    if values[0] <= 1e-12 * values[-1]:
        return _without(len(c), NOT_DETERMINED)
    scores = np.zeros((int(codes.max()) + 1, p))
    np.add.at(scores, codes, x * np.clip(r, -threshold, threshold)[:, None])
    loads = c @ (axes / values) @ axes.T
    variance = np.sum((loads @ scores.T) ** 2, axis=1) * m / (m - p)
    if clusters is not None:
        groups = int(codes.max()) + 1
        variance = variance * groups / (groups - 1)
    return ContrastErrors(variance, np.full(len(c), df), np.full(len(c), np.nan), ("",) * len(c))


def _bandwidth(r: Array) -> float:
    """Hall and Sheather's for the median at 95 %, from shares of the normal distribution to units of the residuals."""
    scale = float(np.median(np.abs(r))) / float(special.ndtri(0.75))
    share = (
        len(r) ** (-1.0 / 3.0) * float(special.ndtri(0.975)) ** (2.0 / 3.0) * (0.75 / np.pi) ** (1.0 / 3.0)
    )
    return scale * float(special.ndtri(0.5 + min(share, 0.4)))


def _without(count: int, reason: str) -> ContrastErrors:
    """No errors, and why."""
    nothing = np.full(count, np.nan)
    return ContrastErrors(nothing, np.zeros(count), nothing, (reason,) * count)
