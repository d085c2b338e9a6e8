"""What ``--validation`` can say, as data."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from cvfp_cli.errors import InputError

_RANGE = re.compile(r"(?P<split>[^:/\\]+):(?P<first>\d+)-(?P<last>\d+)")
_FORMS = "Write SPLIT:FIRST-LAST, after-largest:N, last:N, tail:10%, or the name of a file."


@dataclass(frozen=True)
class SplitRange:
    """Samples ``first`` to ``last`` of a split, both included."""

    split: str
    first: int
    last: int


@dataclass(frozen=True)
class AfterLargest:
    """The ``count`` samples after the training samples of the study's largest size."""

    count: int


@dataclass(frozen=True)
class Last:
    """The last ``count`` samples of the data set."""

    count: int


@dataclass(frozen=True)
class Tail:
    """The last ``share`` of each run's own tokens, taken away from its training."""

    share: Fraction


@dataclass(frozen=True)
class File:
    """All samples of a file or a folder of files."""

    path: Path


Validation = SplitRange | AfterLargest | Last | Tail | File


def parse_validation(text: str) -> Validation:
    """Read a validation source.

    Raises:
        InputError: it has none of the known forms, or names a file that is not there.
    """
    word, _, value = text.partition(":")
    match word:
        case "after-largest":
            return AfterLargest(_count(text, value))
        case "last":
            return Last(_count(text, value))
        case "tail":
            return Tail(_share(text, value))
    found = _RANGE.fullmatch(text)
    if found is not None:
        first, last = int(found["first"]), int(found["last"])
        if last < first:
            raise InputError(f"--validation {text}: the range ends before it begins.")
        return SplitRange(found["split"], first, last)
    path = Path(text).expanduser()
    if not path.exists():
        raise InputError(f"--validation {text}: no such file, and no known form.", hint=_FORMS)
    return File(path)


def _count(text: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise InputError(f"--validation {text}: '{value}' is no number of samples.", hint=_FORMS)
    return int(value)


def _share(text: str, value: str) -> Fraction:
    number = value.removesuffix("%")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", number, re.ASCII) is None or number == value:
        raise InputError(f"--validation {text}: '{value}' is no percentage.", hint=_FORMS)
    share = Fraction(number) / 100
    if not 0 < share <= Fraction(1, 2):
        raise InputError(f"--validation {text}: the share must be above 0 % and at most 50 %.")
    return share
