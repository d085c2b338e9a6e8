"""Is a log-log line straight? A test of curvature with its verdict.

A power law is a line in ln n, ln y. Whether the data bend is the first question about it, and most sweeps of few sizes
cannot say: then the verdict is "not decided", neither "straight" nor a warning.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cvfp_cli.stats.error_model import fit_error_model
from cvfp_cli.stats.labels import Labels

CURVED, STRAIGHT, NOT_DECIDED = "curved", "straight", "not-decided"
SIGNIFICANCE = 0.05
# A line is straight if its slope changes by less than this share of itself from the first size to the last.
MARGIN = 0.2


@dataclass(frozen=True)
class Curvature:
    """The bend of one curve.

    Attributes:
        change: of the local slope d ln y / d ln n from the smallest size to the largest.
        low, high: its interval at ``1 - SIGNIFICANCE``; None where no degree of freedom is left to see errors by.
        p_value: two-sided, of no change; None likewise.
        df: degrees of freedom of the error.
        slope: of the straight line, the measure of what is small.
        verdict: ``curved`` where the change is not 0; else ``straight`` where its 90 % interval lies within
            ``MARGIN`` of the slope on both sides (two one-sided tests: Schuirmann 1987), else ``not-decided``.
    """

    change: float
    low: float | None
    high: float | None
    p_value: float | None
    df: float
    slope: float
    verdict: str


def curvature(
    log_n: ArrayLike,
    log_y: ArrayLike,
    labels: Labels | None = None,
    *,
    weight: ArrayLike | None = None,
    margin: float = MARGIN,
) -> Curvature:
    """Test a quadratic term in ln n beside a straight line in ln n, ln y.

    With y = a + b x + q (x - x_1)(x - x_m), the local slope changes by 2 q (x_m - x_1) over the sizes. Its t test is
    exact for normal errors of one variance. Where runs repeat sizes, or several configurations share them, the errors
    are those of the error model, so that seeds do not count as sizes.

    Args:
        log_n, log_y: of every run, (m,). labels: who shares what; every run on its own without them.
        weight: relative precision of each run, (m,); all alike without it. margin: see ``MARGIN``.
    """
    x, y = np.asarray(log_n, dtype=float), np.asarray(log_y, dtype=float)
    root = np.ones(len(x)) if weight is None else np.sqrt(np.asarray(weight, dtype=float))
    reach = float(np.ptp(x))
    sizes = len(np.unique(x))
    line = np.column_stack([np.ones(len(x)), x - x.mean()])
    slope = float(np.linalg.lstsq(root[:, None] * line, root * y, rcond=None)[0][1]) if sizes > 1 else 0.0
    if sizes < 3:
        return Curvature(0.0, None, None, None, 0.0, slope, NOT_DECIDED)
    # In units of the reach, so that the design is far from singular at any n.
    u = (x - x.min()) / reach
    design = np.column_stack([np.ones(len(x)), u, u * (u - 1.0)])
    found = np.linalg.lstsq(root[:, None] * design, root * y, rcond=None)[0]
    change = 2.0 * float(found[2]) / reach
    model = fit_error_model(y - design @ found, design, labels or Labels.of(np.arange(len(x))), weight=weight)
    errors = model.contrasts([0.0, 0.0, 2.0 / reach])
    if errors.reason[0]:
        return Curvature(change, None, None, None, 0.0, slope, NOT_DECIDED)
    half = float(errors.half_widths(1.0 - SIGNIFICANCE)[0])
    p = float(errors.p_values([change])[0])
    inner = float(errors.half_widths(1.0 - 2.0 * SIGNIFICANCE)[0])
    verdict = NOT_DECIDED
    if p < SIGNIFICANCE:
        verdict = CURVED
    elif abs(change) + inner < margin * abs(slope):
        verdict = STRAIGHT
    return Curvature(change, change - half, change + half, p, float(errors.df[0]), slope, verdict)
