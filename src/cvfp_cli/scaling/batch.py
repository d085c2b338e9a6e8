"""Groups of points as one padded batch for the solver, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvfp_cli.laws.base import Data, Law
from cvfp_cli.laws.quantities import Scale
from cvfp_cli.scaling.curves import residuals
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points


@dataclass(frozen=True)
class Batch:
    """P groups in the solver's units; columns beyond a group's own points are padding of weight 0.

    Attributes:
        data: ln n from the smallest size on, and ln y or y in units of its geometric mean.
        scale: back to the user's units. size: index of each point's distinct size, -1 for padding, (P, m).
    """

    groups: tuple[Points, ...]
    data: Data
    scale: Scale
    size: Rows

    def take(self, rows: Rows) -> "Batch":
        """The groups at ``rows`` (repeats allowed)."""
        scale = Scale(self.scale.origin[rows], self.scale.log_unit[rows], self.scale.lowest[rows])
        return Batch(tuple(self.groups[row] for row in rows), self.data.take(rows), scale, self.size[rows])

    def with_weight(self, weight: Array) -> "Batch":
        """The same groups with some points left out."""
        data = Data(self.data.z, self.data.target, weight, self.data.objective)
        return Batch(self.groups, data, self.scale, self.size)

    @property
    def counts(self) -> Array:
        """Points that count in each group, (P,)."""
        return np.asarray(self.data.weight.sum(axis=1))

    @property
    def log_y(self) -> Array:
        """ln y in the curve's unit, (P, m); 0 where padded."""
        if self.data.objective == "log":
            return self.data.target
        return np.log(np.where(self.data.target > 0, self.data.target, 1.0))

    def log_predicted(self, law: Law, theta: Array) -> Array:
        """ln of the fitted curve at every point, in the curve's unit, (P, m)."""
        return law.log_value(theta, self.data.z)

    def residuals(self, law: Law, theta: Array) -> Array:
        """Residuals on the objective's scale, 0 where left out, (P, m)."""
        return residuals(law, self.data, theta)[0]


def make_batch(groups: Sequence[Points], objective: str, *, common_origin: bool = False) -> Batch:
    """Pad groups to one batch; z is 0 at the smallest size.

    There, steps are as well scaled as smooth curves: the asymptote's share and the excess are both of order 1,
    whereas in the middle of the data a steep curve's excess is too small a number to work with.

    Args:
        common_origin: one zero of z for all groups, so that shared shapes mean the same curve.
    """
    width = max(len(group) for group in groups)
    shape = (len(groups), width)
    z, target, weight = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    size = np.full(shape, -1, dtype=np.intp)
    origin, log_unit, lowest = (np.zeros(len(groups)) for _ in range(3))
    first = float(min(np.log(group.x.min()) for group in groups))
    for p, group in enumerate(groups):
        m = len(group)
        log_x, log_y = np.log(group.x), np.log(group.y)
        origin[p] = first if common_origin else log_x[0]
        log_unit[p] = log_y.mean() if objective == "ppl" else 0.0
        z[p, :m] = log_x - origin[p]
        target[p, :m] = log_y if objective == "log" else np.exp(log_y - log_unit[p])
        weight[p, :m] = group.relative_weights
        size[p, :m] = group.size_index
        lowest[p] = log_y.min() - log_unit[p]
    return Batch(tuple(groups), Data(z, target, weight, objective), Scale(origin, log_unit, lowest), size)
