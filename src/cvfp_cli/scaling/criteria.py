"""AIC as the studies print it, AICc that counts the error variance, and BIC, of every kind of fit."""

from typing import TypedDict

import numpy as np

from cvfp_cli.stats.rounding import ROUNDING


class Criteria(TypedDict):
    """Information criteria by their names in ``Fit``; None where one does not exist."""

    aic: float | None
    aicc: float | None
    bic: float | None


def told(rss: float, squares: float) -> float | None:
    """A residual sum of squares; None where it is that of rounding.

    Args:
        squares: the sum of squares of what residuals are a share of: y's own, or one a point for logarithms.
    """
    return rss if rss > ROUNDING**2 * squares else None


def information(m: int, k: int, *, of_y: float | None, of_objective: float | None) -> Criteria:
    """The criteria of a fit of ``k`` parameters to ``m`` points.

    AIC = m ln(RSS / m) + 2k with the RSS of y, whatever the objective. AICc and BIC use the objective's own RSS:
    AICc = m ln(RSS / m) + 2K + 2K(K + 1) / (m - K - 1) with K = k + 1, BIC = m ln(RSS / m) + k ln m.

    Args:
        of_y, of_objective: the residual sums of squares; None where one is rounding, or belongs to no single fit.
    """
    aic = aicc = bic = None
    full = k + 1
    if of_y is not None:
        aic = m * float(np.log(of_y / m)) + 2 * k
    if of_objective is not None:
        base = m * float(np.log(of_objective / m))
        bic = base + k * float(np.log(m))
        if m - full - 1 > 0:
            aicc = base + 2 * full + 2 * full * (full + 1) / (m - full - 1)
    return {"aic": aic, "aicc": aicc, "bic": bic}
