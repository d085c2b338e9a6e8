"""``ppl_min + A exp(-b n^c)``: h(z) = a (e^(c z) - 1) / c with a = b c e^(c origin).

In the coordinates ln a and c it *is* saturating at c = 0, where b and A grow without bound.
"""

from collections.abc import Mapping

import numpy as np

from cvfp_cli.laws.base import NEAR, Limit
from cvfp_cli.laws.decay import LOG_A, LOG_A_RANGE, SHAPES_A, Decay
from cvfp_cli.laws.floored import MAX_H, SHARE_RANGE, log_excess
from cvfp_cli.laws.names import POWER
from cvfp_cli.laws.quantities import (
    SHARE,
    Bound,
    Quantity,
    Scale,
    clipped_exp,
    coordinate_quantity,
    plain_user,
    safe_log,
    solve_for,
)
from cvfp_cli.laws.saturating import LAW as SATURATING
from cvfp_cli.notes import Note
from cvfp_cli.stats.solver import Array, Rows

STRETCH_RANGE = (0.0, 5.0)
STRETCH = 3
# A is traced against e^-20 times the smallest y: far below any A that could matter.
LOG_BELOW = 20.0


class ExpDecay(Decay):
    """Stretched exponential fall to an asymptote; saturating at c = 0."""

    name = "exp-decay"
    formula = "y = ppl_min + A exp(-b n^c)"
    parameters = ("ppl_min", "A", "b", "c")
    coordinates = ("level", "share", "log_a", "c")
    lower = (SHARE_RANGE[0], LOG_A_RANGE[0], STRETCH_RANGE[0])
    upper = (SHARE_RANGE[1], LOG_A_RANGE[1], STRETCH_RANGE[1])
    simpler = SATURATING
    shareable = {"ppl_min": SHARE, "b": LOG_A, "c": STRETCH}  # noqa: RUF012
    needs = {"b": "c"}  # noqa: RUF012
    stretches = np.array([0.0, 0.15, 0.3, 0.5, 0.75, 1.1, 1.6, 2.4, 3.5, 5.0])
    blocks = len(stretches)
    shapes = np.array([(log_a, c) for log_a in SHAPES_A for c in (0.0, 0.3, 0.7, 1.5)])

    def course(self, shape: Array, z: Array) -> tuple[Array, tuple[Array, ...]]:
        """See ``Decay``."""
        g, by_c = stretch(shape[:, :1], z)
        return g, (by_c,)

    def value(self, parameters: Mapping[str, Array], n: Array) -> Array:
        """See ``Law``."""
        p = parameters
        excess = -p["b"] * np.exp(np.minimum(700.0, p["c"] * np.log(n)))
        return p["ppl_min"] + np.exp(np.minimum(700.0, np.log(p["A"]) + excess))

    def common_value(self, name: str, values: Mapping[str, float], origin: float, log_unit: float) -> float:
        """See ``Law``: of b stands ln a = ln(b c) + c origin, which needs c."""
        if name == "b":
            c = values["c"]
            return safe_log(values[name]) + safe_log(c) + c * origin
        return super().common_value(name, values, origin, log_unit)

    def parameter_quantities(self, scale: Scale) -> tuple[Quantity, ...]:
        """See ``Law``."""
        c = coordinate_quantity("c", STRETCH, *STRETCH_RANGE, plain_user, 0.0)
        return self.floor(scale), _amplitude(scale), _rate(scale), c

    def contained(self, theta: Array) -> Array:
        """See ``Law``."""
        return np.hstack([theta, np.zeros((len(theta), 1))])

    def shape_limit(self, name: str, theta: Array, *, no_floor: bool) -> Limit:
        """See ``Decay``."""
        floor = self.parameters[0]
        if theta[STRETCH] >= STRETCH_RANGE[1] - NEAR:
            message = f"{name} ended at c = {STRETCH_RANGE[1]:g}, the steepest fall it allows: close to a step between two sizes."
            return Limit("", (), ("c",), Note("limit-steepest", message, "warning"))
        if theta[STRETCH] > STRETCH_RANGE[0] + NEAR:
            return self.no_floor_limit(name) if no_floor else Limit()
        simple = POWER if no_floor else SATURATING.name
        excess = "the power law" if no_floor else "the saturating law"
        message = (
            f"{name} ran into its limit c = 0, where b and A grow without bound: it is {excess}; the data show no "
            "faster fall."
        )
        at_bound = ("A", "b", "c", floor) if no_floor else ("A", "b", "c")
        return Limit(simple, ("A", "b"), at_bound, Note(f"limit-{simple}", message))


def stretch(c: Array, z: Array) -> tuple[Array, Array]:
    """``g = (e^(c z) - 1) / c`` and its derivative by c; the series where c z is small."""
    cz = np.clip(c * z, -MAX_H, MAX_H)
    small = np.abs(cz) < 1e-4
    safe_c = np.where(small, 1.0, c)
    safe = np.where(small, 0.0, cz)
    with np.errstate(over="ignore", invalid="ignore"):
        g = np.where(small, z * (1.0 + cz / 2.0 + cz * cz / 6.0), np.expm1(safe) / safe_c)
        slope = np.where(
            small, z * z * (0.5 + cz / 3.0), (z * np.exp(safe) - np.expm1(safe) / safe_c) / safe_c
        )
    return g, slope


def _amplitude(scale: Scale) -> Quantity:
    """A, traced in 1 / (ln A - L) with L a constant below every A; 0 at c = 0."""

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        b0, gradient = log_excess(theta)
        k = b0 - (scale.lowest[rows] - LOG_BELOW)
        gradient = np.where((k > 1.0)[:, None], gradient, 0.0)
        k = np.maximum(k, 1.0)
        a, c = np.exp(theta[:, LOG_A]), theta[:, STRETCH]
        below = a + c * k
        gradient *= (-c * c / below**2)[:, None]
        gradient[:, LOG_A] = -a * c / below**2
        gradient[:, STRETCH] = a / below**2
        return c / below, gradient

    def log_amplitude(t: Array, rows: Rows) -> Array:
        return scale.lowest[rows] - LOG_BELOW + 1.0 / np.maximum(t, 1e-300)

    def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        # a = c (ln A - ln B): solve for ln a.
        b0, by_theta = log_excess(theta)
        gap = log_amplitude(t, rows) - b0
        free = gap > 1e-6
        gap = np.maximum(gap, 1e-6)
        c = np.maximum(theta[:, STRETCH], 1e-9)
        gradient = np.where(free[:, None], -by_theta / gap[:, None], 0.0)
        gradient[:, STRETCH] = 1.0 / c
        return solve_for(theta, LOG_A, np.log(c) + np.log(gap), gradient)

    def user(t: Array, rows: Rows) -> Array:
        return np.where(t > 0.0, clipped_exp(log_amplitude(t, rows) + scale.log_unit[rows]), np.inf)

    return Quantity(
        "A",
        functional,
        user,
        hold,
        falling=True,
        low=Bound(STRETCH, 0.0, 0.0, None),
        high=Bound(SHARE, 1.0, np.inf, 0.0),
    )


def _rate(scale: Scale) -> Quantity:
    """b, traced in arsinh(1/b) with 1/b = c e^(c origin) / a; 0 at c = 0."""

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        x, a, c = scale.origin[rows], np.exp(theta[:, LOG_A]), theta[:, STRETCH]
        power = clipped_exp(c * x) / a
        v = c * power
        outer = 1.0 / np.sqrt(1.0 + v * v)
        gradient = np.zeros_like(theta)
        gradient[:, LOG_A], gradient[:, STRETCH] = -v * outer, power * (1.0 + c * x) * outer
        return np.arcsinh(v), gradient

    def rate(t: Array) -> Array:
        return 1.0 / np.sinh(np.clip(t, 1e-300, 700.0))

    def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        x, c = scale.origin[rows], np.maximum(theta[:, STRETCH], 1e-9)
        gradient = np.zeros_like(theta)
        gradient[:, STRETCH] = 1.0 / c + x
        return solve_for(theta, LOG_A, np.log(rate(t)) + np.log(c) + c * x, gradient)

    return Quantity(
        "b",
        functional,
        lambda t, rows: np.where(t > 0.0, rate(t), np.inf),
        hold,
        falling=True,
        low=Bound(STRETCH, 0.0, 0.0, None),
        high=Bound(STRETCH, STRETCH_RANGE[1], np.inf, 0.0),
    )


LAW = ExpDecay()
