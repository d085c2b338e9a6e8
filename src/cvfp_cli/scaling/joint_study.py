"""Which groups share a joint law, and which of these laws the model sizes can carry."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

import numpy as np

from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import JOINT, JOINTS
from cvfp_cli.laws.registry import SURFACES
from cvfp_cli.laws.surface import Surface
from cvfp_cli.notes import Note
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint_profile import different
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.selection import Selection, select
from cvfp_cli.study.points import Points, counted_once
from cvfp_cli.study.units import loss_of

POOLINGS = ("study", "none", "all")
SIZES, SPAN = 3, 2.0  # model sizes that the joint law needs to be fitted unasked


class Pooled(Protocol):
    """What of a ``study.Request`` the joint law reads."""

    @property
    def options(self) -> FitOptions: ...
    @property
    def pooling(self) -> str: ...
    @property
    def bootstrap(self) -> int: ...
    @property
    def constraint(self) -> Constraint: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Pool:
    """Groups that share one joint law, and its name in the answer."""

    groups: tuple[Points, ...]
    label: str


def pools_of(groups: Sequence[Points], pooling: str) -> tuple[Pool, ...]:
    """``study``: the configurations of each study together; ``none``: every group on its own; ``all``: all together.

    Ensembles are in none but their own: they are no further evidence beside their members.
    """
    if pooling == "none":
        return tuple(Pool((points,), points.label) for points in groups)
    groups = counted_once(groups)
    if pooling == "all":
        return (Pool(tuple(groups), _label(groups, "groups")),)
    studies: dict[str, list[Points]] = {}
    for points in groups:
        studies.setdefault(points.study, []).append(points)
    several = len(studies) > 1
    return tuple(
        Pool(
            tuple(members),
            _label(members, "configurations") + (f" ({study})" if several and len(members) > 1 else ""),
        )
        for study, members in studies.items()
    )


def _label(groups: Sequence[Points], noun: str) -> str:
    return groups[0].label if len(groups) == 1 else f"{len(groups)} {noun}"


def fit_named(
    groups: Sequence[Points], request: Pooled, laws: Sequence[str] = (JOINT,)
) -> tuple[tuple[Fit, ...], tuple[Note, ...]]:
    """These laws of every pool, because they were asked for by name; a pool that cannot carry one is named in a note.

    Raises:
        InputError: no pool can, with the first one's reason.
    """
    pools = pools_of(groups, request.pooling)
    fits: list[Fit] = []
    problems: list[tuple[str, InputError]] = []
    for law, pool in product(laws, pools):
        try:
            fits.append(fit_pool(pool, request, law))
        except InputError as problem:
            problems.append((pool.label if law == JOINT else f"{law} of {pool.label}", problem))
    if not fits:
        label, first = problems[0]
        if len(problems) == 1:
            raise first
        hint = "--pool fits one joint law to all groups." if _carries(groups) else first.hint
        raise InputError(f"{label}: {first.message}", hint=hint)
    notes = [
        Note("joint-group-left-out", f"{label} has no joint law: {found.message}", "warning")
        for label, found in problems
    ]
    return tuple(fits), tuple(notes)


def fit_unasked(
    groups: Sequence[Points], request: Pooled, barred: Collection[str] = ()
) -> tuple[tuple[Fit, ...], tuple[Note, ...], tuple[str, ...]]:
    """The joint laws of every pool that has model sizes enough, and why others have none where there are model sizes.

    A law with a parameter more is fitted to more runs than its parameters, that of repeated data where passes differ.

    Args:
        barred: laws that do not allow what is fixed.

    Returns:
        the fits, the notes, and the barred laws that would have been fitted.
    """
    able: list[Pool] = []
    notes: list[Note] = []
    pools = pools_of(groups, request.pooling)
    for pool in pools:
        if not _carries(pool.groups):
            continue
        why = _unasked(pool.groups)
        if why:
            name = f"{pool.label}: " if len(pools) > 1 else ""
            notes.append(Note("joint-left-out", f"{name}joint is not fitted: {why}"))
        else:
            able.append(pool)
    if not able and not notes and len(pools) > 1 and _carries(groups) and not _unasked(groups):
        message = "joint is not fitted: no group has model sizes for a law of its own. --pool fits one to all groups."
        notes.append(Note("joint-left-out", message))
    told = [(law, pool) for law, pool in product(JOINTS, able) if _tells(pool.groups, SURFACES[law])]
    fits = tuple(fit_pool(pool, request, law) for law, pool in told if law not in barred)
    return fits, tuple(notes), tuple(law for law in barred if any(law == one for one, _ in told))


def _tells(groups: Sequence[Points], law: Surface) -> bool:
    """Whether there are runs for every parameter of a law, and data that were read more or less often where it asks."""
    passes = [points.passes for points in groups if points.passes is not None]
    differ = len(passes) == len(groups) and different(np.concatenate(passes)) > 1
    return sum(len(points) for points in groups) > law.k and (differ or not law.repeats)


def choice_note(selection: Selection | None) -> tuple[Note, ...]:
    """Which joint law to go by, where nobody named one."""
    return (Note("joint-choice", f"Joint laws: {selection.sentence}"),) if selection else ()


def fit_pool(pool: Pool, request: Pooled, law: str = JOINT) -> Fit:
    """A law of model and data size of all groups of a pool, as ``fit_joint_groups``."""
    from cvfp_cli.scaling.joint_fits import fit_joint_groups

    return fit_joint_groups(
        pool.groups,
        request.options,
        replicates=request.bootstrap,
        seed=request.seed,
        label=pool.label,
        constraint=request.constraint,
        law=law,
    )


def select_joint(groups: Sequence[Points], fits: Sequence[Fit], request: Pooled) -> Selection | None:
    """Which joint law predicts larger data sizes best; None for fewer than two, or where nothing is held out."""
    laws = tuple(dict.fromkeys(fit.law for fit in fits))
    pools = pools_of(groups, request.pooling)
    by_pool = {(fit.config, fit.law): fit for fit in fits}
    whole = [pool for pool in pools if all((pool.label, law) in by_pool for law in laws)]
    if len(laws) < 2 or not whole or not request.options.hold_out:
        return None
    from cvfp_cli.scaling.joint_fits import joint_origins

    return select(
        {law: [by_pool[pool.label, law] for pool in whole] for law in laws},
        {
            law: [
                replace(one, group=place)
                for place, pool in enumerate(whole)
                for one in joint_origins(pool.groups, law, request.constraint)
            ]
            for law in laws
        },
    )


def _carries(groups: Sequence[Points]) -> bool:
    """Whether there is a joint law to fit: model sizes, data sizes, losses above 0, and more runs than parameters."""
    if any(points.parameters is None for points in groups):
        return False
    many = len({float(x) for points in groups for x in points.x}) > 1
    above = all(loss_of(points.y, points.y_unit).min() > 0.0 for points in groups)
    return (
        len(_model_sizes(groups)) > 1
        and many
        and above
        and sum(len(points) for points in groups) > SURFACES[JOINT].k
    )


def _model_sizes(groups: Sequence[Points]) -> set[float]:
    return {float(n) for points in groups if points.parameters is not None for n in points.parameters}


def _unasked(groups: Sequence[Points]) -> str:
    """Why the joint law is not fitted unasked; empty where it is.

    Two model sizes give two equations for E, A and alpha; sizes within a factor of 2 give nearly the same one over and
    over, as A / N^alpha changes by less than 30 % there at alpha 0.5 (Hoffmann et al. 2022 found 0.34).
    """
    if not all(points.y_unit.name for points in groups):
        return f"nothing says whether {groups[0].y_name} is a perplexity or a loss; --y-unit does."
    if any(points.weights is not None for points in groups):
        return "it cannot use --weights."
    sizes = _model_sizes(groups)
    span = max(sizes) / min(sizes)
    if len(sizes) >= SIZES and span >= SPAN:
        return ""
    found = (
        f"there are {len(sizes)}" if len(sizes) < SIZES else f"the largest is {span:.3g} times the smallest"
    )
    return (
        f"it needs at least {SIZES} model sizes, the largest at least {SPAN:g} times the smallest, and {found}. "
        "--model joint fits it all the same."
    )
