"""How well a law predicts points that it was not fitted to: one at a time, the largest sizes (or the points that another
column chooses), rolling origins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.global_fit import fit_curves
from cvfp_cli.scaling.laws import Law
from cvfp_cli.scaling.points import Holdout, Points
from cvfp_cli.scaling.solver import Array, Rows

# Grid starts of each refit; the optimum of the nested simpler law comes on top.
STARTS = 6


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


def leave_one_out(law: Law, batch: Batch) -> Array:
    """Mean |ln(predicted / measured)| over points left out one at a time, (P,); NaN where too few would be left."""
    rows, columns = np.nonzero(batch.data.weight > 0)
    weight = batch.data.weight[rows].copy()
    weight[np.arange(len(rows)), columns] = 0.0
    left = np.array([len(set(s[w > 0])) for s, w in zip(batch.size[rows], weight, strict=True)])
    enough = left >= max(law.k, 2)
    # A group is judged by all of its points or not at all.
    good = np.array([bool(np.all(enough[rows == p])) for p in range(len(batch.groups))])
    result = np.full(len(batch.groups), np.nan)
    keep = good[rows]
    if keep.any():
        errors = _refit(law, batch, rows[keep], weight[keep])
        own = np.abs(errors[np.arange(len(errors)), columns[keep]])
        for p in np.flatnonzero(good):
            result[p] = own[rows[keep] == p].mean()
    return result


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


def rolling_origins(law: Law, batch: Batch) -> list[Origin]:
    """Every test that the sizes allow: fitted to the first j sizes, judged on the next, j from k upwards."""
    sizes = _sizes(batch)
    tests = [(p, j) for p in range(len(batch.groups)) for j in range(max(law.k, 2), int(sizes[p]))]
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
