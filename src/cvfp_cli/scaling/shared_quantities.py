"""Figures of one group within a shared fit: as ``quantities``, in the coordinates of ``shared``."""

from collections.abc import Callable

import numpy as np

from cvfp_cli.scaling.curves import Functional
from cvfp_cli.scaling.laws import Law, stretch
from cvfp_cli.scaling.quantities import (
    LOG_A,
    LOG_BELOW,
    STRETCH,
    VANISHED,
    Edge,
    Hold,
    Quantity,
    Scale,
    clipped_exp,
    coordinate_functional,
    coordinate_hold,
    solve_for,
)
from cvfp_cli.scaling.shared import Layout, curve
from cvfp_cli.stats.solver import Array, Rows

EXCESS, FLOOR = 0, 1


class GroupQuantities:
    """Quantities of group ``g`` of a batch with this scale."""

    def __init__(self, law: Law, layout: Layout, g: int, scale: Scale) -> None:
        self.law, self.layout, self.g = law, layout, g
        self.origin, self.log_unit = float(scale.origin[g]), float(scale.log_unit[g])
        self.lowest = float(scale.lowest[g])
        self.at = layout.position[g]

    def parameters(self) -> tuple[Quantity, ...]:
        """The law's parameters, in the user's order and units."""
        if self.law.name == "power":
            return self._amplitude(), self._coordinate("alpha", 1, lambda t, rows: t, None)
        floor = Quantity(
            "ppl_min",
            coordinate_functional(int(self.at[FLOOR])),
            lambda t, rows: np.asarray(t * np.exp(self.log_unit)),
            coordinate_hold(int(self.at[FLOOR])),
            low=Edge(int(self.at[FLOOR]), 0.0, 0.0, 0.0),
        )
        if self.law.name == "saturating":
            return floor, self._amplitude(), self._coordinate("a", LOG_A, lambda t, rows: clipped_exp(t), 0.0)
        return (
            floor,
            self._decay_amplitude(),
            self._rate(),
            self._coordinate("c", STRETCH, lambda t, rows: t, 0.0),
        )

    def value(self, z: float) -> Quantity:
        """The law at ``z``, or its asymptote at infinity."""
        if np.isinf(z):
            return self.parameters()[0]
        return Quantity(
            "value",
            self._log_value(z),
            lambda t, rows: clipped_exp(t + self.log_unit),
            self._value_hold(lambda t: (t, np.full(len(t), z))),
            vanishing=0.0,
            farthest=VANISHED,
        )

    def observation(self, z: float, objective: str) -> Quantity:
        """One new measurement at ``z``."""
        log_value = self._log_value(z)

        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            value, gradient = log_value(theta, rows)
            if objective == "ppl":
                f = clipped_exp(value)
                return f, f[:, None] * gradient
            return value, gradient

        def user(t: Array, rows: Rows) -> Array:
            unit = np.exp(self.log_unit)
            return np.asarray(np.maximum(t, 0.0) * unit if objective == "ppl" else clipped_exp(t) * unit)

        at_infinity = Edge(int(self.at[FLOOR]), 0.0, -np.inf, 0.0) if np.isinf(z) else None
        far = VANISHED if objective == "log" else 1e3
        return Quantity("observation", functional, user, None, low=at_infinity, vanishing=0.0, farthest=far)

    def target(self, z: float, log_target: float) -> Quantity:
        """The shifted ln n at which the curve reaches the target; ``z`` is where the fitted one does."""
        log_value = self._log_value(z)

        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            _, gradient = log_value(theta, rows)
            small = 1e-5
            up, down = (self._log_value(z + step)(theta, rows)[0] for step in (small, -small))
            slope = np.minimum((up - down) / (2.0 * small), -1e-12)
            return np.full(len(theta), z), -gradient / slope[:, None]

        hold = self._value_hold(lambda t: (np.full(len(t), log_target), t))
        return Quantity("target", functional, lambda t, rows: t, hold, farthest=50.0)

    def _coordinate(
        self, name: str, i: int, user: Callable[[Array, Rows], Array], low_end: float | None
    ) -> Quantity:
        at = int(self.at[i])
        low, high = float(self.layout.lower[at]), float(self.layout.upper[at])
        return Quantity(
            name,
            coordinate_functional(at),
            user,
            coordinate_hold(at),
            low=Edge(at, low, low, low_end),
            high=Edge(at, high, high, None),
        )

    def _log_value(self, z: float) -> Functional:
        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            own = theta[:, self.at]
            if np.isinf(z):
                floor = np.maximum(own[:, FLOOR], 1e-12)
                gradient = np.zeros_like(own)
                gradient[:, FLOOR] = 1.0 / floor
                return np.log(floor), self.layout.scatter(self.g, gradient)
            value, by_own = curve(self.law, own, np.full((len(own), 1), z))
            return value[:, 0], self.layout.scatter(self.g, by_own[:, 0])

        return functional

    def _value_hold(self, place: Callable[[Array], tuple[Array, Array]]) -> Hold:
        """Hold ln f at a place: B = (f - E) e^h, so ln B is solved for; ``place`` gives ln f and z from t."""

        def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
            log_f, z = place(t)
            own = theta[:, self.at]
            gradient = np.zeros_like(own)
            if self.law.name == "power":
                gradient[:, 1] = -z
                return solve_for(
                    theta, int(self.at[0]), log_f - own[:, 1] * z, self.layout.scatter(self.g, gradient)
                )
            f = clipped_exp(log_f)
            room = np.maximum(f - own[:, FLOOR], 1e-9 * f)
            a = np.exp(own[:, LOG_A])
            g, by_c = stretch(own[:, STRETCH], z) if self.law.name == "exp-decay" else (z, z)
            gradient[:, FLOOR] = np.where(f - own[:, FLOOR] > 1e-9 * f, -1.0 / room, 0.0)
            gradient[:, LOG_A] = a * g
            if self.law.name == "exp-decay":
                gradient[:, STRETCH] = a * by_c
            return solve_for(
                theta, int(self.at[0]), np.log(room) + a * g, self.layout.scatter(self.g, gradient)
            )

        return hold

    def _amplitude(self) -> Quantity:
        """ln A of power and saturating: ln of the excess at n = 1."""
        x = self.origin

        def parts(theta: Array) -> tuple[Array, Array]:
            own = theta[:, self.at]
            gradient = np.zeros_like(own)
            if self.law.name == "power":
                gradient[:, 1] = -x
                return -own[:, 1] * x, gradient
            a = np.exp(own[:, LOG_A])
            gradient[:, LOG_A] = a * x
            return a * x, gradient

        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            rest, gradient = parts(theta)
            gradient[:, 0] = 1.0
            return theta[:, self.at[0]] + rest, self.layout.scatter(self.g, gradient)

        def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
            rest, gradient = parts(theta)
            return solve_for(theta, int(self.at[0]), t - rest, self.layout.scatter(self.g, -gradient))

        return Quantity("A", functional, lambda t, rows: clipped_exp(t + self.log_unit), hold, vanishing=0.0)

    def _decay_amplitude(self) -> Quantity:
        """exp-decay: ln A = ln B + a / c, traced in 1 / (ln A - L) with L a constant below it; 0 at c = 0."""
        below_all = self.lowest - LOG_BELOW

        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            own = theta[:, self.at]
            k = np.maximum(own[:, EXCESS] - below_all, 1.0)
            a, c = np.exp(own[:, LOG_A]), own[:, STRETCH]
            below = a + c * k
            gradient = np.zeros_like(own)
            gradient[:, EXCESS] = np.where(own[:, EXCESS] - below_all > 1.0, -c * c / below**2, 0.0)
            gradient[:, LOG_A], gradient[:, STRETCH] = -a * c / below**2, a / below**2
            return c / below, self.layout.scatter(self.g, gradient)

        def log_amplitude(t: Array) -> Array:
            return below_all + 1.0 / np.maximum(t, 1e-300)

        def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
            own = theta[:, self.at]
            gap, c = log_amplitude(t) - own[:, EXCESS], np.maximum(own[:, STRETCH], 1e-9)
            gradient = np.zeros_like(own)
            gradient[:, EXCESS] = np.where(gap > 1e-6, -1.0 / np.maximum(gap, 1e-6), 0.0)
            gradient[:, STRETCH] = 1.0 / c
            value = np.log(c) + np.log(np.maximum(gap, 1e-6))
            return solve_for(theta, int(self.at[LOG_A]), value, self.layout.scatter(self.g, gradient))

        return Quantity(
            "A",
            functional,
            lambda t, rows: np.where(t > 0.0, clipped_exp(log_amplitude(t) + self.log_unit), np.inf),
            hold,
            falling=True,
            low=Edge(int(self.at[STRETCH]), 0.0, 0.0, None),
        )

    def _rate(self) -> Quantity:
        """exp-decay: ln b = ln a - ln c - c origin; endless at c = 0."""

        def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
            own = theta[:, self.at]
            c = np.maximum(own[:, STRETCH], 1e-9)
            gradient = np.zeros_like(own)
            gradient[:, LOG_A], gradient[:, STRETCH] = 1.0, -1.0 / c - self.origin
            return own[:, LOG_A] - np.log(c) - c * self.origin, self.layout.scatter(self.g, gradient)

        def hold(theta: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
            own = theta[:, self.at]
            c = np.maximum(own[:, STRETCH], 1e-9)
            gradient = np.zeros_like(own)
            gradient[:, STRETCH] = 1.0 / c + self.origin
            value = t + np.log(c) + c * self.origin
            return solve_for(theta, int(self.at[LOG_A]), value, self.layout.scatter(self.g, gradient))

        stretch_at = int(self.at[STRETCH])
        return Quantity(
            "b",
            functional,
            lambda t, rows: clipped_exp(t),
            hold,
            low=Edge(stretch_at, float(self.layout.upper[stretch_at]), -np.inf, 0.0),
            high=Edge(stretch_at, 0.0, np.inf, None),
            vanishing=0.0,
        )
