"""Errors of contrasts, whichever way they were found, and the reasons why there may be none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cvfp_cli.stats.components import Array

NO_FREEDOM = "no-freedom"  # nothing is left of the residuals to see a part by
NOT_DETERMINED = "not-determined"  # the design does not determine the contrast


@dataclass(frozen=True)
class ContrastErrors:
    """Errors of k contrasts of the coefficients, or of k predictions; each array has shape (k,).

    Attributes:
        variance: NaN where ``reason`` is given.
        df: Satterthwaite's degrees of freedom; 0 where there is no variance.
        scale: variance / c'(X'X)^-1 c, the variance that independent errors would need for the same interval: a rise
            of the sum of squares by F(1, df) * scale bounds a profile interval. NaN for predictions of a new run.
        reason: empty, or why there is no variance.
    """

    variance: Array
    df: Array
    scale: Array
    reason: tuple[str, ...]

    def half_widths(self, level: float) -> Array:
        """Half-widths of t intervals, (k,); NaN where there is no variance."""
        df = np.where(self.df > 0, self.df, np.nan)
        return np.asarray(special.stdtrit(df, 0.5 + level / 2.0) * np.sqrt(self.variance), dtype=float)

    def p_values(self, estimates: ArrayLike) -> Array:
        """Two-sided p values of ``estimates`` (k,) against 0; NaN where there is no variance."""
        df = np.where(self.df > 0, self.df, np.nan)
        size = np.abs(np.asarray(estimates, dtype=float))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where((size == 0.0) & (self.variance == 0.0), 0.0, size / np.sqrt(self.variance))
        return np.asarray(2.0 * special.stdtr(df, -t), dtype=float)


@dataclass(frozen=True)
class Differences:
    """Errors of the differences of g estimates, each two of them; all arrays are (g, g), 0 on the diagonal.

    Attributes:
        variance: NaN where the residuals say nothing of it.
        df: Satterthwaite's degrees of freedom; 0 where there is no variance.
    """

    variance: Array
    df: Array

    def of(self, chosen: ArrayLike) -> "Differences":
        """Those of these estimates alone."""
        at = np.asarray(chosen, dtype=np.intp)
        return Differences(self.variance[np.ix_(at, at)], self.df[np.ix_(at, at)])
