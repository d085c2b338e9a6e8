"""Text from elsewhere on a terminal: file names, columns, reasons cannot move its cursor or turn its lines around."""

import unicodedata

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
