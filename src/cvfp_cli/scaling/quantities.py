"""Figures one can ask of a fitted curve: a value with its gradient, and a way to hold the figure fixed.

A figure is traced in a coordinate ``t`` of its own in which its limits are ordinary points: exp-decay's b and A grow
without bound as c tends to 0, so they are traced in ``arsinh(1/b)`` and ``1/(ln A - constant)``, which reach 0 there.
To hold a figure at t, one of the curve's coordinates is solved for in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cvfp_cli.scaling.curves import Functional
from cvfp_cli.scaling.laws import Law, log_curve
from cvfp_cli.stats.solver import Array, Rows

# exp-decay's A is traced against e^-20 times the smallest y: far below any A that could matter.
LOG_BELOW = 20.0
# A logarithm this far below the estimate is one of 0.
VANISHED = 25.0
# Of the shape coordinates: the positions in every law that has them.
SHARE, LOG_A, STRETCH = 1, 2, 3

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
class Edge:
    """Where a figure's range ends: a coordinate on its bound.

    Attributes:
        coordinate, bound: the coordinate that is held there.
        t: the figure's trace coordinate there; infinite where it has no finite one.
        end: the user's value there: 0 for a natural zero, None for an open end.
    """

    coordinate: int
    bound: float
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
        low, high: edges of t's range, where it has any.
        vanishing: the user's value at t = -infinity: 0 for logarithms, None for an open end.
        farthest: a walk this far from the estimate counts as endless.
        place: ln n (shifted) of a new measurement, (P,), whose own error counts; None for a property of the curve.
    """

    name: str
    functional: Functional
    user: Callable[[Array, Rows], Array]
    hold: Hold | None
    enter: Callable[[Array, Array, Rows], Array] | None = None
    falling: bool = False
    low: Edge | None = None
    high: Edge | None = None
    vanishing: float | None = None
    farthest: float = 1e3
    weight: float = 1.0
    place: Array | None = None


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


def floor_functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
    """The asymptote E = f(0) s."""
    unit = clipped_exp(theta[:, 0])
    gradient = np.zeros_like(theta)
    gradient[:, 0], gradient[:, SHARE] = unit * theta[:, SHARE], unit
    return unit * theta[:, SHARE], gradient


def floor_enter(theta: Array, t: Array, rows: Rows) -> Array:
    """For ``floor_hold``: ln of the excess over the asymptote at the origin, in place of the level."""
    out = theta.copy()
    out[:, 0] += np.log(np.maximum(1.0 - theta[:, SHARE], 1e-16))
    return out


def floor_hold(unknowns: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
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


def log_value_functional(law: Law, z: Array) -> Functional:
    """ln f at ``z``, shape (P,), one place a problem; at infinity ln E, held above e^-28 of the level."""
    far = np.isinf(z)
    near = np.where(far, 0.0, z)

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        value, gradient = (part[:, 0] for part in log_curve(law, theta, near[rows][:, None]))
        if far.any() and law.has_floor:
            share = np.maximum(theta[:, SHARE], 1e-12)
            at_end = np.zeros_like(theta)
            at_end[:, 0], at_end[:, SHARE] = 1.0, 1.0 / share
            value = np.where(far[rows], theta[:, 0] + np.log(share), value)
            gradient = np.where(far[rows][:, None], at_end, gradient)
        return value, gradient

    return functional


def _log_b0(theta: Array) -> tuple[Array, Array]:
    """ln of the excess over the asymptote at the origin, level + ln(1 - s)."""
    rest = np.maximum(1.0 - theta[:, SHARE], 1e-12)
    gradient = np.zeros_like(theta)
    gradient[:, 0], gradient[:, SHARE] = 1.0, -1.0 / rest
    return theta[:, 0] + np.log(rest), gradient


def _log_amplitude(law: Law, scale: Scale) -> Functional:
    """ln A of power, saturating and bnsl."""

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        x = scale.origin[rows]
        if law.name == "power":
            return theta[:, 0] - theta[:, 1] * x, np.stack([np.ones_like(x), -x], axis=1)
        value, gradient = _log_b0(theta)
        if law.name == "saturating":
            a = np.exp(theta[:, LOG_A])
            gradient[:, LOG_A] = a * x
            return value + a * x, gradient
        c0, c1, at, f = theta[:, 2], theta[:, 3], theta[:, 4], np.exp(theta[:, 5])
        soft, slope = np.logaddexp(0.0, -at / f), 0.5 * (1.0 - np.tanh(0.5 * at / f))
        gradient[:, 2], gradient[:, 3], gradient[:, 4] = x, f * soft, -c1 * slope
        gradient[:, 5] = c1 * (f * soft + slope * at)
        return value + c0 * x + c1 * f * soft, gradient

    return functional


def _exp_decay_amplitude(scale: Scale) -> Quantity:
    """exp-decay's A, traced in 1 / (ln A - L) with L a constant below every A; 0 at c = 0."""

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        b0, gradient = _log_b0(theta)
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
        b0, by_theta = _log_b0(theta)
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
        low=Edge(STRETCH, 0.0, 0.0, None),
        high=Edge(SHARE, 1.0, np.inf, 0.0),
    )


def _exp_decay_rate(law: Law, scale: Scale) -> Quantity:
    """exp-decay's b, traced in arsinh(1/b) with 1/b = c e^(c origin) / a; 0 at c = 0."""

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
        low=Edge(STRETCH, 0.0, 0.0, None),
        high=Edge(STRETCH, law.upper[STRETCH - 1], np.inf, 0.0),
    )


def parameter_quantities(law: Law, scale: Scale) -> tuple[Quantity, ...]:
    """The law's parameters, in the user's order and units."""

    def log_unit(t: Array, rows: Rows) -> Array:
        return clipped_exp(t + scale.log_unit[rows])

    def plain(t: Array, rows: Rows) -> Array:
        return t

    def from_log(t: Array, rows: Rows) -> Array:
        return clipped_exp(t)

    def at(
        name: str, coordinate: str, user: Callable[[Array, Rows], Array], low_end: float | None
    ) -> Quantity:
        i = law.index(coordinate)
        low, high = law.lower[i - 1], law.upper[i - 1]
        return Quantity(
            name,
            coordinate_functional(i),
            user,
            coordinate_hold(i),
            low=Edge(i, low, low, low_end) if np.isfinite(low) else None,
            high=Edge(i, high, high, None) if np.isfinite(high) else None,
        )

    amplitude = _log_amplitude(law, scale)
    floor = Quantity(
        law.parameters[0],
        floor_functional,
        lambda t, rows: t * np.exp(scale.log_unit[rows]),
        floor_hold,
        enter=floor_enter,
        low=Edge(SHARE, 0.0, 0.0, 0.0),
    )
    log_a = Quantity("A", amplitude, log_unit, through_level(amplitude), vanishing=0.0)
    if law.name == "power":
        return log_a, at("alpha", "alpha", plain, None)
    if law.name == "bnsl":
        i = law.index("break")
        d = Quantity(
            "d",
            coordinate_functional(i),
            lambda t, rows: clipped_exp(t + scale.origin[rows]),
            coordinate_hold(i),
        )
        return (
            floor,
            log_a,
            at("c0", "c0", plain, None),
            at("c1", "c1", plain, None),
            d,
            at("f", "log_f", from_log, 0.0),
        )
    if law.name == "saturating":
        # A is 0 where nothing exceeds the asymptote, and endless where the excess is a step.
        bounded = Quantity(
            "A",
            amplitude,
            log_unit,
            through_level(amplitude),
            low=Edge(SHARE, 1.0, -np.inf, 0.0),
            high=Edge(LOG_A, law.upper[LOG_A - 1], np.inf, None),
            vanishing=0.0,
        )
        return floor, bounded, at("a", "log_a", from_log, 0.0)
    return floor, _exp_decay_amplitude(scale), _exp_decay_rate(law, scale), at("c", "c", plain, 0.0)
