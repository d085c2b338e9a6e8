"""A law that the package does not have: ``y = a - b ln n``, falling to 0 at a size of its own."""

from collections.abc import Mapping

import numpy as np

from cvfp_cli.laws.base import NEAR, Data, Law, Limit
from cvfp_cli.laws.quantities import (
    Bound,
    Quantity,
    Scale,
    clipped_exp,
    log_unit_user,
    solve_for,
    through_level,
)
from cvfp_cli.notes import Note
from cvfp_cli.stats.solver import Array, Rows

# Of b / f(0); a curve with the largest is at 0 before n has doubled.
SLOPE_RANGE = (0.0, 2.0)
# Below this share of the level the curve's logarithm goes on as a straight line, so that it stays finite.
LOWEST = 1e-3


class Logarithmic(Law):
    """Coordinates are the level and b / f(0)."""

    name = "logarithmic"
    formula = "y = a - b ln n"
    parameters = ("a", "b")
    coordinates = ("level", "slope")
    lower, upper = SLOPE_RANGE[:1], SLOPE_RANGE[1:]
    shareable = {"b": 1}  # noqa: RUF012

    def log_curve(self, theta: Array, z: Array) -> tuple[Array, Array]:
        u = 1.0 - theta[:, 1:] * z
        held = np.maximum(u, LOWEST)
        value = theta[:, :1] + np.log(held) + (u - held) / LOWEST
        return value, np.stack([np.ones_like(z), -z / held], axis=2)

    def value(self, parameters: Mapping[str, Array], n: Array) -> Array:
        return parameters["a"] - parameters["b"] * np.log(n)

    def parameter_quantities(self, scale: Scale) -> tuple[Quantity, ...]:
        def log_a(theta: Array, rows: Rows) -> tuple[Array, Array]:
            x = scale.origin[rows]
            share = 1.0 + theta[:, 1] * x
            return theta[:, 0] + np.log(share), np.stack([np.ones_like(x), x / share], axis=1)

        def b(theta: Array, rows: Rows) -> tuple[Array, Array]:
            unit = clipped_exp(theta[:, 0])
            return unit * theta[:, 1], np.stack([unit * theta[:, 1], unit], axis=1)

        def hold_b(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
            slope = t * clipped_exp(-theta[:, 0])
            return solve_for(theta, 1, slope, np.stack([-slope, np.zeros_like(slope)], axis=1))

        return (
            Quantity("a", log_a, log_unit_user(scale), through_level(log_a), vanishing=0.0),
            Quantity(
                "b",
                b,
                lambda t, rows: t * np.exp(scale.log_unit[rows]),
                hold_b,
                low=Bound(1, 0.0, 0.0, 0.0),
            ),
        )

    def grid(self, data: Data) -> Array:
        start = np.zeros((len(data.z), 12, 2))
        start[:, :, 1] = np.linspace(0.02, 0.98, 12) / np.maximum(data.z.max(axis=1), 1e-6)[:, None]
        return start

    def find_limit(self, label: str, theta: Array) -> Limit:
        if theta[1] > NEAR:
            return Limit()
        return Limit("constant", (), ("b",), Note("limit-constant", f"{label}: {self.name} does not fall."))

    def common_bounds(self) -> tuple[Array, Array]:
        return np.array([-np.inf, 0.0]), np.array([np.inf, np.inf])

    def common_value(self, name: str, values: Mapping[str, float], origin: float, log_unit: float) -> float:
        return values[name] * float(np.exp(-log_unit))

    def from_common(self, own: Array) -> tuple[Array, Array | None]:
        theta, by_own = own.copy(), np.tile(np.eye(2), (len(own), 1, 1))
        per_unit = clipped_exp(-own[:, 0])
        theta[:, 1] = own[:, 1] * per_unit
        by_own[:, 1, 0], by_own[:, 1, 1] = -theta[:, 1], per_unit
        return theta, by_own

    def to_common(self, theta: Array) -> tuple[Array, Array | None]:
        own, by_theta = theta.copy(), np.tile(np.eye(2), (len(theta), 1, 1))
        unit = clipped_exp(theta[:, 0])
        own[:, 1] = theta[:, 1] * unit
        by_theta[:, 1, 0], by_theta[:, 1, 1] = own[:, 1], unit
        return own, by_theta

    def bound_in_common(self, bound: Bound) -> Bound | None:
        return bound if bound.at == 0.0 else None


LAW = Logarithmic()
