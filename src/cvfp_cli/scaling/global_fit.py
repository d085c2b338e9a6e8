"""The global optimum of each data set of a batch: many starts, the best end, and how many agreed on it."""

from dataclasses import dataclass

import numpy as np

from cvfp_cli.laws.base import Data, Law
from cvfp_cli.laws.quantities import SHARE
from cvfp_cli.scaling.curves import CoordinateMap, CurveProblem, PseudoObservation, best_level
from cvfp_cli.scaling.starts import best_starts
from cvfp_cli.stats.solver import Array, Problem, Rows, minimise

# Two ends are the same optimum when their sums of squares agree to this share (or to rounding of the data).
SAME = 1e-6
ROUNDING = 1e-22
POLISH = 3000


@dataclass(frozen=True)
class CurveFits:
    """The best fit of one law to each of P data sets; a ``profiles.Family``.

    Attributes:
        theta, rss: where the best start ended, (P, k) and (P,).
        lower, upper: the box, (P, k).
        agree: share of the starts that ended there, (P,).
        tried: starts for each data set.
    """

    law: Law
    data: Data
    theta: Array
    rss: Array
    lower: Array
    upper: Array
    agree: Array
    tried: int

    def take(self, rows: Rows) -> "CurveFits":
        """The fits of the data sets at ``rows``."""
        parts = (self.theta[rows], self.rss[rows], self.lower[rows], self.upper[rows], self.agree[rows])
        return CurveFits(self.law, self.data.take(rows), *parts, self.tried)

    def pose(self, rows: Rows, constraint: CoordinateMap | None, pseudo: PseudoObservation | None) -> Problem:
        """See ``profiles.Family``."""
        return CurveProblem(self.law, self.data.take(rows), constraint, pseudo)

    def starts(self) -> Array:
        """A few grid points for fits with a coordinate held, (P, S, k)."""
        return best_starts(self.law, self.data, 3)


def fit_curves(law: Law, data: Data, *, starts: int) -> CurveFits:
    """Fit ``law`` to every data set of the batch.

    The optimum of the simpler law that it contains is one of the starts, so that a law never fits worse than one
    nested in it. The log-log line has its closed form.

    Args:
        starts: grid points to start from.
    """
    lower, upper = law.box(data)
    if is_line(law, data.objective):
        theta, rss = _line(data)
        return CurveFits(law, data, theta, rss, lower, upper, np.ones(len(rss)), 1)
    begin = best_starts(law, data, starts)
    simple = None
    if law.simpler:
        simple = fit_curves(law.simpler, data, starts=max(2, starts // 4))
        begin = np.concatenate([begin, law.contained(simple.theta)[:, None, :]], axis=1)
    problems, count, k = begin.shape
    rows = np.repeat(np.arange(problems), count)
    got = minimise(CurveProblem(law, data), begin.reshape(-1, k), lower[rows], upper[rows], rows=rows)
    rss = got.rss.reshape(problems, count)
    best = rss.argmin(axis=1)
    lowest = rss[np.arange(problems), best]
    agree = np.mean(rss <= lowest[:, None] * (1.0 + SAME) + ROUNDING, axis=1)
    theta = got.theta.reshape(problems, count, k)[np.arange(problems), best]
    # Large residuals slow the last digits down: the winner alone goes on until nothing moves.
    end = minimise(CurveProblem(law, data), theta, lower, upper, max_iterations=POLISH)
    theta, lowest = end.theta, end.rss
    if simple is not None:
        # What does not gain over the simpler law, or over a constant, is that, not a neighbour of it.
        plains = [law.contained(simple.theta)]
        if law.has_floor:
            flat = np.zeros((problems, k))
            flat[:, SHARE] = 1.0
            plains.append(flat)
        for plain in plains:
            plain, rss_there = best_level(law, data, plain, np.arange(problems))
            same = lowest >= rss_there * (1.0 - 1e-9)
            theta = np.where(same[:, None], plain, theta)
            lowest = np.where(same, rss_there, lowest)
    return CurveFits(law, data, theta, lowest, lower, upper, agree, count)


def refit_curves(law: Law, data: Data, starts: Array, tolerance: float) -> Array:
    """The best end of ``starts`` (P, S, k) for each data set, (P, k)."""
    if is_line(law, data.objective):
        return _line(data)[0]
    problems, count, k = starts.shape
    rows = np.repeat(np.arange(problems), count)
    lower, upper = law.box(data)
    got = minimise(
        CurveProblem(law, data),
        starts.reshape(-1, k),
        lower[rows],
        upper[rows],
        rows=rows,
        tolerance=tolerance,
    )
    best = got.rss.reshape(problems, count).argmin(axis=1)
    return np.asarray(got.theta.reshape(problems, count, k)[np.arange(problems), best])


def is_line(law: Law, objective: str) -> bool:
    """Whether a fit is a straight line with normal errors, which has closed forms."""
    return bool(law.slope) and objective == "log"


def _line(data: Data) -> tuple[Array, Array]:
    """The least-squares line through ln y over z: level and slope (P, 2), and the residual sum of squares (P,)."""
    w = data.weight
    count = w.sum(axis=1)
    z_mean, y_mean = (w * data.z).sum(1) / count, (w * data.target).sum(1) / count
    z = data.z - z_mean[:, None]
    slope = (w * z * data.target).sum(1) / np.maximum((w * z * z).sum(1), 1e-300)
    theta = np.stack([y_mean - slope * z_mean, slope], axis=1)
    r = data.target - theta[:, :1] - theta[:, 1:] * data.z
    return theta, np.einsum("pm,pm,pm->p", w, r, r)
