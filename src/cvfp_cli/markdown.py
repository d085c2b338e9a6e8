"""GitHub Markdown: text from data as itself, lines of code, and tables."""

import re
from collections.abc import Iterable, Sequence

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_ALWAYS = re.compile(r"[\\`]|<(?=[A-Za-z/!?])|&(?=#|\w+;)|\](?=[(\[:])|(?<=!)\[")
_LINK = re.compile(
    r"(?i)(?<=\bhttp)(:)(?=//)|(?<=\bhttps)(:)(?=//)|(?<=\bftp)(:)(?=//)|(?<=\bwww)(\.)|(?<=\S)(@)(?=\S)"
)
_PAIRED = {"*": re.compile(r"\*"), "~": re.compile(r"~"), "_": re.compile(r"(?<![^\W_])_|_(?![^\W_])")}
_FIGURE = re.compile(r"[-+]?[0-9.,]+[%*]?")  # what nearly all cells hold: nothing to escape
_LINE_START = re.compile(r"^(?:(\d{1,9})([.)])(?=\s|$)|(#{1,6}(?=\s|$)|[-+*](?=\s|$)|>|={2,}$|-{2,}$|\[))")


def escape(text: str, *, cell: bool = False) -> str:
    """Text that Markdown shows as it is: no emphasis, links, tags, lists or line breaks come from data.

    Only what would mean something is escaped, so that the source reads well too: a lone ``*`` stays.

    Args:
        cell: the text stands in a table, where a bar ends the cell and no line starts.
    """
    if cell and _FIGURE.fullmatch(text):
        return text
    plain = " ".join(_CONTROL.sub(" ", text).split())
    plain = _ALWAYS.sub(lambda found: "\\" + found[0], plain)
    plain = _LINK.sub(lambda found: "\\" + found[0], plain)
    for sign, pattern in _PAIRED.items():
        if plain.count(sign) > 1:
            plain = pattern.sub(lambda found: "\\" + found[0], plain)
    if cell:
        return plain.replace("|", "\\|")
    return _LINE_START.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", plain)


def fenced(line: str) -> str:
    """A line that cannot end the code block it stands in."""
    return _CONTROL.sub(" ", line).replace("```", "'''")


def pipe_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[bool]) -> list[str]:
    """The lines of a table; cells are Markdown already.

    Args:
        left: which columns are flush left; the others are figures, flush right.
    """
    rule = "|".join("---" if flush else "---:" for flush in left)
    return [f"| {' | '.join(heads)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]
