"""``ppl_min + A n^(-a)``, the power law above an asymptote: h(z) = a z."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cvfp_cli.laws.base import ALPHA_RANGE, Limit
from cvfp_cli.laws.decay import LOG_A, LOG_A_RANGE, SHAPES_A, Decay, power_limit
from cvfp_cli.laws.floored import SHARE_RANGE
from cvfp_cli.laws.power import LAW as LINE
from cvfp_cli.laws.quantities import SHARE, Bound, Quantity, Scale, coordinate_quantity, exp_user, safe_log
from cvfp_cli.stats.solver import Array, Rows


class Saturating(Decay):
    """The power law at s = 0."""

    name = "saturating"
    formula = "y = ppl_min + A n^(-a)"
    parameters = ("ppl_min", "A", "a")
    coordinates = ("level", "share", "log_a")
    lower = (SHARE_RANGE[0], LOG_A_RANGE[0])
    upper = (SHARE_RANGE[1], LOG_A_RANGE[1])
    simpler = LINE
    ranges = {"a": ALPHA_RANGE}  # noqa: RUF012
    shareable = {"ppl_min": SHARE, "a": LOG_A}  # noqa: RUF012
    shapes = SHAPES_A[:, None]

    def course(self, shape: Array, z: Array) -> tuple[Array, tuple[Array, ...]]:
        """See ``Decay``: g is z."""
        return z, ()

    def value(self, parameters: Mapping[str, Array], n: Array) -> Array:
        """See ``Law``."""
        p = parameters
        return p["ppl_min"] + np.exp(np.log(p["A"]) - p["a"] * np.log(n))

    def common_value(self, name: str, values: Mapping[str, float], origin: float, log_unit: float) -> float:
        """See ``Law``: a stands as its logarithm."""
        if name == "a":
            return safe_log(values[name])
        return super().common_value(name, values, origin, log_unit)

    def parameter_quantities(self, scale: Scale) -> tuple[Quantity, ...]:
        """See ``Law``."""

        def rest(theta: Array, rows: Rows) -> tuple[Array, Array]:
            more = np.exp(theta[:, LOG_A]) * scale.origin[rows]
            gradient = np.zeros_like(theta)
            gradient[:, LOG_A] = more
            return more, gradient

        # A is 0 where nothing exceeds the asymptote, and endless where the excess is a step.
        amplitude = replace(
            self.amplitude(scale, rest),
            low=Bound(SHARE, 1.0, -np.inf, 0.0),
            high=Bound(LOG_A, LOG_A_RANGE[1], np.inf, None),
        )
        a = coordinate_quantity("a", LOG_A, *LOG_A_RANGE, exp_user, 0.0)
        return self.floor(scale), amplitude, a

    def contained(self, theta: Array) -> Array:
        """See ``Law``: a falling line, without an asymptote."""
        out = np.zeros((len(theta), self.k))
        out[:, 0] = theta[:, 0]
        out[:, LOG_A] = np.log(np.clip(-theta[:, 1], np.exp(LOG_A_RANGE[0]), np.exp(LOG_A_RANGE[1])))
        return out

    def shape_limit(self, name: str, theta: Array, *, no_floor: bool) -> Limit:
        """See ``Decay``."""
        return power_limit(name, self.parameters[0]) if no_floor else Limit()


LAW = Saturating()
