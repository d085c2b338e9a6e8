"""What repeated seeds say: the scatter between them, and whether the law misses the means of sizes by more than that."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cvfp_cli.stats.regression import f_p_value
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.solver import Array, Rows


@dataclass(frozen=True)
class Replicates:
    """What repeated seeds say: the pure error and the test of lack of fit, on the objective's scale.

    Attributes:
        sizes: sizes with two points or more; pure_df: the points at these sizes minus their number.
        pure_sd: standard deviation between replicates (ln y for ``log``, y for ``ppl``).
        lack_of_fit_f, lack_of_fit_p: F test of the law against free size means; None without spare sizes.
    """

    sizes: int
    pure_df: int
    pure_sd: float
    lack_of_fit_f: float | None
    lack_of_fit_p: float | None

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return dict(vars(self))


@dataclass(frozen=True)
class SizeMeans:
    """How far a curve misses the means of its sizes, weighted as the fit weighs them.

    Runs of one size share its samples, so these are what tells laws apart. With one run a size the sums are those of runs.

    Attributes:
        runs, sizes: how many.
        rss_ppl, rss_log: sums over sizes of (summed weight) x (mean residual)^2, of y and of ln y.
        within_ppl, within_log: the sums of squares of the runs about the means of their sizes.
    """

    runs: int
    sizes: int
    rss_ppl: float
    rss_log: float
    within_ppl: float
    within_log: float

    def rss(self, objective: str) -> float:
        """That of the objective, ``log`` or ``ppl``."""
        return self.rss_log if objective == "log" else self.rss_ppl

    def evidence(self, objective: str) -> float:
        """The sum of squares that speaks for or against the law: its m ln(RSS / m), m the sizes, is -2 ln of a likelihood.

        It is the likelihood of the runs where sizes and seeds err, at the variances that make it largest. Usually that is
        the means' own. But a mean errs by its seeds' scatter at least, so that means nearer to the curve than this are
        luck: there sizes have no error of their own, and all runs tell one variance.
        """
        rss, within = self.rss(objective), self.within_log if objective == "log" else self.within_ppl
        m, g = self.runs, self.sizes
        scatter = within / max(m - g, 1)
        if rss >= g * scatter:
            return rss
        relative = m * np.log(
            (rss + within) / (m * scatter)
        )  # of -2 ln, to what g means of that scatter have
        return float(g * scatter * np.exp(relative / g))

    def aic(self, k: int) -> float:
        """m ln(RSS / m) + 2k of the means of y, m being the sizes."""
        return self.sizes * float(np.log(max(self.evidence("ppl"), 1e-300) / self.sizes)) + 2 * k


def size_means(errors_ppl: Array, errors_log: Array, weight: Array, size: Rows) -> SizeMeans:
    """From the residuals of y and of ln y (m,), their weights (m,) and the index of each run's size (m,)."""
    index = np.unique(size, return_inverse=True)[1]
    total = np.bincount(index, weight)

    def parts(errors: Array) -> tuple[float, float]:
        whole = float(weight * errors @ errors)
        if len(total) == len(errors):
            return whole, 0.0
        of_means = float(np.sum(np.bincount(index, weight * errors) ** 2 / total))
        return of_means, max(whole - of_means, 0.0)

    ppl, log = parts(errors_ppl), parts(errors_log)
    return SizeMeans(len(errors_log), len(total), ppl[0], log[0], ppl[1], log[1])


def replicates_of(residuals: Array, weight: Array, size: Rows, k: int) -> Replicates | None:
    """What the residuals (m,) of one fit with ``k`` parameters say; None without repeated sizes.

    Args:
        residuals: times the root of ``weight``. weight: relative precisions, with the mean 1; 0 where left out.
        size: index of each point's size.
    """
    r, s, w = residuals[weight > 0], size[weight > 0], weight[weight > 0]
    index = np.unique(s, return_inverse=True)[1]
    sizes = int(index.max()) + 1
    if sizes == len(r):
        return None
    root = np.sqrt(w)
    within = r - root * (np.bincount(index, root * r) / np.bincount(index, w))[index]
    pure_ss, pure_df, lack_df = float(within @ within), len(r) - sizes, sizes - k
    pure = pure_ss / pure_df
    lack = max(float(r @ r) - pure_ss, 0.0) / lack_df if lack_df > 0 else 0.0
    f = lack / pure if lack_df > 0 and pure > ROUNDING**2 else None
    return Replicates(
        sizes=int(np.sum(np.bincount(index) > 1)),
        pure_df=pure_df,
        pure_sd=float(np.sqrt(pure)),
        lack_of_fit_f=f,
        lack_of_fit_p=None if f is None else f_p_value(f, lack_df, pure_df),
    )
