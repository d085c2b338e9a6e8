"""A whole ``cvfp fit``: which laws to which groups, every fit, and the selection."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.bootstrap import bootstrap_groups
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.held_out import Origin, rolling_origins
from cvfp_cli.scaling.joint import PARAMETERS as JOINT_PARAMETERS
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.laws import LAWS, get_law
from cvfp_cli.scaling.points import Points
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.selection import Selection, select
from cvfp_cli.scaling.shared import shared_coordinates
from cvfp_cli.scaling.shared_fits import fit_shared_groups, shared_rolling_origins

JOINT = "joint"
ALL = "all"
JOINT_SIZES, JOINT_SPAN = 3, 2.0  # model sizes that the joint law needs to be fitted unasked


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        laws: names, or ``all``: every law with fewer parameters than points; joint where model sizes span enough.
        share: parameters in common. bootstrap: replicates; 0 for none. bootstrap_kind, seed: of the bootstrap.
    """

    laws: tuple[str, ...] = (ALL,)
    options: FitOptions = field(default_factory=FitOptions)
    share: tuple[str, ...] = ()
    bootstrap: int = 0
    bootstrap_kind: str = "residual"
    seed: int = 0


@dataclass(frozen=True)
class Study:
    """Every fit, law by law, and what they decide.

    Attributes:
        selection: of the laws of one variable that were fitted to the same groups; None for fewer than two.
        notes: what concerns no single fit.
    """

    fits: tuple[Fit, ...]
    selection: Selection | None
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What ``--format json`` prints."""
        return {
            "fits": [fit.to_json() for fit in self.fits],
            "selection": [score.to_json() for score in self.selection.laws] if self.selection else [],
            "verdict": self.selection.sentence if self.selection else None,
            "notes": [{"code": note.code, "message": note.message} for note in self.notes],
        }


def run_study(groups: Sequence[Points], request: Request) -> Study:
    """Fit everything that was asked for.

    Raises:
        InputError: a group that cannot be fitted, an unknown law, an option that does not fit the laws.
    """
    groups, left_out = _fittable(groups)
    named = ALL not in request.laws
    laws = tuple(dict.fromkeys(request.laws)) if named else (*LAWS, JOINT)
    for law in laws:
        if law != JOINT:
            get_law(law)
    _check_share(laws, request, named)
    fits: dict[str, tuple[Fit, ...]] = {}
    fitted_to: dict[str, tuple[Points, ...]] = {}
    for law in laws:
        if law == JOINT:
            continue
        chosen = tuple(groups) if named else _with_room(groups, law, request)
        if chosen:
            fits[law], fitted_to[law] = _fit(chosen, law, request), chosen
    joint: tuple[Fit, ...] = ()
    too_narrow: tuple[Note, ...] = ()
    if JOINT in laws and not named and _joint_fits(groups):
        too_narrow = _too_narrow(groups)
    if JOINT in laws and (named or (_joint_fits(groups) and not too_narrow)):
        joint = (fit_joint_groups(groups, request.options, replicates=request.bootstrap, seed=request.seed),)
    if not fits and not joint:
        raise InputError(
            "No law has fewer parameters than these data have points.", hint="Name one with --model power."
        )
    selection, notes = _select(fits, fitted_to, request)
    everything = (*(fit for law in fits for fit in fits[law]), *joint)
    return Study(everything, selection, (*left_out, *notes, *too_narrow))


def curves_of(groups: Sequence[Points], request: Request) -> tuple[dict[str, tuple[Fit, ...]], Fit | None]:
    """The fits of every law of one variable that all groups have, and the joint fit: what a plot needs."""
    study = run_study(groups, replace(request, options=replace(request.options, hold_out=False)))
    laws = dict.fromkeys(fit.law for fit in study.fits if fit.law != JOINT)
    curves = {law: tuple(fit for fit in study.fits if fit.law == law) for law in laws}
    joint = next((fit for fit in study.fits if fit.law == JOINT), None)
    return {law: fits for law, fits in curves.items() if len(fits) == len(groups)}, joint


def _fittable(groups: Sequence[Points]) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """The groups that a law can be drawn through, and a warning for each other one.

    Raises:
        InputError: there is none, with the first one's reason.
    """
    good: list[Points] = []
    notes: list[Note] = []
    first: InputError | None = None
    for points in groups:
        try:
            points.require_fittable()
        except InputError as problem:
            first = first or problem
            notes.append(Note("group-left-out", f"Left out: {problem.message}", "warning"))
        else:
            good.append(points)
    if not good:
        raise first or InputError("There are no points to fit.")
    return tuple(good), tuple(notes)


def _check_share(laws: Sequence[str], request: Request, named: bool) -> None:
    """A name that no chosen law has is a mistake.

    Raises:
        InputError: such a name, or sharing together with a bootstrap.
    """
    if not request.share:
        return
    if request.bootstrap:
        raise InputError(
            "--bootstrap cannot be combined with --share.", hint="Profile intervals are given without it."
        )
    known = {name for law in laws if law in LAWS for name in LAWS[law].parameters}
    for name in request.share:
        if name not in known:
            raise InputError(
                f"--share: none of {', '.join(laws)} has a parameter {name!r}.",
                hint=f"There are {', '.join(sorted(known))}." if known else "",
            )
    for law in laws:
        if law in LAWS and (named or law != "bnsl"):
            shared_coordinates(LAWS[law], request.share)


def _with_room(groups: Sequence[Points], law: str, request: Request) -> tuple[Points, ...]:
    """The groups with more points than the law has parameters: all or none where parameters are shared."""
    k = LAWS[law].k
    if law != "bnsl":
        shared = len(shared_coordinates(LAWS[law], request.share))
        if shared and len(groups) > 1:
            unknowns = shared + len(groups) * (k - shared)
            return tuple(groups) if unknowns < sum(len(points) for points in groups) else ()
    return tuple(points for points in groups if points.distinct_sizes > k)


def _joint_fits(groups: Sequence[Points]) -> bool:
    """Whether there is a joint law to fit: model sizes, data sizes, losses above 0, and more runs than parameters."""
    if any(points.parameters is None for points in groups):
        return False
    sizes = _model_sizes(groups)
    many = len({float(x) for points in groups for x in points.x}) > 1
    above = all(points.y.min() > 1.0 or points.y_name.endswith("loss") for points in groups)
    return len(sizes) > 1 and many and above and sum(len(points) for points in groups) > len(JOINT_PARAMETERS)


def _model_sizes(groups: Sequence[Points]) -> set[float]:
    return {float(n) for points in groups if points.parameters is not None for n in points.parameters}


def _too_narrow(groups: Sequence[Points]) -> tuple[Note, ...]:
    """Why the joint law is not fitted unasked: E, A and alpha cannot be told apart by these model sizes.

    Two sizes give two equations for the three; sizes within a factor of 2 give nearly the same one over and over,
    as A / N^alpha changes by less than 30 % there at alpha 0.5 (Hoffmann et al. 2022 found 0.34).
    """
    sizes = _model_sizes(groups)
    span = max(sizes) / min(sizes)
    if len(sizes) >= JOINT_SIZES and span >= JOINT_SPAN:
        return ()
    found = (
        f"there are {len(sizes)}"
        if len(sizes) < JOINT_SIZES
        else f"the largest is {span:.3g} times the smallest"
    )
    message = (
        f"joint is not fitted: it needs at least {JOINT_SIZES} model sizes, the largest at least {JOINT_SPAN:g} times "
        f"the smallest, and {found}. --model joint fits it all the same."
    )
    return (Note("joint-left-out", message),)


def _fit(groups: Sequence[Points], law: str, request: Request) -> tuple[Fit, ...]:
    if request.share:
        return fit_shared_groups(groups, law, request.share, request.options)
    if request.bootstrap:
        return bootstrap_groups(
            groups,
            law,
            request.options,
            replicates=request.bootstrap,
            seed=request.seed,
            kind=request.bootstrap_kind,
        )
    return fit_groups(groups, law, request.options)


def _origins(groups: Sequence[Points], law: str, request: Request) -> list[Origin]:
    if request.share and len(groups) > 1 and shared_coordinates(get_law(law), request.share):
        return shared_rolling_origins(groups, law, request.share, request.options.objective)
    return rolling_origins(get_law(law), make_batch(groups, request.options.objective))


def _select(
    fits: dict[str, tuple[Fit, ...]], fitted_to: dict[str, tuple[Points, ...]], request: Request
) -> tuple[Selection | None, tuple[Note, ...]]:
    """Rank the laws over the groups that all of them were fitted to."""
    if len(fits) < 2 or not request.options.hold_out:
        return None, ()
    counts = {law: {points.label for points in groups} for law, groups in fitted_to.items()}
    common = set.intersection(*counts.values())
    notes: tuple[Note, ...] = ()
    most = max(len(labels) for labels in counts.values())
    if len(common) < most:
        # A law that fits few groups would shrink the comparison to them: it is left out instead.
        kept = [law for law in fits if len(counts[law]) == most]
        left = [law for law in fits if law not in kept]
        fits = {law: fits[law] for law in kept}
        message = f"{', '.join(left)} fitted to fewer configurations than the others: not ranked with them."
        notes = (Note("not-ranked", message),)
        if len(fits) < 2:
            return None, notes
    groups = fitted_to[next(iter(fits))]
    origins = {law: _origins(groups, law, request) for law in fits}
    return select(fits, origins), notes
