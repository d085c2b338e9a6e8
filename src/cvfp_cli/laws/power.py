"""``A n^alpha``, a straight line on logarithms: h(z) = -alpha z, without an asymptote."""

from collections.abc import Mapping

import numpy as np

from cvfp_cli.laws.base import ALPHA_RANGE, Data, Law
from cvfp_cli.laws.names import POWER
from cvfp_cli.laws.quantities import (
    Quantity,
    Scale,
    coordinate_quantity,
    log_unit_user,
    plain_user,
    through_level,
)
from cvfp_cli.stats.solver import Array, Rows


class Power(Law):
    """The power law; its coordinates are the level and alpha."""

    name = POWER
    formula = "y = A n^alpha"
    parameters = ("A", "alpha")
    coordinates = ("level", "alpha")
    lower, upper = ALPHA_RANGE[:1], ALPHA_RANGE[1:]
    slope = "alpha"
    ranges = {"alpha": ALPHA_RANGE}  # noqa: RUF012
    shareable = {"alpha": 1}  # noqa: RUF012
    # Data may rise; a value from elsewhere that does is another law's exponent, which has no minus sign there.
    held_between = {"alpha": (-np.inf, 0.0)}  # noqa: RUF012

    def log_curve(self, theta: Array, z: Array) -> tuple[Array, Array]:
        """See ``Law``."""
        return self.log_value(theta, z), np.stack([np.ones_like(z), z], axis=2)

    def log_value(self, theta: Array, z: Array) -> Array:
        """See ``Law``."""
        return theta[:, :1] + theta[:, 1:] * z

    def value(self, parameters: Mapping[str, Array], n: Array) -> Array:
        """See ``Law``."""
        return np.exp(np.log(parameters["A"]) + parameters["alpha"] * np.log(n))

    def parameter_quantities(self, scale: Scale) -> tuple[Quantity, ...]:
        """See ``Law``."""

        def log_amplitude(theta: Array, rows: Rows) -> tuple[Array, Array]:
            x = scale.origin[rows]
            return theta[:, 0] - theta[:, 1] * x, np.stack([np.ones_like(x), -x], axis=1)

        amplitude = Quantity(
            "A", log_amplitude, log_unit_user(scale), through_level(log_amplitude), vanishing=0.0
        )
        return amplitude, coordinate_quantity("alpha", 1, *ALPHA_RANGE, plain_user)

    def grid(self, data: Data) -> Array:
        """See ``Law``: the line through ln y, and steeper and flatter ones."""
        z0 = data.z - data.z.mean(axis=1, keepdims=True)
        slope = (data.weight * z0 * data.log_y).sum(1) / np.maximum((data.weight * z0 * z0).sum(1), 1e-280)
        start = np.zeros((len(data.z), 5, 2))
        start[:, :, 1] = slope[:, None] * np.array([1.0, 0.5, 1.5, 0.8, 1.2])
        return start


LAW = Power()
