"""Figures of a fitted curve that are not its parameters: values, new measurements, the n of a target."""

import numpy as np

from cvfp_cli.laws.base import Law, log_value_functional
from cvfp_cli.laws.quantities import (
    SHARE,
    VANISHED,
    Bound,
    Quantity,
    Scale,
    clipped_exp,
    log_unit_user,
    solve_for,
    through_level,
)
from cvfp_cli.stats.solver import Array, Rows

# Steps of Newton's method, each of at most a factor of 7 in n.
REACHING = 20


def value_quantity(law: Law, scale: Scale, z: Array) -> Quantity:
    """The law at ``z`` (P,), in the user's unit."""
    functional = log_value_functional(law, z)
    return Quantity(
        "value",
        functional,
        log_unit_user(scale),
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
        low=Bound(SHARE, 0.0, -np.inf, 0.0) if np.all(np.isinf(z)) else None,
        vanishing=0.0,
        farthest=VANISHED if objective == "log" else 1e3,
        place=z,
    )


def target_quantity(law: Law, z: Array, log_target: Array) -> Quantity:
    """The ln n (shifted) at which the curve reaches ``log_target`` (P,); ``z`` is where the fitted curve does."""

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        small = 1e-5
        value, gradient = law.log_curve(theta, np.stack([z[rows], z[rows] - small, z[rows] + small], axis=1))
        slope = np.minimum((value[:, 2] - value[:, 1]) / (2.0 * small), -1e-12)
        return z[rows].copy(), -gradient[:, 0] / slope[:, None]

    def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        flat = theta.copy()
        flat[:, 0] = 0.0
        rest, gradient = law.log_curve(flat, t[:, None])
        return solve_for(theta, 0, log_target[rows] - rest[:, 0], -gradient[:, 0])

    return Quantity("target", functional, lambda t, rows: t, hold, farthest=50.0)


def reached_quantity(law: Law, z: Array, log_target: Array) -> Quantity:
    """As ``target_quantity``, where the level cannot be solved for: the n is, by Newton's method from ``z``."""

    def at(theta: Array, place: Array) -> tuple[Array, Array, Array]:
        small = 1e-5
        value, gradient = law.log_curve(theta, np.stack([place, place - small, place + small], axis=1))
        slope = np.minimum((value[:, 2] - value[:, 1]) / (2.0 * small), -1e-12)
        return value[:, 0], gradient[:, 0], slope

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        place = z[rows].copy()
        for _ in range(REACHING):
            value, _, slope = at(theta, place)
            place += np.clip((log_target[rows] - value) / slope, -2.0, 2.0)
        _, gradient, slope = at(theta, place)
        return place, -gradient / slope[:, None]

    return Quantity("target", functional, lambda t, rows: t, None, farthest=50.0)
