"""The scaling laws, each as one smooth curve in coordinates in which simpler laws are ordinary points.

Every law of one variable is ``f(n) = E + B * exp(-h(z))`` with ``z = ln n - origin``, 0 at the smallest size, and
``h(0) = 0``:

============ ========================================== =======================================
law          as a user writes it                        h(z)
============ ========================================== =======================================
power        A * n^alpha                                -alpha * z, and E = 0
saturating   ppl_min + A * n^(-a)                       a * z
exp-decay    ppl_min + A * exp(-b * n^c)                a * (e^(c z) - 1) / c, a = b c e^(c origin)
bnsl         E + A n^(-c0) (1 + (n/d)^(1/f))^(-c1 f)    c0 z + c1 f (softplus((z - d')/f) - its value at 0)
============ ========================================== =======================================

bnsl is the broken neural scaling law with one break (Caballero et al. 2023). Coordinates of a curve are
``ln f(0)`` (the level at the origin), ``s = E / f(0)`` between 0 and 1, and the shape: ``ln a`` and ``c``. In them
exp-decay *is* saturating at c = 0 and saturating *is* power at s = 0, so a fit that runs into a limit stays finite;
in the user's parameters the same limits need b and A to grow without bound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.errors import InputError

Array = NDArray[np.float64]

# Bounds of the shape coordinates. They are wide enough to hold every curve that a handful of sizes can tell from
# a step: at a local exponent of 50 the excess over the asymptote falls by 10^15 per doubling.
LOG_A_RANGE = (np.log(1e-5), np.log(50.0))
STRETCH_RANGE = (0.0, 5.0)
SHARE_RANGE = (0.0, 1.0)
ALPHA_RANGE = (-50.0, 50.0)
BREAK_WIDTH_RANGE = (np.log(1e-2), np.log(10.0))
# exp(-h) is held within doubles; beyond, the curve is its asymptote to all digits.
MAX_H = 600.0


@dataclass(frozen=True)
class Law:
    """One law of one variable.

    Attributes:
        name: as ``--model`` takes it. formula: as a user writes it.
        parameters: the user's names, in order; their number is the law's k.
        coordinates: names of the internal coordinates, ``level`` first.
        lower, upper: bounds of the coordinates after ``level``.
        simpler: the law at this one's limit, or empty.
    """

    name: str
    formula: str
    parameters: tuple[str, ...]
    coordinates: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    simpler: str

    @property
    def k(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    @property
    def has_floor(self) -> bool:
        """Whether the law tends to a positive asymptote."""
        return "share" in self.coordinates

    def index(self, coordinate: str) -> int:
        """Position of an internal coordinate."""
        return self.coordinates.index(coordinate)


POWER = Law("power", "A n^alpha", ("A", "alpha"), ("level", "alpha"), ALPHA_RANGE[:1], ALPHA_RANGE[1:], "")
SATURATING = Law(
    "saturating",
    "ppl_min + A n^(-a)",
    ("ppl_min", "A", "a"),
    ("level", "share", "log_a"),
    (SHARE_RANGE[0], LOG_A_RANGE[0]),
    (SHARE_RANGE[1], LOG_A_RANGE[1]),
    "power",
)
EXP_DECAY = Law(
    "exp-decay",
    "ppl_min + A exp(-b n^c)",
    ("ppl_min", "A", "b", "c"),
    ("level", "share", "log_a", "c"),
    (SHARE_RANGE[0], LOG_A_RANGE[0], STRETCH_RANGE[0]),
    (SHARE_RANGE[1], LOG_A_RANGE[1], STRETCH_RANGE[1]),
    "saturating",
)
BNSL = Law(
    "bnsl",
    "E + A n^(-c0) (1 + (n/d)^(1/f))^(-c1 f)",
    ("E", "A", "c0", "c1", "d", "f"),
    ("level", "share", "c0", "c1", "break", "log_f"),
    (SHARE_RANGE[0], ALPHA_RANGE[0], ALPHA_RANGE[0], -np.inf, BREAK_WIDTH_RANGE[0]),
    (SHARE_RANGE[1], ALPHA_RANGE[1], ALPHA_RANGE[1], np.inf, BREAK_WIDTH_RANGE[1]),
    "saturating",
)

LAWS: dict[str, Law] = {law.name: law for law in (POWER, SATURATING, EXP_DECAY, BNSL)}


def get_law(name: str) -> Law:
    """The law of that name.

    Raises:
        InputError: no such law; the message names them all.
    """
    if name not in LAWS:
        raise InputError(f"There is no law {name!r}.", hint=f"The laws are {', '.join(LAWS)} and joint.")
    return LAWS[name]


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


def log_curve(law: Law, theta: Array, z: Array) -> tuple[Array, Array]:
    """``ln f`` and its derivatives.

    Args:
        theta: coordinates, shape (P, k).
        z: shifted ln n, shape (P, m).

    Returns:
        ln f, shape (P, m), and its Jacobian, shape (P, m, k).
    """
    jacobian = np.empty((*z.shape, law.k))
    jacobian[:, :, 0] = 1.0
    if law.name == "power":
        jacobian[:, :, 1] = z
        return theta[:, :1] + theta[:, 1:] * z, jacobian
    share = theta[:, 1:2]
    if law.name == "bnsl":
        h, by_shape = _broken(theta[:, 2:], z)
    else:
        a = np.exp(theta[:, 2:3])
        g, by_c = stretch(theta[:, 3:4], z) if law.name == "exp-decay" else (z, z)
        h = a * g
        by_shape = (h, a * by_c) if law.name == "exp-decay" else (h,)
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


def log_value(law: Law, theta: Array, z: Array) -> Array:
    """``ln f`` alone, shape (P, m); see ``log_curve``, which is several times the work."""
    if law.name == "power":
        return theta[:, :1] + theta[:, 1:] * z
    if law.name == "bnsl":
        c0, c1, at, f = theta[:, 2:3], theta[:, 3:4], theta[:, 4:5], np.exp(theta[:, 5:6])
        h = c0 * z + c1 * (f * (np.logaddexp(0.0, (z - at) / f) - np.logaddexp(0.0, -at / f)))
    else:
        h = np.exp(theta[:, 2:3]) * (stretch(theta[:, 3:4], z)[0] if law.name == "exp-decay" else z)
    share = theta[:, 1:2]
    m: Array = np.maximum(share + (1.0 - share) * np.exp(-np.clip(h, -MAX_H, MAX_H)), 1e-280)
    return np.asarray(theta[:, :1] + np.log(m))


def _broken(eta: Array, z: Array) -> tuple[Array, tuple[Array, ...]]:
    """bnsl's h and its derivatives by c0, c1, break and log_f."""
    c0, c1, at, f = eta[:, :1], eta[:, 1:2], eta[:, 2:3], np.exp(eta[:, 3:4])

    def soft(u: Array) -> tuple[Array, Array]:
        return np.logaddexp(0.0, u), 0.5 * (1.0 + np.tanh(0.5 * u))

    u, u0 = (z - at) / f, -at / f
    value, slope = soft(u)
    value0, slope0 = soft(u0)
    bend = f * (value - value0)
    by_f = bend - f * (slope * u - slope0 * u0)
    return c0 * z + c1 * bend, (z, bend, c1 * (slope0 - slope), c1 * by_f)
