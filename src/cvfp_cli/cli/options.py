"""What several commands read alike: lists of integers, sizes in bytes, choices, ``table.key=value``.

Options without a value leave the decision to the recipe, so that no default stands in two places.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from cvfp_cli.errors import InputError, one_line

STUDY, TEXT, MACHINE, OUTPUT = "Study", "Text", "Machine", "Output"
MORE = "More"
"""The group of what is rarely needed: ``--help`` names its options, ``--help-all`` explains them."""

Words = Sequence[str] | Callable[[], Iterable[str]]


def option(
    *names: str,
    panel: str,
    help: str,
    metavar: str | None = None,
    default: bool | str = True,
    words: Words = (),
    several: bool = False,
) -> Any:
    """A Typer option in a group of the help page.

    Args:
        default: show the parameter's default in the help; False does not, words stand in its place.
        words: what a shell offers as values; a function is called when they are asked for.
        several: the value is a list of ``words`` with commas between.
    """
    return typer.Option(
        *names,
        metavar=metavar,
        help=help,
        rich_help_panel=panel,
        show_default=default,
        autocompletion=completer(words, several=several) if words else None,
    )


def given(
    panel: str,
    metavar: str | None,
    help: str,
    *,
    name: str = "",
    short: str = "",
    start: object = None,
    default: bool | str = True,
    words: Words = (),
    several: bool = False,
) -> Any:
    """An option, as the default of a command's parameter or of a shared dataclass's field; ``spread`` reads it.

    Args:
        name: the option where it is not called like the parameter; short: its one-letter form.
        start: the parameter's value where the option is not given.
        default, words, several: as for :func:`option`.
    """

    def made(parameter: str) -> Any:
        names = filter(None, [name or option_of(parameter), short])
        return option(
            *names, panel=panel, metavar=metavar, help=help, default=default, words=words, several=several
        )

    return field(default=start, metadata={"option": made})


def flag(panel: str, help: str, *, short: str = "") -> Any:
    """An option without a value, as :func:`given`: True where it is given."""
    return given(panel, None, help, short=short, start=False)


def option_of(name: str) -> str:
    """``--context-dim`` for ``context_dim``."""
    return "--" + name.replace("_", "-")


def completer(words: Words, *, several: bool = False) -> Callable[[str], list[str]]:
    """A function that tells a shell which of ``words`` go on from what is typed."""

    def offer(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",") if several else ("", "", incomplete)
        return [
            before + comma + word for word in (words() if callable(words) else words) if word.startswith(last)
        ]

    return offer


def words_of(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Words separated by commas or given by repeating the option: each once, in order."""
    return tuple(
        dict.fromkeys(word.strip() for text in texts or () for word in text.split(",") if word.strip())
    )


MOST_VALUES = 1000
_PART = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12})(?::([0-9]{1,12}))?)?", re.ASCII)
_OTHER_RANGE = re.compile(r"([0-9]{1,12}) ?(?:\.\.\.?|:|–|to| - ) ?([0-9]{1,12})", re.ASCII)
_OTHER_STEP = re.compile(
    r"([0-9]{1,12}) ?(?:-|\.\.\.?|:|–|to| - ) ?([0-9]{1,12}) ?(?:\.\.\.?|:|/|by|step|\+) ?([0-9]{1,12})",
    re.ASCII,
)
_BYTES = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?((?:[KMGT]i?)?B?)", re.ASCII | re.IGNORECASE)
_FACTORS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY_FACTORS = {"ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}


@dataclass(frozen=True)
class Range:
    """``FIRST-LAST`` or ``FIRST-LAST:STEP``, both ends included; a number alone is a range of one."""

    first: int
    last: int
    step: int = 1

    def __len__(self) -> int:
        return (self.last - self.first) // self.step + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" + (f":{self.step}" if self.step > 1 else "")

    @property
    def coarser(self) -> "Range":
        """The same span in few steps: of the ends' common divisor where that makes 3 to 30, else of a round number."""
        common = Range(self.first, self.last, math.gcd(self.first, self.last))
        if 3 <= len(common) <= 30:
            return common
        round_steps = [factor * 10**power for power in range(12) for factor in (1, 2, 5)]
        span = self.last - self.first
        return Range(
            self.first, self.last, max((step for step in round_steps if 2 * step <= span), default=1)
        )


def ranges(texts: Sequence[str] | None, option: str, *, least: int = 1) -> tuple[Range, ...]:
    """Read ``1-3``, ``100-500:100``, ``50,100,200``, a mixture, or the option repeated; empty without the option.

    Raises:
        InputError: not a list of integers, a range that runs downwards, or a value below ``least``.
    """
    found = []
    for part in (piece.strip() for text in texts or () for piece in text.split(",")):
        matched = _PART.fullmatch(part)
        if matched is None:
            if not part and len(texts or ()) == 1 and texts and texts[0].strip():
                raise InputError(f"{option}: a comma in '{one_line(texts[0], 40)}' has no number beside it.")
            raise InputError(
                f"{option}: '{one_line(part, 40)}' is neither a whole number nor a range.",
                hint=f"Write {meant}."
                if (meant := _meant(part))
                else "Write 3, 1-3, 100-500:100 or 50,100,200.",
            )
        first = int(matched[1])
        one = Range(first, int(matched[2] or first), int(matched[3] or 1))
        if one.last < first:
            upwards = Range(one.last, first, one.step)
            raise InputError(f"{option}: the range {part} runs downwards.", hint=f"Write {upwards}.")
        if first < least:
            raise InputError(f"{option}: {first} is too small; the least is {least}.")
        if one.step < 1:
            raise InputError(f"{option}: the range {part} has no step.", hint="The least step is 1.")
        found.append(one)
    return tuple(found)


def integers(texts: Sequence[str] | None, option: str, *, least: int = 1) -> tuple[int, ...] | None:
    """The values of ``ranges``; ``None`` when the option was not given.

    The order is kept and a value given twice counts once.

    Raises:
        InputError: as ``ranges``, or more than 1,000 values.
    """
    if not texts:
        return None
    values: dict[int, None] = {}
    for one in ranges(texts, option, least=least):
        if len(one) <= MOST_VALUES:
            values.update(dict.fromkeys(range(one.first, one.last + 1, one.step)))
        if len(one) > MOST_VALUES or len(values) > MOST_VALUES:
            raise InputError(
                f"{option}: more than {MOST_VALUES} values.",
                hint=f"Give fewer, such as {one.coarser}." if len(one) > MOST_VALUES else "Give fewer.",
            )
    return tuple(values)


def _meant(part: str) -> str:
    """The range that was meant by another way to write one; empty where there is no telling."""
    if other := _OTHER_RANGE.fullmatch(part):
        return f"{other[1]}-{other[2]}"
    if other := _OTHER_STEP.fullmatch(part):
        return f"{other[1]}-{other[2]}:{other[3]}"
    return ""


def share_between(value: float, option: str, usual: float = 0.95) -> float:
    """A share between 0 and 1, such as a confidence level.

    Raises:
        InputError: it is not one; a percentage is named as the share that it is.
    """
    if 0.0 < value < 1.0:
        return value
    percent = 1.0 <= value < 100.0 and (value >= 50.0) == (usual >= 0.5)
    hint = f"Did you mean {value / 100:g}?" if percent else f"{usual:g} is usual."
    raise InputError(f"{option}: {value:g} does not lie between 0 and 1.", hint=hint)


def utf8(text: str, option: str) -> str:
    """``text``, which a terminal may have handed over with bytes in it that are no character.

    Raises:
        InputError: it cannot be written as UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise InputError(f"{option}: not UTF-8 text, from character {problem.start + 1} on.") from None
    return text


def byte_count(text: str, option: str) -> int:
    """Read ``2GB``, ``512MiB`` or ``1.5G``: GB is 1000³ bytes, GiB is 1024³.

    Raises:
        InputError: not a size, or less than 1 MB.
    """
    matched = _BYTES.fullmatch(text.strip())
    if matched is None:
        raise InputError(f"{option}: '{one_line(text, 40)}' is not a size.", hint="Write 2GB or 512MiB.")
    unit = matched[2].lower().removesuffix("b")
    size = int(float(matched[1]) * (_BINARY_FACTORS.get(unit) or _FACTORS[unit]))
    if size < 1_000_000:
        raise InputError(f"{option}: {matched[0]} is less than 1 MB.", hint="Write 2GB or 512MiB.")
    return size


def one_of(value: str, choices: Sequence[str], option: str) -> str:
    """``value`` if it is one of ``choices``; otherwise an error that names the nearest.

    Raises:
        InputError: it is not.
    """
    if value in choices:
        return value
    from cvfp_cli.cli.guesses import value_for

    near = value_for(value, choices)
    advice = f"Did you mean {near}?" if near else f"There are {', '.join(choices)}."
    raise InputError(f"{option}: no '{one_line(value, 40)}'.", hint=advice)


def listed(texts: Sequence[str] | None, choices: Sequence[str], option: str) -> tuple[str, ...]:
    """Words separated by commas or given by repeating the option; empty when it was not given.

    Raises:
        InputError: a word that is none of ``choices``.
    """
    return tuple(one_of(word, choices, option) for word in words_of(texts))


def assignments(texts: Sequence[str] | None, name: str = "--set") -> dict[str, str]:
    """Read ``--set table.key=value``; a key set twice takes the last value. Values stay text here.

    Raises:
        InputError: no ``=``, or no ``table.key`` before it.
    """
    form, example = ("LIST", "phase1.noise=0,0.1") if name == "--grid" else ("value", "phase2.epochs=5")
    values: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_.-]+", key.strip()):
            raise InputError(
                f"{name}: '{one_line(text, 60)}' is not table.key={form}.",
                hint=f"Write {name} {example}.",
            )
        values[key.strip()] = value.strip()
    return values
