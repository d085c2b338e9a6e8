"""The broken neural scaling law with one break (Caballero et al. 2023).

``E + A n^(-c0) (1 + (n/d)^(1/f))^(-c1 f)``: h(z) = c0 z + c1 f (softplus((z - d')/f) - its value at 0) with d' = ln d -
origin.
"""

from collections.abc import Mapping

import numpy as np

from cvfp_cli.laws.base import ALPHA_RANGE, NEAR, Data, Limit
from cvfp_cli.laws.decay import LOG_A
from cvfp_cli.laws.floored import SHARE_RANGE, Floored
from cvfp_cli.laws.quantities import (
    SHARE,
    Quantity,
    Scale,
    clipped_exp,
    coordinate_functional,
    coordinate_hold,
    coordinate_quantity,
    exp_user,
    plain_user,
    safe_log,
)
from cvfp_cli.laws.saturating import LAW as SATURATING
from cvfp_cli.stats.solver import Array, Rows

WIDTH_RANGE = (np.log(1e-2), np.log(10.0))
C0, C1, BREAK, LOG_F = 2, 3, 4, 5
FLOORS = np.array([0.0, 0.3, 0.6, 0.8, 0.9, 0.97])
BREAKS = np.array([0.15, 0.35, 0.5, 0.65, 0.85])
WIDTHS = np.log([0.05, 0.3, 1.0])


class Broken(Floored):
    """Two slopes with a break between; saturating at c1 = 0."""

    name = "bnsl"
    formula = "y = E + A n^(-c0) (1 + (n/d)^(1/f))^(-c1 f)"
    parameters = ("E", "A", "c0", "c1", "d", "f")
    coordinates = ("level", "share", "c0", "c1", "break", "log_f")
    lower = (SHARE_RANGE[0], ALPHA_RANGE[0], ALPHA_RANGE[0], -np.inf, WIDTH_RANGE[0])
    upper = (SHARE_RANGE[1], ALPHA_RANGE[1], ALPHA_RANGE[1], np.inf, WIDTH_RANGE[1])
    simpler = SATURATING
    break_at = "d"
    slope_beyond = "c1"
    fixable = {"E": SHARE, "c0": C0, "c1": C1, "d": BREAK, "f": LOG_F}  # noqa: RUF012
    alike = ("c0", "c1")
    ranges = {"c0": ALPHA_RANGE, "c1": ALPHA_RANGE}  # noqa: RUF012

    def exponent(self, shape: Array, z: Array) -> tuple[Array, tuple[Array, ...]]:
        """See ``Floored``."""
        c0, c1, at, f = shape[:, :1], shape[:, 1:2], shape[:, 2:3], np.exp(shape[:, 3:4])

        def soft(u: Array) -> tuple[Array, Array]:
            return np.logaddexp(0.0, u), 0.5 * (1.0 + np.tanh(0.5 * u))

        u, u0 = (z - at) / f, -at / f
        value, slope = soft(u)
        value0, slope0 = soft(u0)
        bend = f * (value - value0)
        by_f = bend - f * (slope * u - slope0 * u0)
        return c0 * z + c1 * bend, (z, bend, c1 * (slope0 - slope), c1 * by_f)

    def exponent_value(self, shape: Array, z: Array) -> Array:
        """See ``Floored``."""
        c0, c1, at, f = shape[:, :1], shape[:, 1:2], shape[:, 2:3], np.exp(shape[:, 3:4])
        bend = f * (np.logaddexp(0.0, (z - at) / f) - np.logaddexp(0.0, -at / f))
        return np.asarray(c0 * z + c1 * bend)

    def value(self, parameters: Mapping[str, Array], n: Array) -> Array:
        """See ``Law``."""
        p = parameters
        bend = p["f"] * np.logaddexp(0.0, (np.log(n) - np.log(p["d"])) / p["f"])
        return p["E"] + np.exp(np.log(p["A"]) - p["c0"] * np.log(n) - p["c1"] * bend)

    def parameter_quantities(self, scale: Scale) -> tuple[Quantity, ...]:
        """See ``Law``."""

        def rest(theta: Array, rows: Rows) -> tuple[Array, Array]:
            x = scale.origin[rows]
            c0, c1, at, f = theta[:, C0], theta[:, C1], theta[:, BREAK], np.exp(theta[:, LOG_F])
            soft, slope = np.logaddexp(0.0, -at / f), 0.5 * (1.0 - np.tanh(0.5 * at / f))
            gradient = np.zeros_like(theta)
            gradient[:, C0], gradient[:, C1], gradient[:, BREAK] = x, f * soft, -c1 * slope
            gradient[:, LOG_F] = c1 * (f * soft + slope * at)
            return c0 * x + c1 * f * soft, gradient

        d = Quantity(
            "d",
            coordinate_functional(BREAK),
            lambda t, rows: clipped_exp(t + scale.origin[rows]),
            coordinate_hold(BREAK),
        )
        return (
            self.floor(scale),
            self.amplitude(scale, rest),
            coordinate_quantity("c0", C0, *ALPHA_RANGE, plain_user),
            coordinate_quantity("c1", C1, *ALPHA_RANGE, plain_user),
            d,
            coordinate_quantity("f", LOG_F, *WIDTH_RANGE, exp_user, 0.0),
        )

    def common_value(self, name: str, values: Mapping[str, float], origin: float, log_unit: float) -> float:
        """See ``Law``: d stands as ln d above the origin, f as its logarithm."""
        if name == "d":
            return safe_log(values[name]) - origin
        if name == "f":
            return safe_log(values[name])
        return super().common_value(name, values, origin, log_unit)

    def common_box(self, data: Data) -> tuple[Array, Array]:
        """See ``Law``: a break lies within the data here, too."""
        low, high = super().common_box(data)
        own_low, own_high = self.box(data)
        low[:, BREAK], high[:, BREAK] = own_low[:, BREAK], own_high[:, BREAK]
        return low, high

    def box(self, data: Data) -> tuple[Array, Array]:
        """See ``Law``: a break lies within the data, where alone it can be seen."""
        low, high = super().box(data)
        counted = data.weight > 0
        low[:, BREAK] = np.min(np.where(counted, data.z, np.inf), axis=1)
        high[:, BREAK] = np.max(np.where(counted, data.z, -np.inf), axis=1)
        return low, high

    def grid(self, data: Data) -> Array:
        """See ``Law``: floors x breaks x widths, with level and both slopes from a line with a bend in ln(y - E)."""
        log_y = data.log_y
        lowest = np.min(np.where(data.weight > 0, log_y, np.inf), axis=1)
        starts = []
        for floor in FLOORS:
            excess = np.exp(log_y) - floor * np.exp(lowest)[:, None]
            log_excess = np.log(np.maximum(excess, 1e-280))
            for position in BREAKS:
                at = data.z.min(1) + position * np.ptp(data.z, axis=1)
                for width in WIDTHS:
                    f = np.exp(width)
                    bend = f * (
                        np.logaddexp(0.0, (data.z - at[:, None]) / f) - np.logaddexp(0.0, -at / f)[:, None]
                    )
                    columns = (
                        np.stack([np.ones_like(data.z), -data.z, -bend], axis=2) * data.weight[..., None]
                    )
                    gram = columns.transpose(0, 2, 1) @ columns + 1e-9 * np.eye(3)
                    right = columns.transpose(0, 2, 1) @ (data.weight * log_excess)[..., None]
                    b, c0, c1 = np.linalg.solve(gram, right)[..., 0].T
                    e = floor * np.exp(lowest)
                    total = e + np.exp(np.clip(b, -300.0, 300.0))
                    flat = np.full(len(data.z), width)
                    starts.append(np.stack([np.log(total), e / total, c0, c1, at, flat], axis=1))
        return np.stack(starts, axis=1)

    def contained(self, theta: Array) -> Array:
        """See ``Law``."""
        out = np.zeros((len(theta), self.k))
        out[:, :2], out[:, C0] = theta[:, :2], np.exp(theta[:, LOG_A])
        return out

    def find_limit(self, label: str, theta: Array) -> Limit:
        """See ``Law``."""
        name = f"{label}: {self.name}" if label else self.name
        if theta[SHARE] >= 1.0 - NEAR * NEAR:
            return self.constant_limit(name)
        return self.no_floor_limit(name) if theta[SHARE] <= SHARE_RANGE[0] + NEAR else Limit()


LAW = Broken()
