"""Figures one can ask of a fitted curve: a value with its gradient, and a way to hold the figure fixed.

A figure is traced in a coordinate ``t`` of its own in which its limits are ordinary points: exp-decay's b and A grow
without bound as c tends to 0, so they are traced in ``arsinh(1/b)`` and ``1/(ln A - constant)``, which reach 0 there.
To hold a figure at t, one of the curve's coordinates is solved for in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cvfp_cli.stats.solver import Array, Rows

# A logarithm this far below the estimate is one of 0.
VANISHED = 25.0
# Position of the asymptote's share in every law that has one.
SHARE = 1

# theta (P, k) and the problem of each row -> value (P,) and gradient (P, k).
Functional = Callable[[Array, Rows], tuple[Array, Array]]
# Trace coordinates and the problem of each row -> the user's values, (P,).
User = Callable[[Array, Rows], Array]
# Unknowns (P, k), t (P,), rows -> coordinates (P, k) at which the figure is t, and d coordinates / d unknowns.
Hold = Callable[[Array, Array, Rows], tuple[Array, Array]]


@dataclass(frozen=True)
class Scale:
    """What turns a batch's internal coordinates into the user's, arrays of shape (P,).

    Attributes:
        origin: ln n at z = 0. log_unit: ln of y's unit. lowest: smallest ln y, in that unit.
    """

    origin: Array
    log_unit: Array
    lowest: Array


@dataclass(frozen=True)
class Bound:
    """Where a figure's range ends: a coordinate on its bound.

    Attributes:
        coordinate, at: the coordinate that is held there, and where.
        t: the figure's trace coordinate there; infinite where it has no finite one.
        end: the user's value there: 0 for a natural zero, None for an open end.
    """

    coordinate: int
    at: float
    t: float
    end: float | None


@dataclass(frozen=True)
class Quantity:
    """One figure.

    Attributes:
        name: a parameter's name, or such as ``value``.
        functional: coordinates -> t and its gradient.
        user: t (P,) and rows (P,) -> the user's value.
        hold: unknowns and t -> coordinates; None for a new measurement, whose t is not a property of the curve.
        weight: of that measurement against one of the data's. A property of the curve that no coordinate can be
            solved for is held by one so heavy that the fit cannot but obey it.
        enter: coordinates and t -> unknowns for ``hold``, where these are not the coordinates themselves.
        falling: the user's value falls as t grows.
        low, high: bounds of t's range, where it has any.
        vanishing: the user's value at t = -infinity: 0 for logarithms, None for an open end.
        farthest: a walk this far from the estimate counts as endless.
        place: ln n (shifted) of a new measurement, (P,), whose own error counts; None for a property of the curve.
    """

    name: str
    functional: Functional
    user: User
    hold: Hold | None
    enter: Callable[[Array, Array, Rows], Array] | None = None
    falling: bool = False
    low: Bound | None = None
    high: Bound | None = None
    vanishing: float | None = None
    farthest: float = 1e3
    weight: float = 1.0
    place: Array | None = None


def safe_log(value: float) -> float:
    """ln of a user's value; NaN where it has none."""
    return float(np.log(value)) if value > 0.0 else float("nan")


def clipped_exp(t: Array) -> Array:
    """exp without overflow."""
    return np.exp(np.clip(t, -700.0, 700.0))


def solve_for(theta: Array, index: int, value: Array, gradient: Array) -> tuple[Array, Array]:
    """Coordinates with the one at ``index`` replaced, and their derivatives by the others."""
    out = theta.copy()
    out[:, index] = value
    by_unknown = np.tile(np.eye(theta.shape[1]), (len(theta), 1, 1))
    by_unknown[:, index, :] = gradient
    by_unknown[:, index, index] = 0.0
    return out, by_unknown


def coordinate_functional(index: int) -> Functional:
    """One coordinate as it is."""

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        gradient = np.zeros_like(theta)
        gradient[:, index] = 1.0
        return theta[:, index].copy(), gradient

    return functional


def coordinate_hold(index: int) -> Hold:
    """Hold one coordinate."""

    def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        return solve_for(theta, index, t, np.zeros_like(theta))

    return hold


def through_level(functional: Functional) -> Hold:
    """Hold a figure that is the level plus something: solve for the level."""

    def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        flat = theta.copy()
        flat[:, 0] = 0.0
        rest, gradient = functional(flat, rows)
        return solve_for(theta, 0, t - rest, -gradient)

    return hold


def plain_user(t: Array, rows: Rows) -> Array:
    """The trace coordinate is the user's value."""
    return t


def exp_user(t: Array, rows: Rows) -> Array:
    """The trace coordinate is the user's value's logarithm."""
    return clipped_exp(t)


def log_unit_user(scale: Scale) -> User:
    """The trace coordinate is the logarithm of something in y's unit."""
    return lambda t, rows: clipped_exp(t + scale.log_unit[rows])


def coordinate_quantity(
    name: str, index: int, low: float, high: float, user: User, low_end: float | None = None
) -> Quantity:
    """A parameter that is a coordinate of its own, between bounds of which an infinite one is none."""
    return Quantity(
        name,
        coordinate_functional(index),
        user,
        coordinate_hold(index),
        low=Bound(index, low, low, low_end) if np.isfinite(low) else None,
        high=Bound(index, high, high, None) if np.isfinite(high) else None,
    )
