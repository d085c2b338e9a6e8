"""The coupled law of model and data size, ``E + ((A / N^alpha)^(1/k) + (B / D^beta)^(1/k))^k``.

It is Kaplan et al. 2020, eq. 1.5, with a floor and a free outer exponent, the form ``E + F (N^-a + R D^-b)^k`` in other
parameters: alpha = a k, beta = b k, A = F, B = F R^k. So alpha and beta stay what either size alone does once the other
is endless. k = 1 is the additive law; with k towards 0 the worse of the two terms decides alone.
"""

import numpy as np

from cvfp_cli.laws.surface import Surface
from cvfp_cli.stats.solver import Array


class JointCoupled(Surface):
    """The additive law at k = 1; the coordinate is ln k."""

    name = "joint-coupled"
    formula = "loss = E + ((A N^(-alpha))^(1/k) + (B D^(-beta))^(1/k))^k"
    parameters = (*Surface.parameters, "k")
    further_lower, further_upper = (-4.0,), (2.0,)
    starts = ((0.0,), (-1.5,), (-0.6,), (0.6,))
    coupled = True

    def coupling(self, theta: Array) -> Array | None:
        """See ``Surface``."""
        return np.asarray(np.exp(theta[:, -1:]))


LAW = JointCoupled()
