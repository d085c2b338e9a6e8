"""What ``--validation`` can say, as data."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from cvfp_cli.data import files
from cvfp_cli.errors import InputError

_NUMBER = re.compile(r"[0-9]{1,15}")
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_RANGE = re.compile(r"(?P<split>[^:/\\]+):(?P<first>[0-9]{1,15})-(?P<last>[0-9]{1,15})")
_SPLIT = re.compile(r"[A-Za-z_]\w{0,99}(\.\w{1,99}){0,9}", re.ASCII)
_FORMS = "Write SPLIT, SPLIT:FIRST-LAST, after-largest:N, last:N, 10%, tail:10%, or the name of a file."


@dataclass(frozen=True)
class SplitRange:
    """Samples ``first`` to ``last`` of a split, both included."""

    split: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.split}:{self.first}-{self.last}"


@dataclass(frozen=True)
class WholeSplit:
    """All samples of a split that does not train."""

    split: str

    def __str__(self) -> str:
        return self.split


@dataclass(frozen=True)
class AfterLargest:
    """The ``count`` samples after the training samples of the study's largest size (or of ``validation.after``)."""

    count: int

    def __str__(self) -> str:
        return f"after-largest:{self.count}"


@dataclass(frozen=True)
class Last:
    """The last ``count`` samples of the data set."""

    count: int

    def __str__(self) -> str:
        return f"last:{self.count}"


@dataclass(frozen=True)
class LastShare:
    """The last ``share`` of the data set's samples."""

    share: Fraction

    def __str__(self) -> str:
        return f"{float(100 * self.share):g}%"


@dataclass(frozen=True)
class Tail:
    """The last ``share`` of each run's own tokens, taken away from its training."""

    share: Fraction

    def __str__(self) -> str:
        return f"tail:{float(100 * self.share):g}%"


@dataclass(frozen=True)
class File:
    """All samples of a file or a folder of files."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Validation = SplitRange | WholeSplit | AfterLargest | Last | LastShare | Tail | File


def parse_validation(text: str, *, has_splits: bool = False) -> Validation:
    """Read a validation source.

    Args:
        text: as the user wrote it.
        has_splits: whether the training text has splits: then a word that is also a folder's name is a split.

    Raises:
        InputError: it has none of the known forms, or names a file that is not there.
    """
    word, _, value = text.partition(":")
    match word:
        case "after-largest":
            return AfterLargest(_count(text, value))
        case "last":
            return LastShare(_share(text, value)) if value.endswith("%") else Last(_count(text, value))
        case "tail":
            return Tail(_share(text, value))
    if text.endswith("%") and not value:
        return LastShare(_share(text, text))
    found = _RANGE.fullmatch(text)
    if found is not None:
        first, last = int(found["first"]), int(found["last"])
        if last < first:
            raise InputError(f"--validation {text!r}: the range ends before it begins.")
        return SplitRange(found["split"], first, last)
    is_word = _SPLIT.fullmatch(text) is not None and not text.lower().endswith(files.SUFFIXES)
    path = files.existing(text)
    if path is not None and not (is_word and has_splits):
        return File(path)
    if is_word:
        return WholeSplit(text)
    raise InputError(f"--validation {text!r}: no such file, and no known form.", hint=_FORMS)


def _count(text: str, value: str) -> int:
    if not _NUMBER.fullmatch(value) or int(value) < 1:
        raise InputError(f"--validation {text!r}: {value!r} is no number of samples.", hint=_FORMS)
    return int(value)


def _share(text: str, value: str) -> Fraction:
    number = value.removesuffix("%")
    if number == value or not _PERCENT.fullmatch(number):
        raise InputError(f"--validation {text!r}: {value!r} is no percentage.", hint=_FORMS)
    share = Fraction(number) / 100
    if not 0 < share <= Fraction(1, 2):
        raise InputError(f"--validation {text!r}: the share must be above 0 % and at most 50 %.")
    return share
