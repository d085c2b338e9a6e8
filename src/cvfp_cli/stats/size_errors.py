"""Errors of one curve by size: what its figures' variances are when seeds of a size err together, and sizes unequally.

Runs of one size share their samples, so they err together: what counts is the mean of each size. With all points of a
size at one place of the curve nothing else enters its fit, so all of this is arithmetic on one mean a size.

The scatter need not be the same at every size either. From ``ENOUGH`` sizes on the variance of a figure is CR2, the
bias-reduced sandwich (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018), with Bell and McCaffrey's degrees of
freedom, those of its quadratic form under equal variances. With fewer sizes, variances that differ by a factor of 8 do
no harm in simulation (docs/intervals.md), and the t interval is a third shorter.

Notation: J (P, G, k) rows of the Jacobian at the sizes, times the root of a size's summed weight; b (P, G) mean
residuals times the same root; h the leverages of these rows.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cvfp_cli.stats.regression import df_of_square
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.solver import Array, Rows

# Sizes from which on they may err unequally.
ENOUGH = 5
# A leverage this near 1 belongs to a size that the curve passes through whatever it says: the ridge and rounding leave
# about 1e-7 of it.
FULL = 1e-6
# Below this share of its own variance a size's residual is told by little, and is held against what it can be at most.
LITTLE = 1e-2
# A rise of 0, of a figure that only sizes met exactly tell, would have no end of its own.
LEAST = 1e-40
# Ridge of scaled normal equations: what the data do not determine has a large variance, not an infinite one.
RIDGE = 1e-9


@dataclass(frozen=True)
class SizeErrors:
    """Errors of P fitted curves at up to G sizes each; columns without a size have no weight.

    Attributes:
        z: ln n of the sizes, (P, G). count: points at each, 0 where there is no size, (P, G).
        form: U with J (J'J)^-1 J' = U U', (P, G, k). solve: (J'J)^-1, (P, k, k). rows: J, (P, G, k).
        residual: b, (P, G).
        within, within_df: variance between points of one size, weight 1, and its degrees of freedom, (P,); 0 of none.
        between_df: sizes minus parameters, (P,): without any, nothing tells how far the curve is off.
    """

    z: Array
    count: Array
    form: Array
    solve: Array
    rows: Array
    residual: Array
    within: Array
    within_df: Array
    between_df: Array

    def take(self, rows: Rows) -> "SizeErrors":
        """Those of the curves at ``rows``."""
        return SizeErrors(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @cached_property
    def unequal(self) -> NDArray[np.bool_]:
        """Whether sizes may err by different amounts: enough of them, or unequal numbers of points, (P,)."""
        counted = self.count > 0
        most = self.count.max(axis=1)
        same = np.all(~counted | (self.count == most[:, None]), axis=1)
        return np.asarray((counted.sum(axis=1) >= ENOUGH) | ~same)

    @cached_property
    def leverage(self) -> Array:
        """h of every size, (P, G)."""
        return np.asarray(np.clip(np.einsum("pgk,pgk->pg", self.form, self.form), 0.0, 1.0 - FULL))

    def variance(self, gradient: Array, new_at: Array | None = None) -> tuple[Array, Array, Array]:
        """Of figures with these gradients (P, k), each (P,).

        Args:
            new_at: ln n of a new run whose own error counts too, (P,); infinite for one beyond all sizes.

        Returns:
            the variance per unit of equal variance, the variance, and its degrees of freedom. NaN where there are none.
        """
        weights = np.einsum("pgk,pkl,pl->pg", self.rows, self.solve, gradient)
        plain = np.einsum("pg,pg->p", weights, weights)
        rest = 1.0 - self.leverage
        near, more, more_df = np.zeros_like(rest), np.zeros(len(plain)), np.ones(len(plain))
        if new_at is not None:
            near = self._nearness(new_at) / np.maximum(self.count, 1.0)
            more = (1.0 - near.sum(axis=1)) * self.within
            more_df = np.maximum(self.within_df, 1.0)
        of_sizes, df = self._of_sizes(weights**2 + near, rest)
        total = of_sizes + more
        with np.errstate(divide="ignore", invalid="ignore"):
            # Howe (1974): Satterthwaite's are too many where the part of few comes out small.
            square = (
                of_sizes * special.stdtrit(df, 0.975) ** 2 + more * special.stdtrit(more_df, 0.975) ** 2
            ) / total
            df = np.where(more > 0.0, df_of_square(square, np.maximum(df, more_df)), df)
        known = self.between_df > 0
        plain = plain + (0.0 if new_at is None else 1.0)
        total = np.maximum(total, ROUNDING**2 * plain)
        return plain, np.where(known, total, np.nan), np.where(known, df, np.nan)

    @cached_property
    def silent(self) -> NDArray[np.bool_]:
        """Which sizes' residuals say nothing of their variance, (P, G).

        One is of a size that the curve passes through whatever it says. The other stands on a bound of the law: residuals
        that are orthogonal to the Jacobian, as those of every fit within its bounds, have r^2 <= (1 - h) RSS, and one above
        that is there because a parameter cannot follow. Divided by 1 - h it was 5,000 where y erred by 2 %.
        """
        rest = 1.0 - self.leverage
        most = rest * np.einsum("pg,pg->p", self.residual, self.residual)[:, None]
        beyond = (rest < LITTLE) & (self.residual**2 > most * (1.0 + LITTLE))
        return np.asarray((rest <= FULL * (1.0 + LITTLE)) | beyond)

    def _of_sizes(self, share: Array, rest: Array) -> tuple[Array, Array]:
        """Sum of the sizes' error variances times ``share`` (P, G), and its degrees of freedom, (P,).

        A size that says nothing of its variance has the pooled one, RSS over the sizes to spare.
        """
        spare = np.maximum(self.between_df, 1.0)
        pooled = np.where(self.silent, share, 0.0).sum(axis=1) / spare
        own = np.where(self.silent, 0.0, share / rest) + pooled[:, None]
        robust = np.einsum("pg,pg->p", own, self.residual**2)
        inner = np.einsum("pgk,pg,pgl->pkl", self.form, own, self.form)
        square = np.einsum("pg,pg->p", own**2, 1.0 - 2.0 * self.leverage) + np.einsum(
            "pkl,pkl->p", inner, inner
        )
        equal = share.sum(axis=1) * np.einsum("pg,pg->p", self.residual, self.residual) / spare
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.maximum(share.sum(axis=1) ** 2 / square, 1.0)
        return np.where(self.unequal, robust, equal), np.where(self.unequal, df, spare)

    def allowed(
        self, gradient: Array, level: float, new_at: Array | None = None, extra: float = 0.0
    ) -> Array:
        """By how much the sum of squares may rise within an interval of ``level``, (P,).

        For a straight line that interval is the t interval of ``variance``; for a curve its profile has the same width
        to first order. ``extra`` adds to the variance per unit of equal variance (the weight of a held figure).
        """
        plain, variance, df = self.variance(gradient, new_at)
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = special.fdtri(1.0, df, level) * variance / np.maximum(plain + extra, 1e-300)
            return np.asarray(np.maximum(rise, LEAST))

    def even(self, row: int = 0) -> tuple[Array, Array, Array]:
        """What the means of one curve's sizes say of its errors, in a unit in which all sizes err alike.

        The mean of n runs errs by what its size has for itself and by a share of the seeds' scatter: b has the variance
        n t + s, with s the scatter within sizes and t by moments. With as many runs at every size b stays as it is.

        Returns:
            residuals (g,), rows of the Jacobian (g, k) and ln n (g,) of the g sizes that there are.
        """
        there = self.count[row] > 0
        count, mean, rows = self.count[row, there], self.residual[row, there], self.rows[row, there]
        if np.ptp(count) > 0:
            scatter, spare = float(self.within[row]), float(self.between_df[row])
            rest = float(count @ (1.0 - self.leverage[row, there]))
            common = max(float(mean @ mean) - spare * scatter, 0.0) / max(rest, FULL)
            variance = count * common + scatter
            if np.any(variance > 0.0):
                unit = np.sqrt(variance / variance.mean())
                mean, rows = mean / unit, rows / unit[:, None]
                mean = (
                    mean - rows @ np.linalg.lstsq(rows, mean, rcond=None)[0]
                )  # about the curve of that weighting
        return mean, rows, self.z[row, there]

    def _nearness(self, at: Array) -> Array:
        """Weights of the sizes for the error of a new run, (P, G) with sum 1: falling with the distance in ln n.

        Noise that grows or falls with size is then mostly that of the sizes next to the new run.
        """
        counted = self.count > 0
        last = np.max(np.where(counted, self.z, -np.inf), axis=1)
        first = np.min(np.where(counted, self.z, np.inf), axis=1)
        away = np.where(counted, np.abs(self.z - np.clip(at, first, last)[:, None]), 0.0)
        farthest = away.max(axis=1, keepdims=True)
        near = np.where(counted, 1.0 - away / np.where(farthest > 0.0, farthest, 1.0), 0.0)
        return np.asarray(near / near.sum(axis=1, keepdims=True))


def size_errors(residuals: Array, jacobian: Array, weight: Array, size: Rows, z: Array) -> SizeErrors:
    """Errors by size from weighted residuals (P, m) and a weighted Jacobian (P, m, k).

    Args:
        weight: of the points, 0 where left out, (P, m). size: index of each point's size, -1 where left out, (P, m).
        z: ln n, (P, m).
    """
    problems, _, k = jacobian.shape
    groups = int(size.max()) + 1
    counted = (weight > 0) & (size >= 0)
    root = np.where(counted, np.sqrt(weight), 0.0)
    at = (np.repeat(np.arange(problems), size.shape[1]), np.where(counted, size, 0).ravel())

    def by_size(values: Array) -> Array:
        out = np.zeros((problems, groups, *values.shape[2:]))
        np.add.at(out, at, values.reshape(-1, *values.shape[2:]))
        return out

    total = by_size(root**2)
    unit = np.sqrt(np.where(total > 0, total, 1.0))
    rows = by_size(root[:, :, None] * jacobian) / unit[:, :, None]
    mean = by_size(root * residuals) / unit
    count = by_size(counted.astype(float))
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("pgk,pgk->pk", rows, rows), 1e-12))
    scaled = rows * scale[:, None, :]
    gram = np.einsum("pgk,pgl->pkl", scaled, scaled) + RIDGE * np.eye(k)
    inverse = np.linalg.inv(gram)
    form = np.einsum("pgk,pkl->pgl", scaled, np.linalg.cholesky(0.5 * (inverse + inverse.transpose(0, 2, 1))))
    sizes = np.sum(total > 0, axis=1)
    own = np.sum(np.where(counted, residuals, 0.0) ** 2, axis=1) - np.sum(mean**2, axis=1)
    within_df = np.sum(counted, axis=1) - sizes
    within = np.where(within_df > 0, np.maximum(own, 0.0) / np.maximum(within_df, 1), 0.0)
    return SizeErrors(
        z=by_size(np.where(counted, z, 0.0)) / np.where(count > 0, count, 1.0),
        count=count,
        form=form,
        solve=inverse * scale[:, :, None] * scale[:, None, :],
        rows=rows,
        residual=mean,
        within=within,
        within_df=within_df.astype(float),
        between_df=np.maximum(sizes - k, 0).astype(float),
    )
