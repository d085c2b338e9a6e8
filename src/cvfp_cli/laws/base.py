"""What a law of one variable declares: a smooth curve in coordinates in which simpler laws are ordinary points.

A curve is ``f(z)`` with ``z = ln n - origin``, 0 at the smallest size. Its first coordinate is ``ln f(0)``, the level
at the origin, which enters ln f as a constant. The others are the shape. In well chosen ones a simpler law is a point
of a richer one, so a fit that runs into a limit stays finite where the user's parameters grow without bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from cvfp_cli.laws.quantities import VANISHED, Bound, Functional, Quantity, Scale
from cvfp_cli.notes import Note
from cvfp_cli.stats.solver import Array, Rows

ALPHA_RANGE = (-50.0, 50.0)
# A coordinate this close to its bound is on it.
NEAR = 1e-7
# A held change weighs this many measurements: what the fit evades of it makes an interval wider, by less than 1 %; a
# weight beyond that makes the fits so stiff that they stop early, and intervals too short.
HEAVY = 1e3
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Data:
    """A batch of P data sets of up to m points.

    Attributes:
        z: shifted ln n, shape (P, m).
        target: ln y (``log``) or y divided by its scale (``ppl``), shape (P, m).
        weight: how often a point counts: 1, 0 for one left out or for padding, a resampling count, or its precision
            relative to the group's mean, shape (P, m).
        objective: ``log`` or ``ppl``.
    """

    z: Array
    target: Array
    weight: Array
    objective: str

    def take(self, rows: Rows) -> "Data":
        """The data sets at ``rows`` (repeats allowed)."""
        return Data(self.z[rows], self.target[rows], self.weight[rows], self.objective)

    @property
    def log_y(self) -> Array:
        """ln of the target as y, (P, m)."""
        return self.target if self.objective == "log" else np.log(np.maximum(self.target, 1e-280))


@dataclass(frozen=True)
class Limit:
    """Where one fit ended.

    Attributes:
        law: the limiting law (a simpler law's name, ``constant``, ``step``), or empty.
        endless: parameters that have no finite or no definite value there.
        at_bound: parameters whose estimate is at the bound of what the law allows.
        note: what to tell the user; None where the fit is an ordinary one.
    """

    law: str = ""
    endless: tuple[str, ...] = ()
    at_bound: tuple[str, ...] = ()
    note: Note | None = None


class Law:
    """One law of one variable; a subclass gives the curve, its starts, and its parameters.

    Attributes:
        name: as ``--model`` takes it. formula: as a user writes it.
        parameters: the user's names, in order; their number is the law's k.
        coordinates: names of the internal coordinates, ``level`` first.
        lower, upper: bounds of the coordinates after ``level``.
        simpler: the law at this one's limit, or None.
        has_floor: whether it tends to a positive asymptote, which then is its first parameter.
        slope: the parameter that is the slope of ln y over ln n everywhere, where the law is such a line.
        break_at, slope_beyond: parameters that are a size among the data, and the slope after it; empty without a break.
        ranges: parameters of either sign, and between what they may be believed; all others are not negative.
        shareable: what groups can have in common, and the common coordinate that makes it the same.
        held_between: parameters that can be held in less than they may be estimated in: between these, both left out.
        needs: parameters whose unit depends on another, so that they can be shared only with it.
        fixable: what can be held at a value beside ``shareable``, and its common coordinate.
        alike: parameters whose coordinates are of one kind, so that they can be tied to each other.
        blocks: kinds of shape in ``grid``, in equal blocks; the best starts take some of each.
        shapes: further shapes that a fit with common parameters starts from, (S, k - 2).
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    coordinates: ClassVar[tuple[str, ...]]
    lower: ClassVar[tuple[float, ...]]
    upper: ClassVar[tuple[float, ...]]
    simpler: ClassVar["Law | None"] = None
    has_floor: ClassVar[bool] = False
    slope: ClassVar[str] = ""
    break_at: ClassVar[str] = ""
    slope_beyond: ClassVar[str] = ""
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType({})
    shareable: ClassVar[Mapping[str, int]] = NOTHING
    held_between: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType({})
    needs: ClassVar[Mapping[str, str]] = MappingProxyType({})
    fixable: ClassVar[Mapping[str, int]] = NOTHING
    alike: ClassVar[tuple[str, ...]] = ()
    blocks: ClassVar[int] = 1
    shapes: ClassVar[Array] = np.empty((0, 0))

    @property
    def k(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    def index(self, coordinate: str) -> int:
        """Position of an internal coordinate."""
        return self.coordinates.index(coordinate)

    def log_curve(self, theta: Array, z: Array) -> tuple[Array, Array]:
        """``ln f`` and its derivatives, finite in the whole box.

        Args:
            theta: coordinates, shape (P, k).
            z: shifted ln n, shape (P, m).

        Returns:
            ln f, shape (P, m), and its Jacobian, shape (P, m, k).
        """
        raise NotImplementedError

    def log_value(self, theta: Array, z: Array) -> Array:
        """``ln f`` alone, shape (P, m), where that is less work."""
        return self.log_curve(theta, z)[0]

    def value(self, parameters: Mapping[str, Array], n: Array) -> Array:
        """The law as the user writes it; parameters and sizes broadcast."""
        raise NotImplementedError

    def parameter_quantities(self, scale: Scale) -> tuple[Quantity, ...]:
        """The law's parameters, in the user's order and units."""
        raise NotImplementedError

    def grid(self, data: Data) -> Array:
        """All starting points of each data set, shape (P, S, k); their level is put in afterwards."""
        raise NotImplementedError

    def box(self, data: Data) -> tuple[Array, Array]:
        """Bounds of the coordinates of each problem, shape (P, k) each."""
        rows = len(data.z)
        return (
            np.tile(np.array([-np.inf, *self.lower]), (rows, 1)),
            np.tile(np.array([np.inf, *self.upper]), (rows, 1)),
        )

    def contained(self, theta: Array) -> Array:
        """The coordinates (P, k) at which this law is the same curve as its simpler one at ``theta``."""
        raise NotImplementedError

    def find_limit(self, label: str, theta: Array) -> Limit:
        """Which limit the coordinates ``theta`` (k,) of a fit lie on."""
        return Limit()

    def limiting_parameters(self, theta: Array, origin: float, log_unit: float) -> dict[str, float]:
        """The limiting law's own parameters, from coordinates (k,) where a fit ended on it."""
        return {}

    def fall(self, z: Array, factor: float) -> Quantity:
        """The fall of f in percent when n grows by ``factor`` from ``z`` (P,); not asked where ``slope`` says it."""
        return change_quantity(self, z, factor)

    def log_asymptote(self, theta: Array) -> tuple[Array, Array]:
        """ln of the asymptote and its gradient, of laws that have one."""
        raise NotImplementedError

    # Groups that share parameters are fitted in common coordinates: those below, or others that a law chooses so that
    # what can be shared is a coordinate.

    def common_bounds(self) -> tuple[Array, Array]:
        """Bounds of the common coordinates, (k,) each."""
        return np.array([-np.inf, *self.lower]), np.array([np.inf, *self.upper])

    def common_box(self, data: Data) -> tuple[Array, Array]:
        """Bounds of the common coordinates of each problem, shape (P, k) each."""
        low, high = self.common_bounds()
        return np.tile(low, (len(data.z), 1)), np.tile(high, (len(data.z), 1))

    def common_value(self, name: str, values: Mapping[str, float], origin: float, log_unit: float) -> float:
        """The common coordinate of a parameter of ``shareable`` or ``fixable`` that is held at a value.

        Args:
            values: all parameters that are held, in the user's units.
            origin, log_unit: of the fit, as in ``Scale``.
        """
        return values[name]

    def from_common(self, own: Array) -> tuple[Array, Array | None]:
        """Coordinates (P, k) from common ones, and their derivatives (P, k, k); None where they are the same."""
        return own, None

    def to_common(self, theta: Array) -> tuple[Array, Array | None]:
        """The way back from ``from_common``."""
        return theta, None

    def bound_in_common(self, bound: Bound) -> Bound | None:
        """A bound in the common coordinates; None where it lies at infinity."""
        return bound


def log_value_functional(law: Law, z: Array) -> Functional:
    """ln f at ``z``, shape (P,), one place a problem; at infinity ln E, held above e^-28 of the level."""
    far = np.isinf(z)
    near = np.where(far, 0.0, z)

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        value, gradient = (part[:, 0] for part in law.log_curve(theta, near[rows][:, None]))
        if far.any() and law.has_floor:
            floor, by_theta = law.log_asymptote(theta)
            value = np.where(far[rows], floor, value)
            gradient = np.where(far[rows][:, None], by_theta, gradient)
        return value, gradient

    return functional


def fall_name(factor: float) -> str:
    """What the figure of a fall is called."""
    return f"per_{factor:g}"


def change_quantity(law: Law, z: Array, factor: float) -> Quantity:
    """The fall of f in percent when n grows by ``factor`` from ``z`` (P,), for laws that may also rise there.

    Traced as t = ln f(z) - ln f(z + ln factor), which no coordinate need be solved for.
    """
    step = float(np.log(factor))

    def functional(theta: Array, rows: Rows) -> tuple[Array, Array]:
        value, gradient = law.log_curve(theta, np.stack([z[rows], z[rows] + step], axis=1))
        return value[:, 0] - value[:, 1], gradient[:, 0] - gradient[:, 1]

    return Quantity(
        fall_name(factor),
        functional,
        lambda t, rows: -100.0 * np.expm1(np.clip(-t, -700.0, 700.0)),
        None,
        farthest=VANISHED,
        weight=HEAVY,
    )
