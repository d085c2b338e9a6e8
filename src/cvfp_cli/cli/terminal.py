"""Text from elsewhere on a terminal: file names, columns, reasons cannot move its cursor or turn its lines around."""

import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from cvfp_cli.layout import Screen

# Control, format (bidirectional marks among them), surrogate, private, unassigned; line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    """The text with every character that a terminal would act on written as an escape; line ends stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter == "\n" or not _acts(letter) else _escaped(letter) for letter in text)


def _acts(letter: str) -> bool:
    return unicodedata.category(letter) in _UNSEEN


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def screen(stream: TextIO) -> "Screen":
    """How wide a stream is: a terminal as it is now; 120 cells elsewhere, with sentences on one line each."""
    from cvfp_cli.layout import Screen

    if not _is_terminal(stream):
        return Screen()
    return Screen(shutil.get_terminal_size().columns, folds=True)


def _is_terminal(stream: TextIO) -> bool:
    """Whether text ends on a terminal, also where rich's bars stand between for a while."""
    there: TextIO = getattr(stream, "rich_proxied_file", stream)
    return there.isatty()


def shown(text: str, stream: TextIO) -> str:
    """A message as it is printed: printable, and on a terminal folded between words.

    A line that starts with a blank is a command to copy, and stays in one piece.
    """
    if not _is_terminal(stream):
        return printable(text)
    place = screen(stream)
    lines = printable(text).split("\n")
    return "\n".join(line if line[:1] == " " else "\n".join(place.lines(line, then="  ")) for line in lines)


def say(text: str) -> None:
    """Print a message on stderr, as ``shown``; Python writes what its encoding does not hold as escapes."""
    print(shown(text, sys.stderr), file=sys.stderr, flush=True)
