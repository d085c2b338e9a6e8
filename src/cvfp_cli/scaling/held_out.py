"""How well a fit predicts points that it was not made from: one at a time, the largest sizes (or the points that another
column chooses), rolling origins.

Every kind of fit says what is fitted together, what determines it and how it is made again (``Pools``). Which points are
hidden from it, and what its errors there come to, is the same for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.laws.base import Law
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.curves import pieces
from cvfp_cli.scaling.global_fit import CurveFits, fit_curves, refit_curves
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points

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
Test = tuple[int, float]
"""A point by its place in its group, and ln(predicted / measured) there."""


@dataclass(frozen=True)
class Origin:
    """One test: fitted to the ``sizes`` smallest sizes of ``group``, judged on the next.

    Attributes:
        error: |ln(predicted / measured)|, mean over the replicates there.
    """

    group: int
    sizes: int
    error: float


@dataclass(frozen=True)
class Pools:
    """Fits that can be made again without some of their points: P pools of up to m points, each of one or more groups.

    Attributes:
        group: which group each point belongs to, (P, m); -1 where there is no point.
        size: the index of its size, (P, m).
        determined: whether the points of a pool that a mask (m,) does not hide determine its fit.
        refit: ln(predicted / measured) (T, m) of fits of the pools at ``rows`` (T,) to what masks (T, m) do not hide.
    """

    group: Rows
    size: Rows
    determined: Callable[[int, Mask], bool]
    refit: Callable[[Rows, Mask], Array]

    def leave_one_out(self) -> Array:
        """Mean |ln(predicted / measured)| of each group over points left out one at a time; NaN where too few are left."""
        rows, columns = np.nonzero(self.group >= 0)
        member, width = self.group[rows, columns], self.group.shape[1]
        error = np.full(len(rows), np.nan)
        # A pool is judged by all of its points or not at all.
        good = np.array([self._spares_one(p) for p in range(len(self.group))])
        on = np.flatnonzero(good[rows])
        for some in pieces(len(on), -(-width // TABLES)):
            pool, out = rows[on[some]], columns[on[some]]
            errors = self.refit(pool, np.arange(width) == out[:, None])
            error[on[some]] = np.abs(errors[np.arange(len(out)), out])
        return np.array([error[member == g].mean() for g in range(int(member.max()) + 1)])

    def _spares_one(self, pool: int) -> bool:
        """Whether any point of a pool may go; a size goes with its point where that is alone there."""
        for g in np.unique(self.group[pool][self.group[pool] >= 0]):
            mine = np.flatnonzero(self.group[pool] == g)
            size = self.size[pool, mine]
            rarest = mine[np.bincount(size)[size].argmin()]
            if not self.determined(pool, np.arange(self.group.shape[1]) == rarest):
                return False
        return True

    def forward(self, masks: Sequence[Sequence[Mask]]) -> list[list[Test]]:
        """For each pool, the tests of all points (in their own order) that its masks hide, mask by mask.

        None where what one of its masks leaves does not determine the fit.
        """
        found: list[list[Test]] = [[] for _ in masks]
        tests = []
        for p, own in enumerate(masks):
            # Of the pool's points among its places.
            hidden = np.zeros((len(own), self.group.shape[1]), dtype=np.bool_)
            hidden[:, self.group[p] >= 0] = own
            if all(self.determined(p, mask) for mask in hidden):
                tests += [(p, mask) for mask in hidden]
        if not tests:
            return found
        rows = np.array([p for p, _ in tests], dtype=np.intp)
        hidden = np.array([mask for _, mask in tests])
        for p, mask, error in zip(rows, hidden, self.refit(rows, hidden), strict=True):
            place = np.cumsum(self.group[p] >= 0) - 1
            found[p] += [(int(place[c]), float(error[c])) for c in np.flatnonzero(mask)]
        return found

    def origins(self, least: int = 2) -> list[Origin]:
        """The tests that the sizes allow: fitted to the first j sizes, judged on the next, j from ``least`` upwards."""
        tests = [
            (p, j)
            for p, size in enumerate(self.size)
            for j in origins(least, int(size.max()) + 1)
            if self.determined(p, size >= j)
        ]
        if not tests:
            return []
        rows, origin = (np.array(part, dtype=np.intp) for part in zip(*tests, strict=True))
        size, group = self.size[rows], self.group[rows]
        errors = np.abs(self.refit(rows, size >= origin[:, None]))
        return [
            Origin(int(g), int(j), float(errors[i, (group[i] == g) & (size[i] == j)].mean()))
            for i, j in enumerate(origin)
            for g in np.unique(group[i][(group[i] >= 0) & (size[i] == j)])
        ]


def mean_error(tests: Sequence[Test]) -> float | None:
    """Mean |ln(predicted / measured)|; None without tests."""
    return float(np.mean([abs(error) for _, error in tests])) if tests else None


def own_pools(law: Law, batch: Batch, fits: CurveFits | None = None) -> Pools:
    """Each group of a batch, fitted on its own.

    Args:
        fits: their optima. One point among more than ``FEW`` hardly moves them, unless it lies at an end: the refits
            without an inner one start there.
    """
    weight, counted = batch.data.weight, batch.data.weight > 0
    near = _inner(batch) if fits is not None else np.zeros_like(counted)

    def determined(p: int, hidden: Mask) -> bool:
        return len(np.unique(batch.size[p][counted[p] & ~hidden])) >= max(law.k, 2)

    def refit(rows: Rows, hidden: Mask) -> Array:
        errors = np.empty(hidden.shape)
        warm = (hidden.sum(axis=1) == 1) & near[rows, hidden.argmax(axis=1)]
        for at in (np.flatnonzero(~warm), np.flatnonzero(warm)):
            if not at.size:
                continue
            mine = rows[at]
            part = batch.take(mine).with_weight(np.where(hidden[at], 0.0, weight[mine]))
            if fits is not None and warm[at[0]]:
                theta = refit_curves(law, part.data, fits.theta[mine][:, None, :], NEAR_TOLERANCE)
            else:
                theta = fit_curves(law, part.data, starts=STARTS).theta
            errors[at] = part.log_predicted(law, theta) - part.log_y
        return errors

    group = np.where(counted, np.arange(len(weight))[:, None], -1)
    return Pools(group, batch.size, determined, refit)


def _inner(batch: Batch) -> Mask:
    """Which points (P, m) of large groups are neither at an end nor, alone, a size at one."""
    size = batch.size
    inner = (size >= ENDS) & (size <= size.max(axis=1, keepdims=True) - ENDS)
    # Where a size is repeated the others stay at the end.
    repeated = np.array([np.isin(s, np.flatnonzero(np.bincount(s[s >= 0]) > 1)) for s in size])
    return np.asarray((inner | repeated) & (batch.counts > FEW)[:, None])


def hidden_masks(values: Array, count: int, *, each: bool = False) -> list[Mask]:
    """Which points each test hides: those of the ``count`` largest values (m,) together, or of each value in turn."""
    different, index = np.unique(values, return_inverse=True)
    if each:
        return [index == code for code in range(len(different))]
    return [index >= len(different) - count]


def forward_masks(groups: Sequence[Points], count: int, sizes: Array | None = None) -> list[Mask]:
    """Which points of the groups, one after the other, each forward test hides.

    Args:
        count: of the largest sizes, where the groups' ``holdout`` says nothing else.
        sizes: of all points; each group's own without them.
    """
    by = [points.holdout for points in groups]
    if all(by):
        values = np.concatenate([holdout.values for holdout in by if holdout])
        return hidden_masks(values, count, each=any(holdout.each for holdout in by if holdout))
    if sizes is None:  # counted down from the largest
        sizes = np.concatenate([points.size_index - float(points.distinct_sizes) for points in groups])
    return hidden_masks(sizes, count)


def origins(first: int, sizes: int) -> list[int]:
    """How many of the smallest sizes to fit to, from ``first`` to all but one; of very many, some at equal steps.

    Laws are compared on the tests that they share, so the steps are counted back from the last size.
    """
    step = max(1, -(-sizes // MOST_ORIGINS))
    return list(range(sizes - 1, first - 1, -step))[::-1]
