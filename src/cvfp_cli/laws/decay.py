"""What saturating and exp-decay have in common: an excess that falls all along, ``h = a g(z)`` with g rising.

The shape's first coordinate is ``ln a``. A curve is placed by the z at which its excess has fallen to 1/e.
"""

from typing import ClassVar

import numpy as np

from cvfp_cli.laws.base import NEAR, Data, Limit, fall_name
from cvfp_cli.laws.floored import SHARE_RANGE, Floored
from cvfp_cli.laws.names import POWER
from cvfp_cli.laws.power import LAW as LINE
from cvfp_cli.laws.quantities import SHARE, VANISHED, Bound, Quantity, clipped_exp
from cvfp_cli.notes import Note
from cvfp_cli.stats.solver import Array, Rows

# Wide enough to hold every curve that a handful of sizes can tell from a step: at a local exponent of 50 the excess
# over the asymptote falls by 10^15 per doubling.
LOG_A_RANGE = (np.log(1e-5), np.log(50.0))
LOG_A = 2
# Curves of each stretch on the grid.
PLACES = 24
SHAPES_A = np.log([0.1, 0.2, 0.4, 0.7, 1.2, 2.5])


class Decay(Floored):
    """A subclass gives g; ``stretches`` are the further coordinate's values on the grid."""

    stretches: ClassVar[Array] = np.zeros(1)

    def course(self, shape: Array, z: Array) -> tuple[Array, tuple[Array, ...]]:
        """g and its derivatives by the shape's coordinates after ln a; arrays that broadcast with z."""
        raise NotImplementedError

    def exponent(self, shape: Array, z: Array) -> tuple[Array, tuple[Array, ...]]:
        """See ``Floored``."""
        a = np.exp(shape[:, :1])
        g, by_rest = self.course(shape[:, 1:], z)
        h = a * g
        return h, (h, *(a * derivative for derivative in by_rest))

    def grid(self, data: Data) -> Array:
        """See ``Law``: places from a step after the smallest size to a curve that has hardly begun to fall.

        For a fixed shape a curve is linear in E and B, so each grid point needs only a 2 x 2 least-squares problem
        (variable projection, Golub and Pereyra 1973), held to E >= 0 and B >= 0.
        """
        problems = len(data.z)
        spread = np.maximum(np.ptp(data.z, axis=1), 1e-6)
        c = self.stretches
        shapes = np.zeros((problems, len(c), PLACES, self.k))
        # From a fortieth of the range to where the excess has fallen by 5 % at the largest size. That finds steps
        # between any two sizes.
        rate = np.maximum(c, 1e-6)[None, :]
        first = np.broadcast_to(spread[:, None] / 40.0, (problems, len(c)))
        last = np.log1p(20.0 * np.expm1(rate * spread[:, None])) / rate
        share = np.linspace(0.0, 1.0, PLACES)
        place = first[..., None] * (last / first)[..., None] ** share
        shapes[..., LOG_A] = np.clip(
            np.log(rate[..., None] / np.expm1(rate[..., None] * place)), *LOG_A_RANGE
        )
        shapes[..., LOG_A + 1 :] = c[None, :, None, None]
        flat = shapes.reshape(problems, -1, self.k)
        count = flat.shape[1]
        log_w = self.log_value(flat.reshape(-1, self.k), np.repeat(data.z, count, axis=0))
        w = np.exp(np.minimum(log_w, 300.0)).reshape(problems, count, -1)
        e, b = _linear(data, w)
        total = np.maximum(e + b, 1e-280)
        flat[..., SHARE] = np.clip(e / total, 0.0, 1.0)
        flat[..., 0] = np.log(total)
        return flat

    def find_limit(self, label: str, theta: Array) -> Limit:
        """See ``Law``."""
        name = f"{label}: {self.name}" if label else self.name
        share = theta[SHARE]
        if share >= 1.0 - NEAR * NEAR or theta[LOG_A] <= LOG_A_RANGE[0] + NEAR:
            return self.constant_limit(name)
        if theta[LOG_A] >= LOG_A_RANGE[1] - NEAR:
            message = (
                f"{name} ran into a step: only the smallest size lies above the asymptote, so the speed of the fall is "
                "not determined."
            )
            shape = ("A", self.parameters[2])
            return Limit("step", shape, shape, Note("limit-step", message, "warning"))
        return self.shape_limit(name, theta, no_floor=bool(share <= SHARE_RANGE[0] + NEAR))

    def shape_limit(self, name: str, theta: Array, *, no_floor: bool) -> Limit:
        """Which limit a curve lies on that does fall, and not in one step."""
        raise NotImplementedError

    def limiting_parameters(self, theta: Array, origin: float, log_unit: float) -> dict[str, float]:
        """See ``Law``: power's or saturating's."""
        level, share, a = theta[0] + log_unit, theta[SHARE], float(np.exp(theta[LOG_A]))
        with np.errstate(divide="ignore"):
            log_amplitude = level + np.log1p(-share) + a * origin
        amplitude = float(clipped_exp(np.asarray(log_amplitude)))
        if share <= SHARE_RANGE[0] + NEAR:
            return {"A": amplitude, LINE.slope: -a}
        return {self.parameters[0]: float(np.exp(level) * share), "A": amplitude, "a": a}

    def fall(self, z: Array, factor: float) -> Quantity:
        """See ``Law``.

        Traced as t = ln(ln f(z) - ln f(z + ln factor)). To hold it, the share of the asymptote is solved for: with
        R = exp(-e^t) and w = exp(-h) at both places, s = N / (N + 1 - R), N = R w1 - w2. This is not negative only for
        a >= a0 = e^t / (g2 - g1), so the unknown in place of ln a is ln(a - a0).
        """
        step = float(np.log(factor))
        rest = slice(LOG_A + 1, None)

        def ends(theta: Array, rows: Rows) -> tuple[Array, Array, Array, Array]:
            z1 = z[rows][:, None]
            g1, by1 = self.course(theta[:, rest], z1)
            g2, by2 = self.course(theta[:, rest], z1 + step)
            none = np.zeros((len(theta), 0))
            return g1[:, 0], g2[:, 0], np.hstack([none, *by1]), np.hstack([none, *by2])

        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            value, gradient = self.log_curve(theta, np.stack([z[rows], z[rows] + step], axis=1))
            # A fall below e^-25 is none: it has no digits left.
            fall = np.maximum(value[:, 0] - value[:, 1], np.exp(-VANISHED))
            return np.log(fall), (gradient[:, 0] - gradient[:, 1]) / fall[:, None]

        def enter(theta: Array, t: Array, rows: Rows) -> Array:
            g1, g2, _, _ = ends(theta, rows)
            out = theta.copy()
            out[:, LOG_A] = np.log(np.maximum(np.exp(theta[:, LOG_A]) - clipped_exp(t) / (g2 - g1), 1e-5))
            return out

        def hold(unknowns: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
            g1, g2, by1, by2 = ends(unknowns, rows)
            fall = clipped_exp(t)
            more = np.exp(unknowns[:, LOG_A])
            a = fall / (g2 - g1) + more
            w1, w2 = clipped_exp(-a * g1), clipped_exp(-a * g2)
            ratio, left = np.exp(-fall), -np.expm1(-fall)
            n = np.maximum(w1 * (np.expm1(-fall) - np.expm1(-a * (g2 - g1))), 0.0)
            below = np.maximum(n + left, 1e-300)
            by_n = left / below**2
            n_by_a = -g1 * w1 * ratio + g2 * w2
            out = unknowns.copy()
            out[:, SHARE], out[:, LOG_A] = n / below, np.log(a)
            by_unknown = np.tile(np.eye(unknowns.shape[1]), (len(unknowns), 1, 1))
            by_unknown[:, SHARE, :] = 0.0
            by_unknown[:, SHARE, LOG_A] = by_n * n_by_a * more
            by_unknown[:, LOG_A, LOG_A] = more / a
            a_by = (-fall / (g2 - g1) ** 2)[:, None] * (by2 - by1)
            n_by = a[:, None] * (-by1 * (w1 * ratio)[:, None] + by2 * w2[:, None])
            by_unknown[:, SHARE, rest] = by_n[:, None] * (n_by_a[:, None] * a_by + n_by)
            by_unknown[:, LOG_A, rest] = a_by / a[:, None]
            return out, by_unknown

        return Quantity(
            fall_name(factor),
            functional,
            lambda t, rows: -100.0 * np.expm1(-clipped_exp(t)),
            hold,
            enter=enter,
            low=Bound(SHARE, 1.0, -np.inf, 0.0),
            vanishing=0.0,
            farthest=VANISHED,
        )


def power_limit(name: str, floor: str) -> Limit:
    """Where saturating is the power law."""
    message = f"{name} ran into its limit {floor} = 0, which is the power law: the data show no asymptote."
    return Limit(POWER, (), (floor,), Note("limit-power", message))


def _linear(data: Data, w: Array) -> tuple[Array, Array]:
    """E and B of ``y = E + B w`` by non-negative least squares; ``w`` has shape (P, S, m)."""
    y = np.exp(data.target) if data.objective == "log" else data.target
    # On logs an error counts relative to y.
    weight = data.weight / (y * y) if data.objective == "log" else data.weight
    v, t = weight[:, None, :], y[:, None, :]
    s1, sw, sww = v.sum(2), (v * w).sum(2), (v * w * w).sum(2)
    st, swt = (v * t).sum(2), (v * w * t).sum(2)
    determinant = s1 * sww - sw * sw
    safe = np.where(determinant > 1e-14 * s1 * sww, determinant, np.inf)
    e = (sww * st - sw * swt) / safe
    b = (s1 * swt - sw * st) / safe
    only_b = swt / np.maximum(sww, 1e-280)
    only_e = st / s1
    e, b = np.where(b < 0.0, only_e, e), np.maximum(b, 0.0)
    b, e = np.where(e < 0.0, only_b, b), np.maximum(e, 0.0)
    return e, b
