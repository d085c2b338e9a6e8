"""The law of model and data size for data read several times: passes after the first add ever less.

Muennighoff et al. 2023 ("Scaling data-constrained language models", eq. 5): D different tokens that are read p times
count as D' = D (1 + R (1 - exp(-(p - 1) / R))), so that repetition is worth at most R times the data, and a few passes
are worth nearly as many. They found R = 15.4 for large models in training without early stopping. Their term for
parameters in excess is left out: one exponent of N is all that a study of few model sizes tells.
"""

import numpy as np

from cvfp_cli.laws.surface import Surface
from cvfp_cli.stats.solver import Array


class JointEpochs(Surface):
    """The additive law where every token is read once; the coordinate is ln R."""

    name = "joint-epochs"
    formula = "loss = E + A N^(-alpha) + B (D (1 + R (1 - exp(-(passes - 1) / R))))^(-beta)"
    parameters = (*Surface.parameters, "R")
    further_lower, further_upper = (-4.0,), (7.0,)
    starts = ((-2.0,), (0.0,), (1.5,), (3.0,), (6.0,))
    repeats = True

    def gain(self, theta: Array, passes: Array) -> tuple[Array, Array] | None:
        """See ``Surface``."""
        most = np.exp(theta[:, -1:])
        again = passes - 1.0
        kept = np.exp(-again / most)
        total = 1.0 + most * -np.expm1(-again / most)
        return np.log(total), (total - 1.0 - again * kept) / total


LAW = JointEpochs()
