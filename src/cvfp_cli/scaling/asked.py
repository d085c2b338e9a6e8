"""Which question which law can answer: what is asked is answered or refused by name, never dropped."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from cvfp_cli.counting import agreeing
from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import JOINTS
from cvfp_cli.laws.registry import LAWS, SURFACES
from cvfp_cli.notes import Note
from cvfp_cli.scaling.constraint import Constraint, check_law
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.study.points import Points

NO_JOINT = {
    "--predict": "a pair N:D asks the joint law, which is not fitted",
    "--budget": "its best model and data size are the joint law's to tell, which is not fitted",
}


class Asked(Protocol):
    """What of a ``study.Request`` depends on the law."""

    @property
    def options(self) -> FitOptions: ...
    @property
    def constraint(self) -> Constraint: ...
    @property
    def bootstrap(self) -> int: ...
    @property
    def bootstrap_kind(self) -> str: ...
    @property
    def pooling(self) -> str: ...
    @property
    def sizes_named(self) -> bool: ...


def joint_cannot(asked: Asked) -> dict[str, str]:
    """The options given that the joint law has no answer to, with the reason."""
    found = {}
    if asked.options.window:
        found["--window"] = "local exponents are slopes over x alone, and the joint law has two sizes"
    if asked.options.objective == "ppl":
        found["--objective ppl"] = "the joint law minimises the Huber loss of ln L"
    if asked.constraint.shared:
        found["--share"] = (
            "the groups of a joint law share all of its parameters (--pool makes one law of all groups)"
        )
    if asked.bootstrap_kind not in ("", "case"):
        found[f"--bootstrap-kind {asked.bootstrap_kind}"] = (
            "the joint law's bootstrap draws whole runs (case)"
        )
    return found


def refuse(laws: Sequence[str], asked: Asked, *, named: bool) -> None:
    """Check that each option has a law that answers it.

    Raises:
        InputError: an option that none of these laws answers.
    """
    both = set(JOINTS) & set(laws)
    if named and set(laws) <= set(JOINTS):
        for name, why in joint_cannot(asked).items():
            raise InputError(f"{name} has no answer from the joint law: {why}.", hint="Leave it out.")
    if asked.options.pairs and not both:
        raise InputError(
            f"--predict: only the joint law has model sizes; {', '.join(laws)} {agreeing(len(laws), 'has', 'have')} "
            "none.",
            hint="Give sizes of x alone, or add --model joint.",
        )
    if asked.options.budgets and not both:
        raise InputError(
            f"--budget: {', '.join(laws)} {agreeing(len(laws), 'has', 'have')} no model size to spend it on.",
            hint="Add --model joint.",
        )
    if asked.pooling == "all" and not both:
        raise InputError(
            f"--pool: only the joint law is fitted to all groups at once; {', '.join(laws)} is fitted to each.",
            hint="Leave it out, or add --model joint. --share NAMES gives groups a parameter in common.",
        )


def check_constraint(laws: Sequence[str], asked: Asked, *, named: bool) -> None:
    """Check what is asked of parameters; a name that no chosen law has is a mistake.

    Raises:
        InputError: such a name, one that a law cannot share, fix or tie, or a bootstrap of laws of one variable.
    """
    constraint = asked.constraint
    if not constraint:
        return
    constraint.check()
    own = [law for law in laws if law in LAWS]
    options = {
        "--share": constraint.shared,
        "--fix": tuple(constraint.values),
        "--tie": tuple(name for pair in constraint.tied for name in pair),
    }
    given = [option for option, names in options.items() if names]
    if asked.bootstrap and own:
        raise InputError(
            f"--bootstrap cannot be combined with {' and '.join(given)}.",
            hint="Profile intervals are given without it.",
        )
    parameters = {law: LAWS[law].parameters for law in own}
    if not constraint.shared:
        parameters |= {law: SURFACES[law].parameters for law in laws if law in SURFACES}
    known = {name for names in parameters.values() for name in names}
    for option, names in options.items():
        for name in names:
            if name not in known:
                raise InputError(
                    f"{option}: none of {', '.join(laws)} has a parameter {name!r}.",
                    hint=f"There are {', '.join(sorted(known))}." if known else "",
                )
    for pair in constraint.tied:
        if not any(set(pair) <= set(names) for names in parameters.values()):
            raise InputError(f"--tie {'='.join(pair)}: no law has both of these parameters.")
    for law in own:
        if named or LAWS[law].shareable or LAWS[law].fixable:
            check_law(LAWS[law], constraint)
    for law in laws if named else ():
        if law in SURFACES and law in parameters:
            from cvfp_cli.scaling.joint import check_joint

            check_joint(constraint, SURFACES[law])


def barred_joints(constraint: Constraint) -> dict[str, InputError]:
    """The joint laws that cannot be fitted with what is fixed or tied, each with the reason."""
    if not constraint.fixed and not constraint.tied:
        return {}
    from cvfp_cli.scaling.joint import check_joint

    found = {}
    for law in JOINTS:
        try:
            check_joint(constraint, SURFACES[law])
        except InputError as problem:
            found[law] = problem
    return found


def left_out_of(
    constraint: Constraint, barred: Mapping[str, InputError], fitted: Collection[str]
) -> tuple[Note, ...]:
    """A note on each law that was taken in by default and does not allow what is fixed.

    Args:
        barred: such laws with the reason. fitted: the laws that were fitted.

    Raises:
        InputError: no law that takes part has a parameter that one of them would have: its reason.
    """
    parameters = {law: one.parameters for law, one in LAWS.items()}
    parameters |= {law: one.parameters for law, one in SURFACES.items()}
    for name in constraint.names:
        problem = next((one for law, one in barred.items() if name in parameters[law]), None)
        if problem is not None and not any(name in parameters[law] for law in fitted):
            raise _with_ranges(problem, name, barred)
    return tuple(
        Note("fix-left-out", f"{law} is not fitted: {one.message} {one.hint}", "warning", {"law": law})
        for law, one in barred.items()
    )


def _with_ranges(problem: InputError, name: str, others: Mapping[str, InputError]) -> InputError:
    """A value that no law allows, with what each other law allows beside the first one."""
    start = "It allows "
    laws: dict[str, list[str]] = {}
    for law, one in others.items():
        if one.message.startswith(f"--fix {name}=") and one.hint.startswith(start):
            laws.setdefault(one.hint, []).append(law)
    laws.pop(problem.hint, None)
    told = [
        # A joint law may be barred of data that have no model sizes to fit it to.
        f"{'Where there are model sizes, ' if set(names) <= set(JOINTS) else ''}{', '.join(names)} "
        f"{agreeing(len(names), 'allows', 'allow')} {hint.removeprefix(start)}"
        for hint, names in laws.items()
    ]
    return InputError(problem.message, hint=" ".join([problem.hint, *told]))


def _of_several(points: Points) -> bool:
    """Whether a group holds runs of several model sizes."""
    return points.parameters is not None and len(set(points.parameters.tolist())) > 1


def unanswered(groups: Sequence[Points], laws: Sequence[str], asked: Asked) -> tuple[Note, ...]:
    """Notes on what was asked of all laws that were fitted and only some of them, or of the groups, answer."""
    notes = []
    if set(JOINTS) & set(laws):
        notes += [
            Note("joint-unanswered", f"{name} concerns the other laws: {why}.", values={"option": name})
            for name, why in joint_cannot(asked).items()
        ]
    elif asked.pooling == "all":
        message = "--pool: no joint law is fitted, and it concerns no other. --model joint says why."
        notes.append(Note("nothing-pooled", message, "warning"))
    if asked.sizes_named and not set(JOINTS) & set(laws) and any(map(_of_several, groups)):
        message = (
            "--parameters: no joint law is fitted, and the others take the rows of all model sizes together."
        )
        notes.append(Note("model-sizes-unused", message, "warning"))
    own = [law for law in laws if law in LAWS]
    shared, named = asked.constraint.shared, asked.constraint.names
    apart = [law for law in own if shared and not set(named) & set(LAWS[law].parameters)]
    if apart:
        message = f"--share: {', '.join(apart)} without a parameter {' or '.join(shared)}: fitted to each group on its own."
        notes.append(Note("not-shared", message))
    rest = set(named) - set(shared)
    free = [
        law for law in laws if rest and not rest & set((LAWS if law in LAWS else SURFACES)[law].parameters)
    ]
    if free:
        message = (
            f"--fix, --tie: {', '.join(free)} without a parameter {' or '.join(sorted(rest))}: fitted freely."
        )
        notes.append(Note("not-fixed", message))
    if shared and own and len(groups) == 1:
        notes.append(Note("not-shared", "--share: there is one group, and nothing to share parameters with."))
    wide = [points for points in groups if points.distinct_sizes < asked.options.window]
    if wide and own:
        first = wide[0]
        message = (
            f"--window {asked.options.window}: {len(wide)} of {len(groups)} groups have fewer sizes, such as "
            f"{first.label or 'this table'} with {first.distinct_sizes}: no local exponents there."
        )
        notes.append(Note("window-too-wide", message, "warning"))
    return tuple(notes)
