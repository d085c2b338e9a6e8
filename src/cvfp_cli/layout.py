"""Text for a screen of some width: sentences folded between words, tables in bands of columns.

A number, a word, and a number with its unit stay in one piece. A table that is too wide first folds its headings, then
its words; what still does not fit stands in further bands below, each under the columns that name the rows.
Widths are in cells, of which an East Asian wide character takes two.
"""

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from wcwidth import wcswidth, wcwidth

PIPE_WIDTH = 120
NARROWEST = 20  # below this a terminal has to wrap by itself
LEAST_FIGURE = 16  # cells that the columns naming a row leave for a figure at the least
LEAST_WIDE = (
    8  # and a heading of wide characters, which may be parted anywhere, does not get narrower than this
)
LONG_WORDS = 32  # a column of words may be folded to this

_WITH_UNIT = re.compile(r"(?<=\d) (?=(?:%|s|min|h|MB|GB)(?:\W|$))|(?<=\d h) (?=\d)|(?<=\d min) (?=\d)")
_KEPT = "\ue000"  # stands for a blank that no line may end at; private, so that no printable text holds it
_OPENING = frozenset("（「『【〈《([{")
_CLOSING = frozenset(
    "）」』】〉》。、，．：；！？・ー％)]},.:;!?%…々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"
)


@dataclass(frozen=True)
class Screen:
    """Where text is shown.

    Attributes:
        width: cells that a line holds.
        folds: whether sentences are folded too. In a pipe or a file they stay on one line, to be searched.
    """

    width: int = PIPE_WIDTH
    folds: bool = False

    def lines(self, text: str, *, first: str = "", then: str | None = None) -> list[str]:
        """A sentence as lines: ``first`` stands before the first one, ``then`` (blanks) before the others."""
        rest = " " * cells(first) if then is None else then
        if not self.folds:
            return [first + text]
        found = fold(text, max(NARROWEST, self.width) - max(cells(first), cells(rest)))
        return [(rest if i else first) + line for i, line in enumerate(found)]


UNBOUNDED = Screen(width=sys.maxsize)


@dataclass(frozen=True)
class Band:
    """Some columns of a table: the lines of its heading, the lines of each row, and how wide the widest is."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    width: int


def cells(text: str) -> int:
    """How many cells a line of text takes."""
    return max(0, wcswidth(text))


def fold(text: str, width: int) -> list[str]:
    """Text in lines of at most ``width`` cells, broken between words; a longer word is broken at its signs, or anywhere.

    Line ends in the text stay.
    """
    found: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph, max(1, width)):
            if line and cells(line) + cells(word.rstrip()) > width:
                found.append(line.rstrip())
                line = word.lstrip()
            else:
                line += word
        found.append(line.rstrip())
    return [line.replace(_KEPT, " ") for line in found]


def _words(text: str, width: int) -> list[str]:
    """What a line may be made of: words with the blanks behind them, and single wide characters."""
    kept = _WITH_UNIT.sub(_KEPT, text)
    found: list[str] = []
    for run in re.findall(r"\s*\S+\s*|\s+", kept):
        pieces = _pieces(run)
        found += [part for piece in pieces for part in _parts(piece, width)]
    return found


def _pieces(run: str) -> list[str]:
    """A run parted beside its wide characters, but within no katakana word, and so that no line starts with a closing
    sign or ends with an opening one."""
    pieces = [run[:1]]
    for before, letter in pairwise(run):
        apart = _wide(before) or _wide(letter)
        held = letter in _CLOSING or letter.isspace() or before in _OPENING or before.isspace()
        held = held or ("ァ" <= before <= "ー" and "ァ" <= letter <= "ー")  # a word in katakana
        if apart and not held:
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces


def _wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in ("W", "F")


def _parts(word: str, width: int) -> list[str]:
    """The word, or where no line holds it, its parts: up to a sign where there is one."""
    parts: list[str] = []
    while cells(word.rstrip()) > width:
        taken, length = 0, 0
        for letter in word:
            if length + max(0, wcwidth(letter)) > width and taken:
                break
            taken, length = taken + 1, length + max(0, wcwidth(letter))
        sign = max(word.rfind(letter, 0, taken) for letter in "/_-,:;")
        end = sign + 1 if sign > 0 and not word[:sign].isspace() else taken
        parts.append(word[:end])
        word = word[end:]
    return [*parts, word]


def shortened(text: str, width: int) -> str:
    """Text in at most ``width`` cells: where it is longer, an ellipsis stands for its middle."""
    if cells(text) <= width:
        return text
    room = max(0, width - 1)
    start, end = "", ""
    while cells(start + text[len(start)]) <= room // 2:
        start += text[len(start)]
    while cells(start + text[-len(end) - 1] + end) <= room:
        end = text[-len(end) - 1] + end
    return f"{start}…{end}"[: max(0, width)]


def bands(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Sequence[bool],
    width: int,
    heads: int = 1,
    gap: str = "  ",
    indent: str = "",
) -> list[Band]:
    """A table as one band where ``width`` holds it, as several below each other elsewhere.

    Args:
        header: one text a column; line ends in it stay.
        left: which columns are flush left; the others are figures, flush right.
        heads: columns at the front that name the rows; they stand in every band.
    """
    count = len(header)
    columns = [[header[i], *(row[i] for row in rows)] for i in range(count)]
    natural = [max(_widest(text) for text in column) for column in columns]
    room = max(NARROWEST, width) - cells(indent)
    widths = natural
    if _together(natural, gap) > room:
        widths = [
            *_narrowed_heads(columns, natural, heads, room, cells(gap)),
            *(_narrowed(columns[i], natural[i], left=left[i]) for i in range(heads, count)),
        ]
        over = room - _together(widths[:heads], gap) - cells(gap)
        widths = [size if i < heads else min(size, max(1, over)) for i, size in enumerate(widths)]
    found = []
    for group in _grouped(widths, heads, room, gap):
        lines = [
            _lines([(columns[i][at], widths[i], left[i]) for i in group], gap, indent, bottom=at == 0)
            for at in range(len(rows) + 1)
        ]
        found.append(Band(lines[0], tuple(lines[1:]), _together([widths[i] for i in group], gap)))
    return found


def _widest(text: str) -> int:
    return max(cells(line) for line in text.split("\n"))


def _narrowed(column: Sequence[str], natural: int, *, left: bool) -> int:
    """The width of a column whose heading is folded, and whose cells are if they are words."""
    heading = _longest_word(column[:1], natural)
    if any(map(_wide, column[0])):
        heading = max(heading, min(_widest(column[0]), LEAST_WIDE))
    longest = max((_widest(text) for text in column[1:]), default=0)
    if left:
        longest = min(longest, LONG_WORDS)
    return max(heading, longest, 1)


def _longest_word(texts: Sequence[str], natural: int) -> int:
    return max(
        (cells(word.strip()) for text in texts for word in _words(text.replace("\n", " "), natural)),
        default=0,
    )


def _narrowed_heads(
    columns: Sequence[Sequence[str]], natural: Sequence[int], heads: int, room: int, gap: int
) -> list[int]:
    """Widths of the columns that name the rows: half the room, or more where a word needs it.

    What a narrow one leaves the wider ones may take; room for any figure stays.
    """
    figures = (_longest_word(columns[i], natural[i]) for i in range(heads, len(columns)))
    least = min(max(LEAST_FIGURE, *figures, 0), room // 2)
    widths = [0] * heads
    left, share = room - least, room // 2
    for done, i in enumerate(sorted(range(heads), key=lambda at: natural[at])):
        among = heads - done
        most = max(1, left // among - gap)
        widths[i] = min(natural[i], max(share // among - gap, _longest_word(columns[i], natural[i])), most)
        left, share = left - widths[i] - gap, share - widths[i] - gap
    return widths


def _together(widths: Sequence[int], gap: str) -> int:
    return sum(widths) + cells(gap) * max(0, len(widths) - 1)


def _grouped(widths: Sequence[int], heads: int, room: int, gap: str) -> list[list[int]]:
    """Columns of each band: as many as fit, and at least one besides those that name the rows."""
    front = list(range(min(heads, len(widths))))
    groups = [list(front)]
    for i in range(len(front), len(widths)):
        group = groups[-1]
        if len(group) > len(front) and _together([widths[j] for j in (*group, i)], gap) > room:
            groups.append([*front, i])
        else:
            group.append(i)
    return groups


def _lines(row: Sequence[tuple[str, int, bool]], gap: str, indent: str, *, bottom: bool) -> tuple[str, ...]:
    """The lines of one row; a heading's stand at the bottom, a cell's at the top."""
    folded = [fold(text, width) if _widest(text) > width else text.split("\n") for text, width, _ in row]
    height = max(len(lines) for lines in folded)
    found = []
    for at in range(height):
        line = []
        for lines, (_, width, left) in zip(folded, row, strict=True):
            place = at - (height - len(lines) if bottom else 0)
            text = lines[place] if 0 <= place < len(lines) else ""
            space = " " * max(0, width - cells(text))
            line.append(text + space if left else space + text)
        found.append((indent + gap.join(line)).rstrip())
    return tuple(found)
