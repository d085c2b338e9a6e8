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
