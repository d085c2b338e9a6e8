"""How far shared fits can be trusted when configurations err together.

Configurations trained on the same samples and judged on the same text share what is hard or easy in them: their
residuals at one size rise and fall together, and nine lines then are not nine independent looks at one slope. The
variance of each figure follows from the components of ``stats.error_model``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cvfp_cli.laws.quantities import Quantity
from cvfp_cli.notes import Note
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.shared import SharedFit, curve
from cvfp_cli.stats.error_model import ErrorModel, fit_error_model
from cvfp_cli.stats.labels import SIZE, Labels
from cvfp_cli.stats.regression import f_quantile
from cvfp_cli.stats.size_errors import SizeErrors, size_errors
from cvfp_cli.stats.solver import Array


class FitErrors(Protocol):
    """What a fit under a constraint is told of its errors."""

    @property
    def df(self) -> int:
        """Degrees of freedom there are in all."""

    def delta(self, fit: SharedFit, quantities: Sequence[Quantity], level: float) -> Array:
        """Allowed rise of the sum of squares for each figure, (Q, 1); NaN where the residuals do not tell."""

    def notes(self, law: str) -> list[Note]:
        """What the intervals assume."""


def no_freedom(law: str) -> Note:
    """Where nothing is left to judge the fit by."""
    message = f"{law}: even so constrained, its parameters leave no degrees of freedom."
    return Note("no-freedom", message, "warning")


@dataclass(frozen=True)
class OwnErrors:
    """The errors of one group's fit under a constraint: by size, as those of its free fit."""

    sizes: SizeErrors

    @property
    def df(self) -> int:
        """Sizes minus parameters."""
        return int(self.sizes.between_df[0])

    def delta(self, fit: SharedFit, quantities: Sequence[Quantity], level: float) -> Array:
        """See ``FitErrors``."""
        none = np.zeros(1, dtype=np.intp)
        rows = [q.functional(fit.theta, none)[1][:, fit.layout.free] for q in quantities]
        return np.array(
            [self.sizes.allowed(row, level, q.place) for row, q in zip(rows, quantities, strict=True)]
        )

    def notes(self, law: str) -> list[Note]:
        """See ``FitErrors``."""
        return [no_freedom(law)] if self.df <= 0 else []


@dataclass(frozen=True)
class SharedErrors:
    """The components of a shared fit's residuals; ``several``: more configurations than one at some size."""

    model: ErrorModel
    several: bool

    @property
    def df(self) -> int:
        """Degrees of freedom there are in all."""
        return self.model.free

    def delta(self, fit: SharedFit, quantities: Sequence[Quantity], level: float) -> Array:
        """Allowed rise of the sum of squares for each figure, (Q, 1); NaN where the residuals do not tell."""
        rows = np.array([q.functional(fit.theta, np.zeros(1, dtype=np.intp))[1][0] for q in quantities])
        rows = rows[:, fit.layout.free]
        of_curve, of_run = self.model.contrasts(rows), self.model.of_new_runs(rows)
        result = []
        for i, q in enumerate(quantities):
            found = of_run if q.place is not None else of_curve
            if found.reason[i]:
                result.append([np.nan])
                continue
            # The cost of one more measurement rises by its miss squared over 1 + the curve's own share.
            alone = of_curve.variance[i] / of_curve.scale[i] if of_curve.scale[i] > 0.0 else 0.0
            unit = alone + 1.0 if q.place is not None else max(alone, 1e-300)
            result.append([f_quantile(level, 1.0, float(found.df[i])) * float(found.variance[i]) / unit])
        return np.array(result)

    def notes(self, law: str) -> list[Note]:
        """What the intervals assume."""
        if self.df <= 0:
            return [no_freedom(law)]
        if not self.several:
            return []
        if SIZE in self.model.unseen:
            message = (
                f"{law}: as many sizes as the law has parameters: how far it misses a size that all configurations "
                "share cannot be seen, so figures that depend on it have no interval. More sizes would show it."
            )
            return [Note("common-errors-unknown", message, "warning")]
        common = self.model.shared_by_size
        if common == 0.0:
            return []
        message = (
            f"{law}: configurations err together at one size (correlation {common:.2f}); "
            "the intervals allow for it."
        )
        return [Note("common-errors", message, values={"correlation": common})]


def free_jacobian(fit: SharedFit) -> Array:
    """Derivatives of the curves, on the objective's scale, by what is estimated: (G, m, unknowns)."""
    value, own = curve(fit.law, fit.coordinates(), fit.data.z)
    if fit.data.objective == "ppl":
        own = own * np.exp(value)[..., None]
    return np.stack([fit.layout.scatter(g, part) for g, part in enumerate(own)])[..., fit.layout.free]


def shared_errors(fit: SharedFit, batch: Batch, residuals: Array) -> FitErrors:
    """The error model of a fit from its weighted residuals (G, m)."""
    counted = batch.data.weight > 0
    full = free_jacobian(fit)
    if len(batch.groups) == 1:
        rows = np.where(counted[..., None], full, 0.0)
        return OwnErrors(size_errors(residuals, rows, batch.data.weight, batch.size, batch.data.z))
    sizes = np.zeros(counted.shape)
    configuration = np.zeros(counted.shape)
    studies = np.unique([points.study for points in batch.groups], return_inverse=True)[1]
    for g, points in enumerate(batch.groups):
        sizes[g, : len(points)] = points.sizes
        configuration[g] = g
    weight = batch.data.weight[counted]
    study = np.broadcast_to(studies[:, None], counted.shape)[counted]
    size = np.unique(np.column_stack([study, sizes[counted]]), axis=0, return_inverse=True)[1].ravel()
    model = fit_error_model(
        residuals[counted] / np.sqrt(weight),
        full[counted],
        Labels.of(size, configuration[counted]),
        weight=weight,
    )
    return SharedErrors(model, bool(np.bincount(size).max() > 1))
