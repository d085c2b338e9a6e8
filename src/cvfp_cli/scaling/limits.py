"""When a fit runs into a simpler law: which one, and what that says."""

from dataclasses import dataclass

import numpy as np

from cvfp_cli.notes import Note
from cvfp_cli.scaling.laws import LOG_A_RANGE, SHARE_RANGE, STRETCH_RANGE, Law
from cvfp_cli.scaling.quantities import clipped_exp
from cvfp_cli.stats.solver import Array

# A coordinate this close to its bound is on it.
NEAR = 1e-7


@dataclass(frozen=True)
class Limit:
    """Where one fit ended.

    Attributes:
        law: the limiting law (``power``, ``saturating``, ``constant``, ``step``), or empty.
        endless: parameters that have no finite or no definite value there.
        at_bound: parameters whose estimate is the edge of what the law allows.
        note: what to tell the user; None where the fit is an ordinary one.
    """

    law: str = ""
    endless: tuple[str, ...] = ()
    at_bound: tuple[str, ...] = ()
    note: Note | None = None


def find_limit(law: Law, label: str, theta: Array) -> Limit:
    """Which limit the coordinates ``theta`` (k,) of a fit lie on."""
    if law.name == "power":
        return Limit()
    name = f"{label}: {law.name}" if label else law.name
    share = theta[1]
    floor = law.parameters[0]
    if share >= 1.0 - NEAR * NEAR or (law.name != "bnsl" and theta[2] <= LOG_A_RANGE[0] + NEAR):
        message = f"{name} ran into its limit of a constant: the data show no fall, so nothing but the level is determined."
        return Limit(
            "constant", law.parameters[2:], law.parameters[1:], Note("limit-constant", message, "warning")
        )
    no_floor = share <= SHARE_RANGE[0] + NEAR
    if law.name == "bnsl":
        if not no_floor:
            return Limit()
        message = f"{name} ended at E = 0: the data show no asymptote."
        return Limit("", (), ("E",), Note("limit-floor", message))
    if theta[2] >= LOG_A_RANGE[1] - NEAR:
        message = (
            f"{name} ran into a step: only the smallest size lies above the asymptote, so the speed of the fall is "
            "not determined."
        )
        shape = ("A", law.parameters[2])
        return Limit("step", shape, shape, Note("limit-step", message, "warning"))
    if law.name == "saturating":
        if not no_floor:
            return Limit()
        message = (
            f"{name} ran into its limit {floor} = 0, which is the power law: the data show no asymptote."
        )
        return Limit("power", (), (floor,), Note("limit-power", message))
    if theta[3] >= STRETCH_RANGE[1] - NEAR:
        message = f"{name} ended at c = {STRETCH_RANGE[1]:g}, the steepest fall it allows: close to a step between two sizes."
        return Limit("", (), ("c",), Note("limit-steepest", message, "warning"))
    if theta[3] > STRETCH_RANGE[0] + NEAR:
        if not no_floor:
            return Limit()
        message = f"{name} ended at {floor} = 0: the data show no asymptote."
        return Limit("", (), (floor,), Note("limit-floor", message))
    simple = "power" if no_floor else "saturating"
    excess = "the power law" if no_floor else "the saturating law"
    message = (
        f"{name} ran into its limit c = 0, where b and A grow without bound: it is {excess}; the data show no "
        "faster fall."
    )
    at_bound = ("A", "b", "c", floor) if no_floor else ("A", "b", "c")
    return Limit(simple, ("A", "b"), at_bound, Note(f"limit-{simple}", message))


def limiting_parameters(theta: Array, origin: float, log_unit: float) -> dict[str, float]:
    """The limiting law's own parameters, from the coordinates of saturating or exp-decay where it ended on it."""
    level, share, a = theta[0] + log_unit, theta[1], float(np.exp(theta[2]))
    with np.errstate(divide="ignore"):
        log_amplitude = level + np.log1p(-share) + a * origin
    amplitude = float(clipped_exp(np.asarray(log_amplitude)))
    if share <= SHARE_RANGE[0] + NEAR:
        return {"A": amplitude, "alpha": -a}
    return {"ppl_min": float(np.exp(level) * share), "A": amplitude, "a": a}
