"""How well a law predicts points that it was not fitted to: one at a time, the largest sizes (or the points that another
column chooses), rolling origins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.laws.base import Law
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.curves import pieces
from cvfp_cli.scaling.global_fit import CurveFits, fit_curves, refit_curves
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Holdout, Points

# Grid starts of each refit; the optimum of the nested simpler law comes on top.
STARTS = 6
# Up to this many points a refit without one of them is a fit of its own.
FEW = 50
# Sizes at either end that are left out like the points of a small group; and when a refit near the optimum has ended.
ENDS = 2
NEAR_TOLERANCE = 1e-10
# Rolling origins of one group at most.
MOST_ORIGINS = 50
# Refits are posed this many pieces of the work at a time.
TABLES = 64


Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Origin:
    """One test: fitted to the ``sizes`` smallest sizes of ``group``, judged on the next.

    Attributes:
        error: |ln(predicted / measured)|, mean over the replicates there.
    """

    group: int
    sizes: int
    error: float


def _refit(law: Law, batch: Batch, rows: Rows, weight: Array) -> Array:
    """ln(predicted / measured) at every point (R, m) of fits to the points that ``weight`` keeps."""
    part = batch.take(rows).with_weight(weight)
    fits = fit_curves(law, part.data, starts=STARTS)
    return part.log_predicted(law, fits.theta) - part.log_y


def _sizes(batch: Batch) -> Array:
    return np.asarray(batch.size.max(axis=1) + 1)


def leave_one_out(fits: CurveFits, batch: Batch) -> Array:
    """Mean |ln(predicted / measured)| over points left out one at a time, (P,); NaN where too few would be left.

    A group of at most ``FEW`` points is fitted anew without each of them. One point among more hardly moves the
    optimum, unless it lies at an end: the refits without an inner one start from the optimum of all.
    """
    law, weight, size = fits.law, batch.data.weight, batch.size
    rows, columns = np.nonzero(weight > 0)
    # A size goes with its point where that is alone there.
    left = np.array(
        [len(np.unique(s[w > 0])) - _has_single(s[w > 0]) for s, w in zip(size, weight, strict=True)]
    )
    # A group is judged by all of its points or not at all.
    good = left >= max(law.k, 2)
    inner = (size >= ENDS) & (size < _sizes(batch)[:, None] - ENDS)
    # Where a size is repeated the others stay at the end.
    repeated = np.array([np.isin(s, np.flatnonzero(np.bincount(s[s >= 0]) > 1)) for s in size])
    inner = (inner | repeated) & (batch.counts > FEW)[:, None]
    near = inner[rows, columns]
    error = np.zeros(len(rows))
    for warm in (False, True):
        at = np.flatnonzero(good[rows] & (near == warm))
        for some in pieces(len(at), -(-size.shape[1] // TABLES)):
            mine, out = rows[at[some]], columns[at[some]]
            kept = weight[mine]
            kept[np.arange(len(mine)), out] = 0.0
            if warm:
                part = batch.take(mine).with_weight(kept)
                theta = refit_curves(law, part.data, fits.theta[mine][:, None, :], NEAR_TOLERANCE)
                errors = part.log_predicted(law, theta) - part.log_y
            else:
                errors = _refit(law, batch, mine, kept)
            error[at[some]] = np.abs(errors[np.arange(len(mine)), out])
    return np.array([error[rows == p].mean() if good[p] else np.nan for p in range(len(batch.groups))])


def _has_single(size: Rows) -> bool:
    """Whether some size of one group has one point alone."""
    counts = np.bincount(size)
    return bool(np.any(counts == 1))


def hidden_masks(values: Array, count: int, *, each: bool = False) -> list[Mask]:
    """Which points each test hides: those of the ``count`` largest values (m,) together, or of each value in turn."""
    different, index = np.unique(values, return_inverse=True)
    if each:
        return [index == code for code in range(len(different))]
    return [index >= len(different) - count]


def forward_masks(points: Points, count: int) -> list[Mask]:
    """Which points each forward test hides: the largest sizes, or what the points' ``holdout`` says."""
    by = points.holdout or Holdout("", points.size_index.astype(float), each=False)
    return hidden_masks(by.values, count, each=by.each)


def forward(law: Law, batch: Batch, holdout: int) -> list[list[tuple[int, float]]]:
    """For each group, (column, ln(predicted / measured)) of the points of its ``holdout`` largest sizes.

    They are predicted by a fit to the other points, as ``forward_masks`` says; an empty list where those have fewer
    sizes than the law has parameters, in any of the group's tests.
    """
    result: list[list[tuple[int, float]]] = [[] for _ in batch.groups]
    tests: list[tuple[int, Mask]] = []
    for p, points in enumerate(batch.groups):
        masks = forward_masks(points, holdout)
        if all(len(np.unique(points.size_index[~mask])) >= max(law.k, 2) for mask in masks):
            tests += [(p, mask) for mask in masks]
    if not tests:
        return result
    rows = np.array([p for p, _ in tests], dtype=np.intp)
    out = np.zeros((len(tests), batch.size.shape[1]), dtype=bool)
    for hidden, (_, mask) in zip(out, tests, strict=True):
        hidden[: len(mask)] = mask
    errors = _refit(law, batch, rows, np.where(out, 0.0, batch.data.weight[rows]))
    for p, hidden, error in zip(rows, out, errors, strict=True):
        result[p] += [(int(c), float(error[c])) for c in np.flatnonzero(hidden)]
    return result


def origins(first: int, sizes: int) -> list[int]:
    """How many of the smallest sizes to fit to, from ``first`` to all but one; of very many, some at equal steps.

    Laws are compared on the tests that they share, so the steps are counted back from the last size.
    """
    step = max(1, -(-sizes // MOST_ORIGINS))
    return list(range(sizes - 1, first - 1, -step))[::-1]


def rolling_origins(law: Law, batch: Batch) -> list[Origin]:
    """The tests that the sizes allow: fitted to the first j sizes, judged on the next, j from k upwards."""
    sizes = _sizes(batch)
    tests = [(p, j) for p in range(len(batch.groups)) for j in origins(max(law.k, 2), int(sizes[p]))]
    if not tests:
        return []
    rows = np.array([p for p, _ in tests], dtype=np.intp)
    origin = np.array([j for _, j in tests])
    size = batch.size[rows]
    weight = np.where(size < origin[:, None], batch.data.weight[rows], 0.0)
    errors = np.abs(_refit(law, batch, rows, weight))
    judged = size == origin[:, None]
    return [
        Origin(int(p), int(j), float(error[at].mean()))
        for p, j, error, at in zip(rows, origin, errors, judged, strict=True)
    ]
