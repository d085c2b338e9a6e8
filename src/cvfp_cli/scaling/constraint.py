"""Parameters that are shared by groups, fixed at a value, or tied to one another: one kind of constraint for all laws.

A law's parameters that can be constrained are common coordinates (``Law.shareable``, ``Law.fixable``), so each kind of
constraint takes unknowns away: a shared one stands once for all groups, a tied pair once for both, and a fixed one has
its value. The joint law's are coordinates of its own (``joint.HOLDABLE``).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from cvfp_cli.errors import InputError
from cvfp_cli.laws.base import Law
from cvfp_cli.scaling.batch import Batch


@dataclass(frozen=True)
class Constraint:
    """What is asked of parameters, by the user's names.

    Attributes:
        shared: the same in all groups. fixed: held at a value. tied: pairs that are equal.
    """

    shared: tuple[str, ...] = ()
    fixed: tuple[tuple[str, float], ...] = ()
    tied: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.shared or self.fixed or self.tied)

    @property
    def values(self) -> dict[str, float]:
        """The fixed parameters with their values."""
        return dict(self.fixed)

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter that is named, each once."""
        return tuple(
            dict.fromkeys([*self.shared, *self.values, *(name for pair in self.tied for name in pair)])
        )

    @property
    def of_one(self) -> "Constraint":
        """What of it holds for a group by itself: nothing is shared."""
        return replace(self, shared=())

    def estimated(self, parameters: Collection[str]) -> int:
        """How many of a law's parameters are left to estimate for a group by itself."""
        mine = self.within(parameters)
        return len(parameters) - len(mine.fixed) - len(mine.tied)

    def within(self, parameters: Collection[str]) -> "Constraint":
        """What of it concerns a law with these parameters."""
        return Constraint(
            tuple(name for name in self.shared if name in parameters),
            tuple(pair for pair in self.fixed if pair[0] in parameters),
            tuple(pair for pair in self.tied if set(pair) <= set(parameters)),
        )

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InputError: a name that stands in more than one place.
        """
        values = self.values
        for name, value in self.fixed:
            if values[name] != value:
                raise InputError(
                    f"--fix: {name} has two values, {value:g} and {values[name]:g}.", hint="Give one."
                )
            if name in self.shared:
                raise InputError(
                    f"--fix {name}={value:g} and --share {name} say the same thing twice.",
                    hint="A fixed parameter is the same in all groups: leave --share out.",
                )
        seen: set[str] = set()
        for pair in self.tied:
            for name in pair:
                if name in values or name in self.shared or name in seen:
                    option = "--fix" if name in values else "--share" if name in self.shared else "--tie"
                    raise InputError(
                        f"--tie {'='.join(pair)}: {name} is named by {option}, too.",
                        hint="Leave one of them out.",
                    )
            seen.update(pair)


FREE = Constraint()


def parse_fixed(words: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """``E=1.69`` as a name and its value.

    Raises:
        InputError: a word of another form, or a value that is no finite number.
    """
    found = []
    for word in words:
        name, sign, text = (part.strip() for part in word.partition("="))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not name or not sign or not isfinite(value):
            raise InputError(
                f"--fix: '{ascii(word)[1:-1][:40]}' is no parameter with its value.",
                hint="Write NAME=VALUE, such as alpha=-0.5 or c0=0.2,c1=0.1.",
            )
        found.append((name, value))
    return tuple(dict.fromkeys(found))


def parse_tied(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``alpha=beta`` as a pair of names.

    Raises:
        InputError: a word of another form, or twice the same name.
    """
    found = []
    for word in words:
        one, sign, other = (part.strip() for part in word.partition("="))
        if not sign or not one or not other or "=" in other or one == other:
            raise InputError(
                f"--tie: '{ascii(word)[1:-1][:40]}' is no pair of parameters.",
                hint="Write NAME=NAME, such as alpha=beta.",
            )
        found.append((one, other))
    return tuple(dict.fromkeys(found))


def check_law(law: Law, constraint: Constraint) -> None:
    """Check what is asked of one law's parameters.

    Raises:
        InputError: a parameter that this law cannot share, fix or tie.
    """
    shared_coordinates(law, constraint)
    mine = constraint.within(law.parameters)
    possible = {**law.shareable, **law.fixable}
    for name, _ in mine.fixed:
        _possible("--fix", "fixed", "fix", law.name, name, tuple(possible))
    for name, other in law.needs.items():
        if name in mine.values and other not in mine.values:
            raise InputError(
                f"--fix {name} alone means nothing: its unit depends on {other}.", hint=f"Fix {other}, too."
            )
    for pair in mine.tied:
        if not set(pair) <= set(law.alike):
            raise InputError(
                f"--tie {'='.join(pair)}: these parameters of {law.name} are not of one kind.",
                hint=f"It can tie {'='.join(law.alike)}." if law.alike else "Leave that law out.",
            )


def _possible(option: str, done: str, verb: str, law: str, name: str, possible: Sequence[str]) -> None:
    if name not in possible:
        raise InputError(
            f"{option}: {name} of {law} cannot be {done}.",
            hint=f"It can {verb} {', '.join(possible)}." if possible else "Leave that law out.",
        )


def shared_coordinates(law: Law, constraint: Constraint) -> tuple[int, ...]:
    """The coordinates to share, of those names that the law has.

    Raises:
        InputError: a parameter that cannot be shared.
    """
    mine = [name for name in constraint.shared if name in law.parameters]
    for name in mine:
        _possible("--share", "shared", "share", law.name, name, tuple(law.shareable))
    for name, other in law.needs.items():
        if name in mine and other not in mine and other not in constraint.values:
            raise InputError(
                f"--share {name} alone means nothing: its unit depends on {other}.",
                hint=f"Use --share {name},{other}.",
            )
    return tuple(sorted(law.shareable[name] for name in mine))


def fixed_coordinates(law: Law, constraint: Constraint, batch: Batch) -> dict[int, float]:
    """The common coordinates that are fixed, with their values on the fit's scale.

    Raises:
        InputError: a value that the law does not allow, or above all that was measured.
    """
    values: Mapping[str, float] = constraint.values
    origin, log_unit = float(batch.scale.origin[0]), float(batch.scale.log_unit[0])
    low, high = law.common_box(batch.data)
    quantities = {quantity.name: quantity for quantity in law.parameter_quantities(batch.scale)}
    found = {}
    for name, value in values.items():
        at = {**law.shareable, **law.fixable}[name]
        coordinate = law.common_value(name, values, origin, log_unit)
        least, most = float(low[:, at].max()), float(high[:, at].min())
        lowest, highest = law.held_between.get(name, (-np.inf, np.inf))
        if not (least <= coordinate <= most and lowest < value < highest):
            rows = np.zeros(1, dtype=np.intp)
            ends = [float(quantities[name].user(np.array([end]), rows)[0]) for end in (least, most)]
            # The trace of a parameter with a unit of another's is not its coordinate.
            said = "" if name in law.needs else f" between {ends[0]:.6g} and {ends[1]:.6g}"
            if name in law.held_between:
                said = f" above {max(ends[0], lowest):.6g} and below {min(ends[1], highest):.6g}"
            raise InputError(
                f"--fix {name}={value:g}: {law.name} has no such curve.",
                hint=f"It allows {name}{said or ' above 0'}.",
            )
        top = min(float(points.y.max()) for points in batch.groups)
        if law.has_floor and name == law.parameters[0] and value >= top:
            raise InputError(
                f"--fix {name}={value:g}: nothing measured lies above this asymptote; the largest y of a group is {top:g}.",
                hint=f"Choose a value below {top:g}.",
            )
        found[at] = coordinate
    return found
