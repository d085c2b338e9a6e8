"""A whole ``cvfp fit``: which laws to which groups, every fit, and the selection."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cvfp_cli.counting import agreeing
from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import JOINTS, MAIN, MIXED
from cvfp_cli.laws.registry import LAWS, get_law
from cvfp_cli.notes import Note
from cvfp_cli.scaling.asked import (
    NO_JOINT,
    barred_joints,
    check_constraint,
    left_out_of,
    refuse,
    unanswered,
)
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.bounded import ToldOfOdds, as_odds
from cvfp_cli.scaling.checks import check_groups
from cvfp_cli.scaling.constraint import Constraint, shared_coordinates
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.forecasts import Forecast, forecasts
from cvfp_cli.scaling.held_out import Origin, own_pools
from cvfp_cli.scaling.isoflops import LEAST_SIZES, IsoFlops, isoflops
from cvfp_cli.scaling.joint_study import (
    POOLINGS,
    Pool,
    choice_note,
    fit_named,
    fit_pool,
    fit_unasked,
    pools_of,
    select_joint,
)
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.selection import Selection, select
from cvfp_cli.scaling.shared_fits import cannot_hold, constrained_origins, fit_constrained, is_constrained
from cvfp_cli.stats.curvature import SIGNIFICANCE
from cvfp_cli.study.points import Points, counted_once
from cvfp_cli.study.units import UNKNOWN

if TYPE_CHECKING:
    from cvfp_cli.scaling.sensitivity import Sensitivity

ALL = "all"
LEFT_OUT = ("Left out", "Left out of the laws of one variable")
MOST_LEFT_OUT = 3  # notes on single groups before one sums them up
LEAST_REPLICATES = 100  # fewer do not make an interval


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        laws: names, or ``all``: every law with fewer parameters than points; joint where model sizes span enough.
        constraint: parameters shared, fixed and tied. bootstrap: replicates; 0 for none.
        bootstrap_kind: empty for the laws' own: residual for laws of x alone, case for joint. seed: of the bootstrap.
        pooling: which groups share a joint law: the configurations of a ``study``, ``none`` or ``all``.
        sizes_named: whether the column of model sizes was asked for; said so where no joint law takes it.
        sensitivity: whether to show the figures under other choices, too.
        isoflops: whether to look for runs of equal compute.
    """

    laws: tuple[str, ...] = (ALL,)
    options: FitOptions = field(default_factory=FitOptions)
    constraint: Constraint = field(default_factory=Constraint)
    bootstrap: int = 0
    bootstrap_kind: str = ""
    seed: int = 0
    pooling: str = "study"
    sizes_named: bool = False
    sensitivity: bool = False
    isoflops: bool = False

    def __post_init__(self) -> None:
        if self.bootstrap and self.bootstrap < LEAST_REPLICATES:
            raise InputError(
                f"--bootstrap {self.bootstrap}: too few for an interval.",
                hint=f"Use at least {LEAST_REPLICATES}; 1000 is usual.",
            )
        if self.bootstrap_kind and not self.bootstrap:
            raise InputError(
                "--bootstrap-kind has no effect without --bootstrap.", hint="Add --bootstrap 1000."
            )
        if self.pooling not in POOLINGS:
            raise InputError(f"There is no pooling {self.pooling!r}.", hint=f"Choose {', '.join(POOLINGS)}.")


@dataclass(frozen=True)
class Study:
    """Every fit, law by law, and what they decide.

    Attributes:
        selection: of the laws of one variable that were fitted to the same groups; None for fewer than two.
        notes: what concerns no single fit.
        forecasts: of each group, by a mixture of laws, and whether its log-log line bends.
        sensitivity: of the first law's fits and the joint ones, where it was asked for.
        joint_selection: of the joint laws. isoflops: runs of equal compute, of each pool that has some.
    """

    fits: tuple[Fit, ...]
    selection: Selection | None
    notes: tuple[Note, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    sensitivity: "tuple[Sensitivity, ...]" = ()
    joint_selection: Selection | None = None
    isoflops: tuple[IsoFlops, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What ``--format json`` prints."""
        return {
            "forecasts": [forecast.to_json() for forecast in self.forecasts],
            "fits": [fit.to_json() for fit in self.fits],
            "selection": [score.to_json() for score in self.selection.laws] if self.selection else [],
            "verdict": self.selection.sentence if self.selection else None,
            "joint_selection": [score.to_json() for score in self.joint_selection.laws]
            if self.joint_selection
            else [],
            "joint_verdict": self.joint_selection.sentence if self.joint_selection else None,
            "isoflops": [one.to_json() for one in self.isoflops],
            "sensitivity": [one.to_json() for one in self.sensitivity],
            "notes": [{"code": note.code, "message": note.message} for note in self.notes],
        }


def run_study(groups: Sequence[Points], request: Request) -> Study:
    """Fit everything that was asked for.

    A figure between 0 and 1 is fitted by its odds, and told as itself.

    Raises:
        InputError: a group that cannot be fitted, an unknown law, an option that does not fit the laws.
    """
    counts = Counter(points.label for points in groups)
    if twice := [label for label, count in counts.items() if count > 1]:
        raise InputError(f"Two groups are called {twice[0]!r}.", hint="Give each a label of its own.")
    unit = groups[0].y_unit if groups else UNKNOWN
    if not unit.bounded:
        return _run(groups, request)
    odds, options = as_odds(groups, unit, request.options)
    study, told = _run(odds, replace(request, options=options)), ToldOfOdds(unit, groups[0].y_name)
    return replace(
        study,
        fits=tuple(map(told.fit, study.fits)),
        forecasts=tuple(map(told.forecast, study.forecasts)),
        sensitivity=tuple(map(told.sensitivity, study.sensitivity)),
        isoflops=tuple(map(told.isoflops, study.isoflops)),
    )


def _run(groups: Sequence[Points], request: Request) -> Study:
    """As ``run_study``, of y as it is."""
    named = ALL not in request.laws
    laws = tuple(dict.fromkeys(request.laws)) if named else (*LAWS, *JOINTS)
    own, both = ([law for law in laws if (law in JOINTS) is of_two] for of_two in (False, True))
    for law in own:
        get_law(law)
    refuse(laws, request, named=named)
    check_constraint(laws, request, named=named)
    _check_weights(groups, request, named)
    unfit = barred_joints(request.constraint) if both and not named else {}
    kept_out: tuple[str, ...] = ()
    joint: tuple[Fit, ...] = ()
    about_joint: tuple[Note, ...] = ()
    if both and named:
        joint, about_joint = fit_named(groups, request, both)
    elif both:
        joint, about_joint, kept_out = fit_unasked(groups, request, unfit)
    asks_joint = (("--predict", request.options.pairs), ("--budget", request.options.budgets))
    for option, given in asks_joint:
        if given and not joint:
            raise InputError(f"{option}: {NO_JOINT[option]}.", hint="Name it with --model joint to see why.")
    # Groups of one size are good rows for a joint law, and nothing for a law of x.
    fittable, left_out = _fittable(groups, joint=bool(joint), needed=named or not joint) if own else ((), ())
    fits: dict[str, tuple[Fit, ...]] = {}
    fitted_to: dict[str, tuple[Points, ...]] = {}
    barred: dict[str, InputError] = {}
    for law in own:
        able = counted_once(fittable) if request.constraint.shared else fittable
        chosen = tuple(able) if named else _with_room(able, law, request)
        problem = None
        if chosen and not named:
            problem = cannot_hold(chosen, law, request.constraint, request.options.objective)
        if problem is not None:
            barred[law] = problem
        elif chosen:
            fits[law], fitted_to[law] = _fit(chosen, law, request), chosen
    fitted = (*fits, *(fit.law for fit in joint))
    # What a law says that would not have been fitted anyhow is only told where no other takes the value.
    about_fixed = left_out_of(request.constraint, barred | unfit, fitted)
    about_fixed = tuple(note for note in about_fixed if note.values["law"] in (*barred, *kept_out))
    if not fits and not joint:
        raise InputError(
            "No law has fewer parameters than these data have sizes.", hint=f"Name one with --model {MAIN}."
        )
    everything = (*(fit for law in fits for fit in fits[law]), *joint)
    asked = unanswered(fittable, tuple(dict.fromkeys(fit.law for fit in everything)), request)
    ahead: tuple[Forecast, ...] = ()
    if fits and request.options.hold_out:
        asks = bool(request.options.predict or request.options.targets)
        mixed = not named or asks or request.sensitivity
        ahead = forecasts(
            fittable, request.options, fits, mixed=mixed, constraint=request.constraint, barred=barred
        )
    selection, notes = _select(fits, fitted_to, request, ahead)
    checked = check_groups(fittable, fits, request.options, request.constraint) if ahead else ()
    if ahead and any(estimate.shared for fit in everything for estimate in fit.parameters.values()):
        message = (
            "--share: the forecast takes each group by itself, and residuals about shared parameters are not "
            "checked."
        )
        checked = (*checked, Note("forecast-unshared", message))
    moved = (
        _sensitivity(groups, fits, fitted_to, joint, ahead, barred, request) if request.sensitivity else ()
    )
    profiles, about_profiles = _isoflops(groups, request) if request.isoflops else ((), ())
    shared = (joint and request.pooling != "none") or (fits and request.constraint.shared)
    apart = _of_members(groups) if shared else ()
    chosen_joint = select_joint(groups, joint, request)
    choice = () if named else choice_note(chosen_joint)
    told = (*left_out, *about_fixed, *notes, *about_joint, *choice, *apart, *asked, *checked, *about_profiles)
    return Study(everything, selection, told, ahead, moved, chosen_joint, profiles)


def _isoflops(groups: Sequence[Points], request: Request) -> tuple[tuple[IsoFlops, ...], tuple[Note, ...]]:
    """The profiles of every pool, or that there are none."""
    pools = pools_of(groups, request.pooling)
    options = request.options
    found = [isoflops(pool.groups, pool.label, options.budgets, options.level) for pool in pools]
    profiles = tuple(one for one in found if one is not None)
    if profiles:
        return profiles, ()
    message = (
        f"No budget of operations was spent on {LEAST_SIZES} model sizes or more, so there are no profiles of equal "
        "compute."
    )
    return (), (Note("no-isoflops", message),)


def _sensitivity(
    groups: Sequence[Points],
    fits: dict[str, tuple[Fit, ...]],
    fitted_to: dict[str, tuple[Points, ...]],
    joint: Sequence[Fit],
    ahead: Sequence[Forecast],
    barred: Collection[str],
    request: Request,
) -> "tuple[Sensitivity, ...]":
    """How far the figures move of the first law and of every joint fit."""
    request = replace(request, options=replace(request.options, hold_out=False, window=0))
    from cvfp_cli.scaling.sensitivity import joint_sensitivity, law_sensitivity

    found: tuple[Sensitivity, ...] = ()
    if fits:
        members = fitted_to[next(iter(fits))]
        for law in MIXED:
            able = () if law in fits or law in barred else _with_room(members, law, request)
            fits = {**fits, law: _fit(able, law, request)} if able else fits

        def refit(variants: Sequence[Points], law: str, options: FitOptions) -> tuple[Fit, ...]:
            asked = replace(request, options=options)
            shared = asked.constraint.within(LAWS[law].parameters).shared
            return _fit(variants, law, asked) if not shared or _with_room(variants, law, asked) else ()

        found = law_sensitivity(members, fits, ahead, request.options, request.constraint, refit)
    pools = {pool.label: pool for pool in pools_of(groups, request.pooling)}
    for fit in joint:
        pool = pools[fit.config]

        def refit_pool(groups: Sequence[Points], label: str = pool.label, law: str = fit.law) -> Fit:
            return fit_pool(Pool(tuple(groups), label), request, law)

        found = (*found, joint_sensitivity(pool.groups, fit, request.constraint, refit_pool))
    return found


def curves_of(
    groups: Sequence[Points], request: Request
) -> tuple[dict[str, dict[str, Fit]], tuple[Fit, ...]]:
    """What a plot needs: every group's fits of the laws of one variable, by label and law, and the joint fits."""
    plain = replace(
        request, options=replace(request.options, hold_out=False), sensitivity=False, isoflops=False
    )
    study = run_study(groups, plain)
    curves: dict[str, dict[str, Fit]] = {points.label: {} for points in groups}
    for fit in study.fits:
        if fit.law not in JOINTS:
            curves[fit.config][fit.law] = fit
    return curves, tuple(fit for fit in study.fits if fit.law in JOINTS)


def _fittable(
    groups: Sequence[Points], *, joint: bool, needed: bool
) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """The groups that a law of x can be drawn through, and a warning for each other one.

    Raises:
        InputError: there is none and one is needed, with the first one's reason.
    """
    good: list[Points] = []
    notes: list[Note] = []
    first: InputError | None = None
    for points in groups:
        try:
            points.require_fittable()
        except InputError as problem:
            first = first or problem
            notes.append(Note("group-left-out", f"{LEFT_OUT[joint]}: {problem.message}", "warning"))
        else:
            good.append(points)
    if not good and needed:
        raise first or InputError("There are no points to fit.")
    if len(notes) > MOST_LEFT_OUT:
        message = (
            f"{LEFT_OUT[joint]}: {len(notes)} groups, such as the first: {first.message if first else ''}"
        )
        notes = [Note("group-left-out", message, "warning", {"groups": len(notes)})]
    return tuple(good), tuple(notes)


def _check_weights(groups: Sequence[Points], request: Request, named: bool) -> None:
    """Refuse what cannot use weights.

    Raises:
        InputError: by the name of the option or law.
    """
    if any(points.weights is not None for points in groups):
        if request.constraint:
            raise InputError(
                "--weights cannot be combined with --share, --fix or --tie.",
                hint="Errors common to a size have no weights of their own: leave one of them out.",
            )
        if named and set(JOINTS) & set(request.laws):
            raise InputError(
                "--weights cannot be used by joint.",
                hint="Its Huber loss takes every run alike: leave --weights out, or name other laws.",
            )


def _of_members(groups: Sequence[Points]) -> tuple[Note, ...]:
    """What is said of ensembles that a law of several groups leaves out."""
    labels = [points.label for points in groups if points.of_members]
    if not labels or len(labels) == len(groups):
        return ()
    message = (
        f"{', '.join(labels)}: made of the runs of other groups, so what groups share is estimated without "
        f"{agreeing(len(labels), 'it', 'them')}."
    )
    return (Note("ensembles-apart", message),)


def _with_room(groups: Sequence[Points], law: str, request: Request) -> tuple[Points, ...]:
    """The groups with more sizes than the law has parameters: all or none where parameters are shared."""
    k = request.constraint.estimated(LAWS[law].parameters)
    if LAWS[law].shareable:
        shared = len(shared_coordinates(LAWS[law], request.constraint))
        if shared and len(groups) > 1:
            unknowns = shared + len(groups) * (k - shared)
            return tuple(groups) if unknowns < sum(points.distinct_sizes for points in groups) else ()
    return tuple(points for points in groups if points.distinct_sizes > k)


def _fit(groups: Sequence[Points], law: str, request: Request) -> tuple[Fit, ...]:
    if request.constraint:
        return fit_constrained(groups, law, request.constraint, request.options)
    if request.bootstrap:
        from cvfp_cli.scaling.bootstrap import KINDS, bootstrap_groups

        return bootstrap_groups(
            groups,
            law,
            request.options,
            replicates=request.bootstrap,
            seed=request.seed,
            kind=request.bootstrap_kind or KINDS[0],
        )
    return fit_groups(groups, law, request.options)


def _origins(groups: Sequence[Points], law: str, request: Request) -> list[Origin]:
    mine = request.constraint.within(get_law(law).parameters)
    if is_constrained(groups, mine):
        return constrained_origins(groups, law, mine, request.options.objective)
    return own_pools(get_law(law), make_batch(groups, request.options.objective)).origins()


def _select(
    fits: dict[str, tuple[Fit, ...]],
    fitted_to: dict[str, tuple[Points, ...]],
    request: Request,
    ahead: Sequence[Forecast],
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
    return select(fits, origins, _bends(fits, ahead)), notes


def _bends(fits: dict[str, tuple[Fit, ...]], ahead: Sequence[Forecast]) -> dict[str, float]:
    """The laws that ended as a line where one bends, by Bonferroni's rule over the groups, with the p of the bend."""
    known = [one for one in ahead if one.curvature.p_value is not None]
    ended = {(fit.config, law): fit.limit for law, members in fits.items() for fit in members}
    found: dict[str, float] = {}
    for one in known:
        p = (one.curvature.p_value or 0.0) * len(known)
        for law in fits if p < SIGNIFICANCE else ():
            last = law
            while last and last != MAIN:
                last = ended.get((one.config, last), "")
            if last == MAIN:
                found[law] = min(p, found.get(law, 1.0))
    return found
