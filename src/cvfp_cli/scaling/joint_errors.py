"""Errors of a joint fit's figures: components of what runs share, or the runs themselves drawn again.

Runs of one data size share their samples, so that models err together there. Where several models were trained on each
size, the components of ``stats.error_model`` say by how much. They are estimated from psi(residual) / mean psi', which
stands in the place of the errors in the first order of a Huber estimate.

Tables whose sizes differ from run to run show no such parts, but runs that err by very unequal amounts. The density of
the errors at 0, on which asymptotic intervals rest, is then another one for each run: there the default is the
bootstrap of runs.
"""

from dataclasses import dataclass, replace

import numpy as np

from cvfp_cli.laws.surface import ALPHA, BETA
from cvfp_cli.scaling.checks import MOST_POINTS
from cvfp_cli.scaling.joint import (
    THRESHOLD,
    HeldCoordinates,
    JointData,
    JointFit,
    gradient,
    user_jacobian,
)
from cvfp_cli.stats.contrast_errors import NO_FREEDOM, ContrastErrors
from cvfp_cli.stats.error_model import ErrorModel, Flags, fit_error_model
from cvfp_cli.stats.labels import Labels
from cvfp_cli.stats.regression import f_quantile, t_quantile
from cvfp_cli.stats.robust import outliers
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.solver import Array, Rows

# Runs from which on they are drawn again by default, and how often.
ENOUGH_RUNS, REPLICATES = 30, 400
# Coordinates that data sizes alone tell, where models take the same: E, B, beta.
BY_SIZE = [0, 2, BETA]
# Why a figure has no interval.
UNSEEN = "no more data sizes than parameters that only they tell"
NO_RUNS = "no more runs than parameters"
MET = "the law meets most runs exactly, so nothing tells how they err"
OPEN_DESIGN = "the runs do not determine it"
# Residuals beyond this many robust standard deviations count as that far away.
FAR = 3.0
# And one beyond this many stands out: a fit of nearly absolute errors makes the typical residual too small.
STANDS_OUT = 9.0


@dataclass(frozen=True)
class JointErrors:
    """Errors of one joint fit's figures.

    Attributes:
        model: of psi(residual) / mean psi', with gradients by the free coordinates.
        held: what makes those of E and the other coordinates.
        run: variance of one new run's ln L about the law; run_df: its degrees of freedom.
        plain: scale of a contrast's variance if errors were independent; slope: mean psi'; df: runs minus parameters.
        floor: the least rise that is more than rounding. by_size: whether data sizes were seen to share errors.
        few: one degree of freedom tells what data sizes share. blind: the free coordinates that data sizes alone tell where
            no degree of freedom does, (F,): what is left of a size then is the weights of a Huber estimate, no error.
    """

    model: ErrorModel
    held: HeldCoordinates
    run: float
    run_df: float
    plain: float
    slope: float
    df: int
    floor: float
    by_size: bool
    few: bool
    blind: Flags

    def contrasts(self, rows: Array) -> ContrastErrors:
        """Errors of contrasts of the free coordinates, (q, F) or (F,)."""
        found = self.model.contrasts(rows, by_squares=True, at_least_zero=self.few)
        lost = np.any(np.atleast_2d(rows)[:, self.blind] != 0.0, axis=1)
        return replace(
            found,
            variance=np.where(lost, np.nan, found.variance),
            df=np.where(lost, 0.0, found.df),
            scale=np.where(lost, np.nan, found.scale),
            reason=tuple(NO_FREEDOM if gone else why for gone, why in zip(lost, found.reason, strict=True)),
        )

    def variance(self, row: Array) -> tuple[float, float, str]:
        """Variance of the figure with gradient ``row`` (k,), its degrees of freedom, and why there is none."""
        own = row @ self.held.matrix
        if not own.any():  # of fixed coordinates alone
            return 0.0, float(self.df), ""
        found = self.contrasts(own)
        return float(found.variance[0]), float(found.df[0]), found.reason[0]

    def unseen(self, row: Array) -> bool:
        """Whether the residuals say nothing of an error that the figure with gradient ``row`` (k,) has."""
        return self.variance(row)[2] == NO_FREEDOM

    def half_width(self, row: Array, level: float) -> float:
        """Half-width of a t interval of ``level``; NaN where there is no variance."""
        variance, df, reason = self.variance(row)
        return float("nan") if reason else t_quantile(level, df) * float(np.sqrt(variance))

    def run_half_width(self, half: float, row: Array, level: float) -> float:
        """Half-width for one new run where the law's own is ``half``: both errors together, by Satterthwaite's rule."""
        variance, df, reason = self.variance(row)
        if reason:
            return float(np.hypot(half, t_quantile(level, self.run_df) * np.sqrt(self.run)))
        total = variance + self.run
        both = total**2 / (variance**2 / df + self.run**2 / self.run_df)
        return t_quantile(level, both) * float(np.sqrt(total))

    def allowed(self, row: Array, level: float) -> float:
        """By how much the Huber loss may rise within the profile interval of the figure with gradient ``row`` (k,)."""
        found = self.contrasts(row @ self.held.matrix)
        scale, df = float(found.scale[0]), float(found.df[0])
        if found.reason[0]:
            # A figure on a bound of the law has no gradient of its own: it gets the widest of the others'.
            others = self.contrasts(np.eye(self.held.k))
            known = [i for i, reason in enumerate(others.reason) if not reason]
            widest = max(known, key=lambda i: float(others.scale[i]), default=None)
            scale, df = (
                (self.plain, float(self.df))
                if widest is None
                else (float(others.scale[widest]), float(others.df[widest]))
            )
        return max(self.floor, f_quantile(level, 1.0, df) * scale * self.slope / 2.0)


def joint_errors(fit: JointFit, data: JointData, size: Rows, model: Rows) -> JointErrors | None:
    """Errors of a joint fit; None where nothing is left to see them by.

    Args:
        size, model: which data size and which model each run has, codes of shape (m,).
    """
    m, k = len(fit.residuals), data.held.k
    if fit.noise is None or m <= k:
        return None
    design = gradient(fit.theta, data) @ data.held.matrix
    psi = np.clip(fit.residuals, -THRESHOLD, THRESHOLD) / fit.noise.slope
    labels = Labels.of(size, model)
    errors = fit_error_model(psi, design, labels)
    near = np.clip(fit.residuals, -FAR * fit.scale, FAR * fit.scale)
    own = fit_error_model(near, design, labels)
    run = own.of_new_runs(np.zeros(k))
    known = not run.reason[0]
    sizes = len(np.unique(size))
    by_sizes = data.held.matrix[BY_SIZE].any(axis=0)
    if data.held.tied:  # models tell the exponent
        by_sizes &= data.held.matrix[ALPHA] == 0.0
    return JointErrors(
        model=errors,
        held=data.held,
        run=float(run.variance[0]) if known else fit.scale**2,
        run_df=float(run.df[0]) if known else float(m - k),
        plain=fit.noise.psi_square / fit.noise.slope**2,
        slope=fit.noise.slope,
        df=m - k,
        floor=0.5 * m * ROUNDING**2,
        by_size=any(part.of_size for part in errors.parts),
        few=int(size.max()) - int(np.sum(~data.held.fixed[BY_SIZE])) < 1,
        blind=np.asarray(by_sizes & (sizes <= int(by_sizes.sum()))),
    )


def parameter_rows(data: JointData) -> dict[str, Array]:
    """The gradient of every parameter, of ln A and ln B for the amplitudes, (k,) each."""
    return dict(zip(data.law.parameters, user_jacobian(data), strict=True))


def outlying(fit: JointFit, data: JointData) -> tuple[Array, Flags]:
    """Residuals in robust standard deviations, (m,), and which runs stand out.

    A fit of nearly absolute errors passes through five runs whatever their errors: of few, too many residuals are 0.
    """
    m = len(fit.residuals)
    if not ENOUGH_RUNS <= m <= MOST_POINTS:
        return np.zeros(m), np.zeros(m, dtype=bool)
    relative, out = outliers(fit.residuals, gradient(fit.theta, data))
    return relative, out & (np.abs(relative) > STANDS_OUT)
