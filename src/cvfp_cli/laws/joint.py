"""The additive law of model and data size, ``E + A / N^alpha + B / D^beta`` (Hoffmann et al. 2022, "Chinchilla")."""

from cvfp_cli.laws.names import JOINT
from cvfp_cli.laws.surface import Surface


class Joint(Surface):
    """What too small a model and too few data add does not depend on the other."""

    name = JOINT
    formula = "loss = E + A N^(-alpha) + B D^(-beta)"


LAW = Joint()
