"""How far shared fits can be trusted when configurations err together.

Configurations trained on the same samples and judged on the same text share what is hard or easy in them: their
residuals at one size rise and fall together, and nine lines then are not nine independent looks at one slope. The
errors are taken as a part common to all points of one size and a part of each point's own, with variances from the
mean squares between and within sizes; each figure's variance follows from both (the sandwich formula), and its degrees
of freedom from Satterthwaite's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvfp_cli.laws.quantities import Quantity
from cvfp_cli.notes import Note
from cvfp_cli.scaling.batch import Batch
from cvfp_cli.scaling.shared import SharedFit, curve
from cvfp_cli.stats.regression import f_quantile
from cvfp_cli.stats.solver import Array


@dataclass(frozen=True)
class SharedErrors:
    """Variance components of a shared fit's residuals.

    Attributes:
        within, within_df: mean square within sizes and its degrees of freedom.
        between, between_df: mean square between sizes; df 0 where the law leaves no size to estimate it from.
        per_size: points a size, on average. jacobian: of all points, (n, K). cluster: size of each point, (n,).
    """

    within: float
    within_df: int
    between: float
    between_df: int
    per_size: float
    jacobian: Array
    cluster: Array

    @property
    def df(self) -> int:
        """Degrees of freedom there are in all."""
        return self.within_df + self.between_df

    @property
    def common(self) -> float:
        """Variance of the part that all points of one size have in common."""
        if self.between_df <= 0:
            return 0.0
        return max(0.0, (self.between - self.within) / self.per_size)

    def delta(self, fit: SharedFit, quantities: Sequence[Quantity], level: float) -> Array:
        """Allowed rise of the sum of squares for each figure, (Q, 1)."""
        gram = self.jacobian.T @ self.jacobian
        unit = 1.0 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
        inverse = np.linalg.inv(gram * np.outer(unit, unit) + 1e-10 * np.eye(len(gram))) * np.outer(
            unit, unit
        )
        sums = np.array([self.jacobian[self.cluster == size].sum(axis=0) for size in np.unique(self.cluster)])
        result = []
        for q in quantities:
            _, gradient = q.functional(fit.theta, np.zeros(1, dtype=np.intp))
            row = inverse @ gradient[0]
            new = 1.0 if q.hold is None else 0.0
            alone = float(gradient[0] @ row) + new
            clustered = float(np.sum((sums @ row) ** 2)) + new
            result.append([self._allowed(max(alone, 1e-300), clustered, level)])
        return np.array(result)

    def _allowed(self, alone: float, clustered: float, level: float) -> float:
        """F quantile times variance, from the figure's variance per unit of own error and of common error."""
        if self.common == 0.0:
            pooled = (self.within * self.within_df + self.between * self.between_df) / self.df
            return f_quantile(level, 1.0, self.df) * pooled
        of_between = clustered / self.per_size * self.between
        of_within = max(alone - clustered / self.per_size, 0.0) * self.within
        variance = of_between + of_within
        df = variance**2 / (of_between**2 / self.between_df + of_within**2 / max(self.within_df, 1))
        return f_quantile(level, 1.0, df) * variance / alone

    def notes(self, law: str) -> list[Note]:
        """What the intervals assume."""
        if self.df <= 0:
            return [
                Note(
                    "no-freedom",
                    f"{law}: even shared, its parameters leave no degrees of freedom.",
                    "warning",
                )
            ]
        if self.per_size <= 1.0:
            return []
        if self.between_df <= 0:
            message = (
                f"{law}: as many sizes as the law has parameters: errors common to all configurations at one size "
                "cannot be seen, and the intervals assume that there are none."
            )
            return [Note("common-errors-unknown", message, "warning")]
        if self.common == 0.0:
            return []
        share = self.common / (self.common + self.within) if self.within + self.common > 0 else 1.0
        message = f"{law}: configurations err together at one size (correlation {share:.2f}); the intervals allow for it."
        return [Note("common-errors", message)]


def shared_errors(fit: SharedFit, batch: Batch, residuals: Array) -> SharedErrors:
    """Mean squares of a shared fit's residuals (G, m) between and within sizes."""
    counted = batch.data.weight > 0
    value, own = curve(fit.law, fit.coordinates(), batch.data.z)
    if batch.data.objective == "ppl":
        own = own * np.exp(value)[..., None]
    full = np.zeros((*value.shape, fit.layout.unknowns))
    for g, positions in enumerate(fit.layout.position):
        full[g][:, positions] = own[g]
    sizes = np.zeros(counted.shape)
    for g, points in enumerate(batch.groups):
        sizes[g, : len(points)] = points.sizes
    jacobian, r = full[counted], residuals[counted]
    cluster = np.unique(sizes[counted], return_inverse=True)[1].astype(float)
    index = cluster.astype(np.intp)
    counts = np.bincount(index)
    rss = float(r @ r)
    between_ss = float(np.sum(np.bincount(index, r) ** 2 / counts))
    total_df = len(r) - fit.layout.unknowns
    between_df = max(min(len(counts) - fit.law.k, total_df - 1), 0) if counts.max() > 1 else 0
    within_df = total_df - between_df
    if between_df == 0:
        between_ss = 0.0
    return SharedErrors(
        within=max(rss - between_ss, 0.0) / within_df if within_df > 0 else 0.0,
        within_df=max(within_df, 0),
        between=between_ss / between_df if between_df > 0 else 0.0,
        between_df=between_df,
        per_size=len(r) / len(counts),
        jacobian=jacobian,
        cluster=cluster,
    )
