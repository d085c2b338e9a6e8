"""Figures of a fitted curve that are not its parameters: values, new measurements, falls, the n of a target."""

import numpy as np

from cvfp_cli.scaling.laws import Law, log_curve, stretch
from cvfp_cli.scaling.quantities import (
    LOG_A,
    SHARE,
    STRETCH,
    VANISHED,
    Edge,
    Quantity,
    Scale,
    clipped_exp,
    log_value_functional,
    solve_for,
    through_level,
)
from cvfp_cli.stats.solver import Array, Rows

# A held change weighs this many measurements: what the fit evades of it makes an interval wider, by less than 1 %; a
# weight beyond that makes the fits so stiff that they stop early, and intervals too short.
HEAVY = 1e3


def value_quantity(law: Law, scale: Scale, z: Array) -> Quantity:
    """The law at ``z`` (P,), in the user's unit."""
    functional = log_value_functional(law, z)
    return Quantity(
        "value",
        functional,
        lambda t, rows: clipped_exp(t + scale.log_unit[rows]),
        through_level(functional),
        vanishing=0.0,
        farthest=VANISHED,
    )


def observation_quantity(law: Law, scale: Scale, z: Array, objective: str) -> Quantity:
    """One new measurement at ``z`` (P,), or at infinity where z is: scattered on the objective's scale."""
    at = log_value_functional(law, z)

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        value, gradient = at(theta, rows)
        if objective == "ppl":
            f = clipped_exp(value)
            return f, f[:, None] * gradient
        return value, gradient

    def user(t: Array, rows: Rows) -> Array:
        unit = np.exp(scale.log_unit[rows])
        return np.maximum(t, 0.0) * unit if objective == "ppl" else clipped_exp(t) * unit

    return Quantity(
        "observation",
        functional,
        user,
        None,
        # Where the data allow an asymptote of 0, a measurement at infinity may be 0.
        low=Edge(SHARE, 0.0, -np.inf, 0.0) if np.all(np.isinf(z)) else None,
        vanishing=0.0,
        farthest=VANISHED if objective == "log" else 1e3,
        place=z,
    )


def drop_quantity(law: Law, z: Array, factor: float) -> Quantity:
    """The fall of f in percent when n grows by ``factor`` from ``z`` (P,), for saturating and exp-decay.

    Traced as t = ln(ln f(z) - ln f(z + ln factor)). To hold it, the share of the asymptote is solved for: with
    R = exp(-e^t) and w = exp(-h) at both places, s = N / (N + 1 - R), N = R w1 - w2. This is not negative only for
    a >= a0 = e^t / (g2 - g1), so the unknown in place of ln a is ln(a - a0).
    """
    step = float(np.log(factor))

    def ends(theta: Array, rows: Rows) -> tuple[Array, Array, Array, Array]:
        z1, z2 = z[rows], z[rows] + step
        if law.name == "saturating":
            zero = np.zeros_like(z1)
            return z1, z2, zero, zero
        c = theta[:, STRETCH]
        g1, by_c1 = stretch(c, z1)
        g2, by_c2 = stretch(c, z2)
        return g1, g2, by_c1, by_c2

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        value, gradient = log_curve(law, theta, np.stack([z[rows], z[rows] + step], axis=1))
        # A fall below e^-25 is none: it has no digits left.
        fall = np.maximum(value[:, 0] - value[:, 1], np.exp(-VANISHED))
        return np.log(fall), (gradient[:, 0] - gradient[:, 1]) / fall[:, None]

    def enter(theta: Array, t: Array, rows: Rows) -> Array:
        g1, g2, _, _ = ends(theta, rows)
        out = theta.copy()
        out[:, LOG_A] = np.log(np.maximum(np.exp(theta[:, LOG_A]) - clipped_exp(t) / (g2 - g1), 1e-5))
        return out

    def hold(unknowns: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        g1, g2, by_c1, by_c2 = ends(unknowns, rows)
        fall = clipped_exp(t)
        more = np.exp(unknowns[:, LOG_A])
        a = fall / (g2 - g1) + more
        w1, w2 = clipped_exp(-a * g1), clipped_exp(-a * g2)
        ratio, rest = np.exp(-fall), -np.expm1(-fall)
        n = np.maximum(w1 * (np.expm1(-fall) - np.expm1(-a * (g2 - g1))), 0.0)
        below = np.maximum(n + rest, 1e-300)
        by_n = rest / below**2
        n_by_a = -g1 * w1 * ratio + g2 * w2
        out = unknowns.copy()
        out[:, SHARE], out[:, LOG_A] = n / below, np.log(a)
        by_unknown = np.tile(np.eye(unknowns.shape[1]), (len(unknowns), 1, 1))
        by_unknown[:, SHARE, :] = 0.0
        by_unknown[:, SHARE, LOG_A] = by_n * n_by_a * more
        by_unknown[:, LOG_A, LOG_A] = more / a
        if law.name == "exp-decay":
            a_by_c = -fall * (by_c2 - by_c1) / (g2 - g1) ** 2
            n_by_c = a * (-by_c1 * w1 * ratio + by_c2 * w2)
            by_unknown[:, SHARE, STRETCH] = by_n * (n_by_a * a_by_c + n_by_c)
            by_unknown[:, LOG_A, STRETCH] = a_by_c / a
        return out, by_unknown

    return Quantity(
        f"per_{factor:g}",
        functional,
        lambda t, rows: -100.0 * np.expm1(-clipped_exp(t)),
        hold,
        enter=enter,
        low=Edge(SHARE, 1.0, -np.inf, 0.0),
        vanishing=0.0,
        farthest=VANISHED,
    )


def change_quantity(law: Law, z: Array, factor: float) -> Quantity:
    """The fall of f in percent when n grows by ``factor`` from ``z`` (P,), for bnsl, which may also rise there.

    Traced as t = ln f(z) - ln f(z + ln factor), which no coordinate of bnsl can be solved for in closed form.
    """
    step = float(np.log(factor))

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        value, gradient = log_curve(law, theta, np.stack([z[rows], z[rows] + step], axis=1))
        return value[:, 0] - value[:, 1], gradient[:, 0] - gradient[:, 1]

    return Quantity(
        f"per_{factor:g}",
        functional,
        lambda t, rows: -100.0 * np.expm1(np.clip(-t, -700.0, 700.0)),
        None,
        farthest=VANISHED,
        weight=HEAVY,
    )


def target_quantity(law: Law, z: Array, log_target: Array) -> Quantity:
    """The ln n (shifted) at which the curve reaches ``log_target`` (P,); ``z`` is where the fitted curve does."""

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        small = 1e-5
        value, gradient = log_curve(law, theta, np.stack([z[rows], z[rows] - small, z[rows] + small], axis=1))
        slope = np.minimum((value[:, 2] - value[:, 1]) / (2.0 * small), -1e-12)
        return z[rows].copy(), -gradient[:, 0] / slope[:, None]

    def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        flat = theta.copy()
        flat[:, 0] = 0.0
        rest, gradient = log_curve(law, flat, t[:, None])
        return solve_for(theta, 0, log_target[rows] - rest[:, 0], -gradient[:, 0])

    return Quantity("target", functional, lambda t, rows: t, hold, farthest=50.0)
