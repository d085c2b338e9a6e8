"""What an answer is made of, before it is text: headings, tables, sentences."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A title of level 1 (a fit) or 2 (a part of one)."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class TextTable:
    """Rows of text cells below a header; columns from the second on are flush right unless ``left``."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: bool = False


@dataclass(frozen=True)
class Line:
    """One sentence."""

    text: str


Block = Heading | TextTable | Line
