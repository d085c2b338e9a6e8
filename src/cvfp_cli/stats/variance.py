"""The error variance that intervals rest on: residual, or the larger of pure error and lack of fit with replicates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from cvfp_cli.stats.regression import f_p_value
from cvfp_cli.stats.solver import Array, Rows


@dataclass(frozen=True)
class Replicates:
    """What repeated seeds say: the pure error and the test of lack of fit, on the objective's scale.

    Attributes:
        sizes: sizes with two points or more; pure_df: the points at these sizes minus their number.
        pure_sd: standard deviation between replicates (ln y for ``log``, y for ``ppl``).
        lack_of_fit_f, lack_of_fit_p: F test of the law against free size means; None without spare sizes.
        variance_from: ``replicates`` or ``lack-of-fit``: the larger one, which the intervals use.
    """

    sizes: int
    pure_df: int
    pure_sd: float
    lack_of_fit_f: float | None
    lack_of_fit_p: float | None
    variance_from: str

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Variance:
    """Error variance of each problem on the objective's scale.

    Attributes:
        value: NaN where nothing is left to estimate it from, (P,).
        df: its degrees of freedom, (P,).
        replicates: what repeated seeds say; None where there are none.
    """

    value: Array
    df: Array
    replicates: tuple[Replicates | None, ...]

    def delta(self, level: float) -> Array:
        """Allowed rise of the sum of squares, F(1, df) times the variance; NaN where there is no variance."""
        with np.errstate(invalid="ignore"):
            quantile = special.fdtri(1.0, np.where(self.df > 0, self.df, np.nan), level)
        return np.asarray(quantile * self.value, dtype=float)


def error_variance(residuals: Array, weight: Array, size: Rows, k: int) -> Variance:
    """Estimate the error variance from the residuals of a fit with ``k`` parameters.

    Without replicates it is RSS / (m - k). With them, the residuals' scatter within sizes is the pure error, and that
    of the size means about the curve the lack of fit. Each is an estimate of the same variance if the law is right
    and seeds are all that differs; the larger one is taken, with its own degrees of freedom, because pooling would
    count five seeds at one size as five independent looks at the curve, which they are not where all share an error.

    Args:
        residuals: times the root of ``weight``. weight: relative precisions, with the mean 1; 0 where left out.

    Returns:
        the variance of a point of weight 1.
    """
    values: list[float] = []
    dfs: list[int] = []
    notes: list[Replicates | None] = []
    for r, w, s in zip(residuals, weight, size, strict=True):
        r, s, w = r[w > 0], s[w > 0], w[w > 0]
        m = len(r)
        index = np.unique(s, return_inverse=True)[1]
        sizes = int(index.max()) + 1
        rss = float(r @ r)
        if sizes == m:
            values.append(rss / (m - k) if m > k else np.nan)
            dfs.append(max(m - k, 0))
            notes.append(None)
            continue
        counts = np.bincount(index)
        root = np.sqrt(w)
        within = r - root * (np.bincount(index, root * r) / np.bincount(index, w))[index]
        pure_ss, pure_df = float(within @ within), m - sizes
        pure = pure_ss / pure_df
        lack_df = sizes - k
        lack = max(rss - pure_ss, 0.0) / lack_df if lack_df > 0 else -1.0
        f = lack / pure if lack_df > 0 and pure > 0 else None
        notes.append(
            Replicates(
                sizes=int(np.sum(counts > 1)),
                pure_df=pure_df,
                pure_sd=float(np.sqrt(pure)),
                lack_of_fit_f=f,
                lack_of_fit_p=None if f is None else f_p_value(f, lack_df, pure_df),
                variance_from="lack-of-fit" if lack > pure else "replicates",
            )
        )
        values.append(max(lack, pure))
        dfs.append(lack_df if lack > pure else pure_df)
    return Variance(np.array(values), np.array(dfs, dtype=float), tuple(notes))
