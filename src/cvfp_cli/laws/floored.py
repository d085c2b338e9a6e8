"""Laws with an asymptote: ``f = E + B exp(-h(z))`` with h(0) = 0.

Coordinates are ``ln f(0)``, ``s = E / f(0)`` between 0 and 1, and the shape. At s = 0 there is no asymptote and at s = 1
nothing but it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from cvfp_cli.laws.base import Law, Limit
from cvfp_cli.laws.quantities import (
    SHARE,
    Bound,
    Functional,
    Quantity,
    Scale,
    clipped_exp,
    log_unit_user,
    through_level,
)
from cvfp_cli.notes import Note
from cvfp_cli.stats.solver import Array, Rows

SHARE_RANGE = (0.0, 1.0)
# exp(-h) is held within doubles; beyond, the curve is its asymptote to all digits.
MAX_H = 600.0
CONSTANT = "constant"


class Floored(Law):
    """A subclass gives h and its derivatives."""

    has_floor: ClassVar[bool] = True

    def exponent(self, shape: Array, z: Array) -> tuple[Array, tuple[Array, ...]]:
        """h (P, m) and its derivatives by the shape's coordinates (P, k - 2)."""
        raise NotImplementedError

    def exponent_value(self, shape: Array, z: Array) -> Array:
        """h alone."""
        return self.exponent(shape, z)[0]

    def log_curve(self, theta: Array, z: Array) -> tuple[Array, Array]:
        """See ``Law``."""
        jacobian = np.empty((*z.shape, self.k))
        jacobian[:, :, 0] = 1.0
        share = theta[:, 1:2]
        h, by_shape = self.exponent(theta[:, 2:], z)
        inside = np.abs(h) < MAX_H
        w = np.exp(-np.clip(h, -MAX_H, MAX_H))
        m = share + (1.0 - share) * w
        # At s = 1 far below the origin, or s = 0 far above, m can only reach e^-600, never 0.
        m = np.maximum(m, 1e-280)
        jacobian[:, :, 1] = (1.0 - w) / m
        by_h = np.where(inside, -(1.0 - share) * w / m, 0.0)
        for i, derivative in enumerate(by_shape):
            jacobian[:, :, 2 + i] = by_h * np.where(inside, derivative, 0.0)
        return theta[:, :1] + np.log(m), jacobian

    def log_value(self, theta: Array, z: Array) -> Array:
        """See ``Law``."""
        h, share = self.exponent_value(theta[:, 2:], z), theta[:, 1:2]
        m: Array = np.maximum(share + (1.0 - share) * np.exp(-np.clip(h, -MAX_H, MAX_H)), 1e-280)
        return np.asarray(theta[:, :1] + np.log(m))

    def log_asymptote(self, theta: Array) -> tuple[Array, Array]:
        """See ``Law``."""
        share = np.maximum(theta[:, SHARE], 1e-12)
        gradient = np.zeros_like(theta)
        gradient[:, 0], gradient[:, SHARE] = 1.0, 1.0 / share
        return theta[:, 0] + np.log(share), gradient

    def floor(self, scale: Scale) -> Quantity:
        """The asymptote E, the law's first parameter."""
        return Quantity(
            self.parameters[0],
            _floor,
            lambda t, rows: t * np.exp(scale.log_unit[rows]),
            _hold_floor,
            enter=_enter_floor,
            low=Bound(SHARE, 0.0, 0.0, 0.0),
        )

    def amplitude(self, scale: Scale, rest: Functional) -> Quantity:
        """A: ln of the excess at n = 1, which is ``rest`` above the excess at the origin."""

        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            (value, gradient), (more, by_theta) = log_excess(theta), rest(theta, rows)
            return value + more, gradient + by_theta

        return Quantity("A", functional, log_unit_user(scale), through_level(functional), vanishing=0.0)

    def constant_limit(self, name: str) -> Limit:
        """Where nothing falls."""
        message = f"{name} ran into its limit of a constant: the data show no fall, so nothing but the level is determined."
        note = Note("limit-constant", message, "warning")
        return Limit(CONSTANT, self.parameters[1:], self.parameters[1:], note)

    def no_floor_limit(self, name: str) -> Limit:
        """Where the asymptote is 0 and that makes no simpler law of it."""
        floor = self.parameters[0]
        message = f"{name} ended at {floor} = 0: the data show no asymptote."
        return Limit("", (), (floor,), Note("limit-floor", message))

    # Groups can share an asymptote: the common coordinates are ln B and E in place of the level and the share.

    def common_bounds(self) -> tuple[Array, Array]:
        """See ``Law``: the excess is free, the asymptote at least 0."""
        return np.array([-np.inf, 0.0, *self.lower[1:]]), np.array([np.inf, np.inf, *self.upper[1:]])

    def common_value(self, name: str, values: Mapping[str, float], origin: float, log_unit: float) -> float:
        """See ``Law``: the asymptote is measured in the fit's unit of y."""
        return values[name] * float(np.exp(-log_unit)) if name == self.parameters[0] else values[name]

    def from_common(self, own: Array) -> tuple[Array, Array | None]:
        """See ``Law``."""
        excess, floor = clipped_exp(own[:, 0]), np.maximum(own[:, 1], 0.0)
        total = np.maximum(floor + excess, 1e-300)
        theta = own.copy()
        share = floor / total
        theta[:, 0], theta[:, 1] = np.log(total), share
        by_own = np.tile(np.eye(self.k), (len(own), 1, 1))
        by_own[:, 0, 0], by_own[:, 0, 1] = excess / total, 1.0 / total
        by_own[:, 1, 0], by_own[:, 1, 1] = -share * excess / total, excess / total / total
        return theta, by_own

    def to_common(self, theta: Array) -> tuple[Array, Array | None]:
        """See ``Law``."""
        own = theta.copy()
        own[:, 0], excess_by = log_excess(theta)
        own[:, 1], floor_by = _floor(theta, np.arange(len(theta)))
        by_theta = np.tile(np.eye(self.k), (len(theta), 1, 1))
        by_theta[:, 0], by_theta[:, 1] = excess_by, floor_by
        return own, by_theta

    def bound_in_common(self, bound: Bound) -> Bound | None:
        """See ``Law``: at a share of 1 ln B is infinite."""
        return None if bound.coordinate == SHARE and bound.at > 0.0 else replace(bound)


def log_excess(theta: Array) -> tuple[Array, Array]:
    """ln of the excess over the asymptote at the origin, level + ln(1 - s), and its gradient."""
    rest = np.maximum(1.0 - theta[:, SHARE], 1e-12)
    gradient = np.zeros_like(theta)
    gradient[:, 0], gradient[:, SHARE] = 1.0, -1.0 / rest
    return theta[:, 0] + np.log(rest), gradient


def _floor(theta: Array, rows: Rows) -> tuple[Array, Array]:
    """The asymptote E = f(0) s."""
    unit = clipped_exp(theta[:, 0])
    gradient = np.zeros_like(theta)
    gradient[:, 0], gradient[:, SHARE] = unit * theta[:, SHARE], unit
    return unit * theta[:, SHARE], gradient


def _enter_floor(theta: Array, t: Array, rows: Rows) -> Array:
    """For ``_hold_floor``: ln of the excess over the asymptote at the origin, in place of the level."""
    out = theta.copy()
    out[:, 0] += np.log(np.maximum(1.0 - theta[:, SHARE], 1e-16))
    return out


def _hold_floor(unknowns: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
    """Hold the asymptote E = t: with B the excess at the origin, the level is ln(E + B) and the share E / (E + B)."""
    excess = clipped_exp(unknowns[:, 0])
    total = np.maximum(t + excess, 1e-300)
    out = unknowns.copy()
    out[:, 0], out[:, SHARE] = np.log(total), np.clip(t / total, 0.0, 1.0)
    by_unknown = np.tile(np.eye(unknowns.shape[1]), (len(unknowns), 1, 1))
    by_unknown[:, 0, 0] = excess / total
    by_unknown[:, SHARE, :] = 0.0
    by_unknown[:, SHARE, 0] = -t * excess / total**2
    return out, by_unknown
