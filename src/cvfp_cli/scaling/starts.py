"""Starting points: the best of a law's grid, each with its best level."""

import numpy as np

from cvfp_cli.laws.base import Data, Law
from cvfp_cli.scaling.curves import best_level, pieces
from cvfp_cli.stats.solver import Array

# A grid's curves for one data set, at most, and how many times as many as are worked on at a time it may be: it needs
# no derivatives.
MOST_SHAPES = 240
GRID_PIECES = 16


def best_starts(law: Law, data: Data, count: int) -> Array:
    """The ``count`` most promising starting points of each data set, best first, shape (P, count, k).

    Of a law with several kinds of shape the best of every kind comes before second bests, so that the starts differ.
    """
    # A few data sets at a time: each has hundreds of grid points.
    wide = MOST_SHAPES * data.z.shape[1] // GRID_PIECES
    parts = [
        _best_starts(law, data.take(np.arange(len(data.z))[part]), count)
        for part in pieces(len(data.z), wide)
    ]
    return np.concatenate(parts)


def _best_starts(law: Law, data: Data, count: int) -> Array:
    flat = law.grid(data)
    problems, size, k = flat.shape
    lower, upper = law.box(data)
    flat = np.clip(flat, lower[:, None, :], upper[:, None, :])
    theta, cost = best_level(law, data, flat.reshape(-1, k), np.repeat(np.arange(problems), size))
    cost = cost.reshape(problems, size)
    cost = np.where(np.isfinite(cost), cost, np.inf)
    theta = theta.reshape(problems, size, k)
    if law.blocks > 1:
        blocks = cost.reshape(problems, law.blocks, -1)
        rank = np.argsort(np.argsort(blocks, axis=2), axis=2).reshape(problems, size)
        order = np.lexsort((cost, np.minimum(rank, 2)), axis=1)[:, :count]
    else:
        order = np.argsort(cost, axis=1, kind="stable")[:, :count]
    return np.asarray(np.take_along_axis(theta, order[:, :, None], axis=1))
