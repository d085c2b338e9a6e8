"""What runs say of a joint law where its intervals leave the law: profiles of the Huber loss, open ends, no figure.

A value of a parameter is allowed while the least Huber loss with the parameter held there rises by no more than
``JointErrors.allowed``: for a threshold far above the noise and independent errors this is the profile likelihood.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from cvfp_cli.laws.surface import ALPHA, BETA, COMMON
from cvfp_cli.scaling.joint import (
    THRESHOLD,
    Figure,
    JointData,
    JointFit,
    joint_starts,
    solve_joint,
    user_values,
)
from cvfp_cli.stats.huber import huber_loss
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.solver import Array


class Rough(TypedDict):
    """Options of ``solve_joint``."""

    tolerance: float
    max_iterations: int


# Sizes that differ by less than this share of themselves tell a law nothing apart.
SAME = 1e-3
# An end is found when the root of the rise there agrees with the allowed one's to this share, or after STEPS steps.
NEAR, STEPS = 2e-3, 30
ROUGH: Rough = {"tolerance": 1e-5, "max_iterations": 80}  # a point of a profile starts near its end
FINE: Rough = {"tolerance": 1e-9, "max_iterations": 400}
FEW = 2  # starts of a profile's fit, beside the fit itself
# A figure that may lie this far from the fit, in ln, is not bounded.
FARTHEST = 40.0


@dataclass(frozen=True)
class Ends:
    """The interval of one parameter: None is an open end; ``free`` where no value is ruled out."""

    low: float | None
    high: float | None
    free: bool = False


FREE = Ends(0.0, None, True)


def different(sizes: Array) -> int:
    """How many sizes there are that differ by more than ``SAME``."""
    count, last = 0, 0.0
    for size in np.unique(sizes):
        if size > last * (1.0 + SAME):
            count, last = count + 1, float(size)
    return count


def design_flaws(data: JointData) -> dict[str, tuple[str, ...]]:
    """Why these runs cannot tell parameters apart, however small their errors: the parameters by reason.

    ``two-model-sizes`` and ``two-data-sizes`` (or one, within ``SAME``) leave E and that size's term to trade with each
    other; with a ``fixed-ratio`` one size follows from the other, so that the two terms can change places. A parameter
    that is fixed, or tied to one that is told, can end that.
    """
    flaws: dict[str, tuple[str, ...]] = {}
    held = data.held
    # With k free, a size of few values cannot tell it either; nothing but passes that differ tells what they add.
    k = tuple(
        name for name in data.law.further if data.law.coupled and not held.fixed[data.law.coordinate[name]]
    )
    few_n, few_d = (different(np.exp(part)) < 3 for part in (data.u, data.v))
    # A fixed parameter ends the trade; so does an exponent that the other size tells, where E is told by neither.
    if few_n and not held.fixed[[0, 3]].any() and (few_d or not held.tied):
        flaws["two-model-sizes"] = ("E", "A", "alpha", *k)
    if few_d and not held.fixed[[0, 4]].any() and (few_n or not held.tied):
        flaws["two-data-sizes"] = ("E", "B", "beta", *k)
    if not few_n and not few_d:
        slope = float(data.u @ data.v) / float(data.u @ data.u)
        if np.std(data.v - slope * data.u) < SAME:
            both = bool(held.fixed[3:].all())
            if held.tied or (both and abs(held.base[3] - slope * held.base[4]) < SAME):
                flaws["fixed-ratio"] = ("A", "B")
            elif not held.fixed[3:].any():
                flaws["fixed-ratio"] = ("A", "alpha", "B", "beta")
    if data.law.repeats and not held.fixed[COMMON:].all() and different(data.passes) < 2:
        flaws["same-passes"] = ("B", *data.law.further)
    return flaws


def parameter_ends(
    data: JointData, fit: JointFit, rises: Mapping[str, float], *, flawed: Collection[str] = ()
) -> dict[str, Ends]:
    """The profile interval of every parameter, A and B at N = 1 and D = 1; ``flawed`` ones are known to have none.

    Args:
        rises: by how much the loss may rise within the interval of each.
    """
    _, log_a, alpha, log_b, beta, *_ = user_values(fit.theta[None], data)[0]
    held, law = data.held, data.law
    ends = dict.fromkeys(law.parameters, FREE)
    places = law.coordinate
    for name, value in (("alpha", alpha), ("beta", beta)):
        if held.fixed[places[name]]:
            ends[name] = Ends(float(value), float(value))
    if "E" not in flawed and not held.fixed[0]:
        ends["E"] = _floor_ends(data, fit, rises["E"])
    for name, value in (("alpha", alpha), ("beta", beta)):
        if name not in flawed and not held.fixed[places[name]]:
            ends[name] = _edge_ends(data, fit, rises[name], places[name], float(value))
    for name in law.further:
        if name not in flawed and not held.fixed[places[name]]:
            found = _edge_ends(data, fit, rises[name], places[name], float(fit.theta[places[name]]))
            bottom = found.low is None or found.low == law.lower[places[name]]
            lowest = 0.0 if bottom else float(np.exp(found.low or 0.0))
            ends[name] = Ends(lowest, None if found.high is None else float(np.exp(found.high)), found.free)
    # At N = 1 itself the amplitude is a coordinate.
    at_one = (
        ("A", ends["alpha"], replace(data, u=data.u + data.centre_n, centre_n=0.0), float(log_a)),
        ("B", ends["beta"], replace(data, v=data.v + data.centre_d, centre_d=0.0), float(log_b)),
    )
    for name, own, moved, value in at_one:
        if own.free or name in flawed:
            continue
        theta = fit.theta.copy()
        theta[places[name]] = value
        there = _profile(moved, replace(fit, theta=theta), places[name])
        low = None if own.low == 0.0 else walk(there, value, -1.0, rises[name])
        high = None if own.high is None else walk(there, value, 1.0, rises[name])
        ends[name] = Ends(
            0.0 if low is None else float(np.exp(low)), None if high is None else float(np.exp(high))
        )
    return ends


def _edge_ends(data: JointData, fit: JointFit, rise: float, at: int, value: float) -> Ends:
    """Between a coordinate's bounds. An exponent of 0 is a law that does not fall: an end there is not ruled out."""
    profile = _profile(data, fit, at)
    flat, steepest = float(data.law.lower[at]), float(data.law.upper[at])
    low = flat if profile(flat) <= rise else crossing(profile, value, flat, rise)
    high = None if profile(steepest) <= rise else crossing(profile, value, steepest, rise)
    return Ends(low, high, low == flat and high is None)


def _floor_ends(data: JointData, fit: JointFit, rise: float) -> Ends:
    """E lies between 0 and the lowest loss that the law gives to a run."""
    lowest = float(np.exp(np.min(data.log_loss - fit.residuals)))
    profile = _profile(data, fit, 0)

    def at(value: float) -> float:
        return profile(float(np.log(max(value, np.exp(data.law.lower[0])))))

    value = float(np.exp(fit.theta[0]))
    top = lowest * (1.0 - SAME)
    low = 0.0 if at(0.0) <= rise else crossing(at, value, 0.0, rise)
    low = low if low > SAME * lowest else 0.0
    high = lowest if value >= top or at(top) <= rise else crossing(at, value, top, rise)
    return Ends(low, high, low == 0.0 and high == lowest)


def _profile(data: JointData, fit: JointFit, at: int) -> Callable[[float], float]:
    """The rise of the least loss with coordinate ``at`` held at a value; each call starts where the last ended."""
    last = fit.theta

    def rise(value: float) -> float:
        nonlocal last
        held = {at: np.array([value])} if at in (ALPHA, BETA) else {}
        others = joint_starts(
            data, **{name: held[i] for i, name in ((ALPHA, "alphas"), (BETA, "betas")) if i in held}
        )
        start = np.concatenate([fit.theta[None], last[None], others[:FEW]])
        start[:, at] = value
        low, high = (
            np.minimum(data.law.lower, start.min(axis=0)),
            np.maximum(data.law.upper, start.max(axis=0)),
        )
        # The amplitude of the other unit is where it is.
        low[1:3], high[1:3] = -FARTHEST * 10.0, FARTHEST * 10.0
        low[at] = high[at] = value
        theta, loss = solve_joint(
            data, start, np.ones((len(start), len(data.log_loss))), lower=low, upper=high, **ROUGH
        )
        best = int(np.argmin(loss))
        last = theta[best]
        return float(loss[best] - fit.loss)

    return rise


def crossing(rise: Callable[[float], float], inside: float, outside: float, allowed: float) -> float:
    """Where a rise passes what is allowed: false position on its root, which is nearly straight (Illinois rule)."""
    target = float(np.sqrt(allowed))
    ends = {True: (inside, -target), False: (outside, np.inf)}
    halved = None
    width = abs(outside - inside)
    for _ in range(STEPS):
        (left, below), (right, above) = ends[True], ends[False]
        share = -below / (above - below) if np.isfinite(above) else 0.5
        middle = left + min(max(share, 0.02), 0.98) * (right - left)
        off = float(np.sqrt(max(rise(middle), 0.0))) - target
        if abs(off) <= NEAR * target or abs(right - left) <= NEAR * NEAR * width:
            return middle
        side = off <= 0.0
        ends[side] = (middle, off)
        if halved == side:
            other, value = ends[not side]
            ends[not side] = (other, 0.5 * value)
        halved = side
    return 0.5 * (ends[True][0] + ends[False][0])


def walk(rise: Callable[[float], float], value: float, sign: float, allowed: float) -> float | None:
    """The end on one side, in steps that double; None where there is none within ``FARTHEST``."""
    inside, step = value, 0.05
    while step < FARTHEST:
        outside = value + sign * step
        if rise(outside) > allowed:
            return crossing(rise, inside, outside, allowed)
        inside, step = outside, 2.0 * step
    return None


def few_starts(data: JointData, fit: JointFit) -> Array:
    """Where the fits of ``through`` and ``held_figure`` start, (S, k)."""
    return np.concatenate([fit.theta[None], joint_starts(data)[:FEW]])


def held_loss(
    data: JointData,
    start: Array,
    heavy: Array,
    off: Callable[[Array], float],
    near: float,
    figure: Figure | None = None,
) -> tuple[Array, float]:
    """A law (k,) that its last measurement, or a ``figure``, holds by weight alone, and its loss without that weight.

    Rough steps may end beside what is held: those that do go on in fine ones, and the loss is infinite where these do.

    Args:
        start: (S, k). heavy: weights (m + 1,). off: by how much a law misses what is held. near: how much may be.
    """
    for options in (ROUGH, FINE):
        theta, loss = solve_joint(data, start, np.tile(heavy, (len(start), 1)), figure=figure, **options)
        best = int(np.argmin(loss))
        missed = off(theta[best])
        if abs(missed) <= near:
            own = huber_loss(np.array([[missed]]), heavy[None, -1:], THRESHOLD)
            return theta[best], float(loss[best] - own[0])
        start = theta
    return theta[best], np.inf


def through(
    data: JointData, fit: JointFit, n: float, d: float, passes: float, starts: Array
) -> Callable[[float], float]:
    """The rise of the least loss of a law that has a given ln L at the sizes N and D, passed over that often."""
    m = len(data.log_loss)
    heavy = np.concatenate([np.ones(m), [100.0 * m]])
    u = np.append(data.u, np.log(n) - data.centre_n)
    v = np.append(data.v, np.log(d) - data.centre_d if np.isfinite(d) else 700.0)
    over = np.append(data.passes, passes)
    last = fit.theta

    def there(theta: Array) -> float:
        return float(data.law.log_loss(theta[None], u[None, -1:], v[None, -1:], over[None, -1:])[0][0, 0])

    fitted = there(fit.theta)

    def rise(value: float) -> float:
        nonlocal last
        held = replace(data, u=u, v=v, log_loss=np.append(data.log_loss, value), passes=over)
        start = np.concatenate([starts, last[None]])
        near = ROUNDING + SAME * abs(value - fitted)
        last, loss = held_loss(held, start, heavy, lambda theta: there(theta) - value, near)
        return loss - fit.loss

    return rise


def held_figure(data: JointData, fit: JointFit) -> Callable[[Figure, float], float]:
    """The rise of the least loss of a law that holds a figure at 0, as near as is asked."""
    m, starts = len(data.log_loss), few_starts(data, fit)
    heavy = np.concatenate([np.ones(m), [100.0 * m]])
    last = fit.theta

    def rise(figure: Figure, near: float) -> float:
        nonlocal last

        def off(theta: Array) -> float:
            return float(figure(theta[None])[0][0])

        last, loss = held_loss(data, np.concatenate([starts, last[None]]), heavy, off, near, figure=figure)
        return loss - fit.loss

    return rise


def value_ends(
    data: JointData, fit: JointFit, n: float, d: float, passes: float, value: float, allowed: float
) -> tuple[float | None, float | None]:
    """The profile interval of ln L at the sizes N and D, where the fit has ``value``."""
    rise = through(data, fit, n, d, passes, few_starts(data, fit))
    low, high = (walk(rise, value, sign, allowed) for sign in (-1.0, 1.0))
    return low, high
