"""Numbers as people write them in tables: ``2.2B``, ``111M``, ``1,000,000``, ``3,49``; and cells that hold none."""

import math
import re
from collections.abc import Iterable
from typing import Any

_EMPTY = frozenset(
    ("", "-", "--", "\u2013", "\u2014", "?", "null", "none", "nan", "na", "n/a", "#n/a", "nil", ".")
)
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_PLAIN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?) ?([kmbgt]?)", re.IGNORECASE | re.ASCII)
# Groups of three digits, with a decimal point after commas or a decimal comma after points.
_GROUPS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)? ?[kmbgt]?", re.IGNORECASE | re.ASCII)
_POINT_GROUPS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d* ?[kmbgt]?", re.IGNORECASE | re.ASCII)
_POINTS_ALONE = re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){2,}", re.ASCII)
_COMMA = re.compile(r"[+-]?\d*,\d+(?:e[+-]?\d+)? ?[kmbgt]?", re.IGNORECASE | re.ASCII)


def is_empty(cell: Any) -> bool:
    """Whether a cell says that there is no value."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return cell.strip().lower() in _EMPTY
    return isinstance(cell, float) and math.isnan(cell)


def comma_style(cells: Iterable[str]) -> str:
    """How one column of text uses commas: ``decimal``, ``thousands``, ``unclear`` where both fit, or empty for none."""
    found = [cell for cell in cells if "," in cell]
    if not found:
        return ""
    thousands = all(_GROUPS.fullmatch(cell) for cell in found)
    decimal = all(_COMMA.fullmatch(cell) or _POINT_GROUPS.fullmatch(cell) for cell in found)
    if decimal and thousands:  # no thousand begins with 0
        return "decimal" if any(re.match(r"[+-]?0\d*,", cell) for cell in found) else "unclear"
    return "decimal" if decimal else "thousands" if thousands else ""


def with_point(cell: str) -> str:
    """A cell of a column with decimal commas as it is written with a decimal point."""
    return cell.replace(".", "").replace(",", ".") if "," in cell else cell


def number(cell: Any) -> float | None:
    """A cell as a number, which may be infinite; None where it is empty.

    Raises:
        ValueError: it holds something else.
    """
    if is_empty(cell):
        return None
    if isinstance(cell, bool):
        raise ValueError(cell)
    if not isinstance(cell, str):
        try:
            return float(cell)
        except (TypeError, OverflowError):  # the latter: an integer that no float holds
            raise ValueError(cell) from None
    text = cell.strip()
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return -math.inf if text.startswith("-") else math.inf
    if _GROUPS.fullmatch(text):
        text = text.replace(",", "")
    elif _POINTS_ALONE.fullmatch(text):
        text = text.replace(".", "")
    matched = _PLAIN.fullmatch(text.replace("_", "").replace("\u00a0", "").replace("\u202f", ""))
    if matched is None:
        raise ValueError(cell)
    return float(matched[1]) * _FACTORS[matched[2].lower()]


def number_list(text: str) -> list[float]:
    """Numbers such as ``1e6,2.2B,inf``; or one number with separated thousands, ``1,000,000``.

    Where every group of digits may be a number of its own, as in ``100,200,400``, they are several.

    Raises:
        ValueError: with the word that is no number.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if _GROUPS.fullmatch(text.strip()) and any(word.startswith("0") for word in words[1:]):
        words = [text.strip()]
    found = []
    for word in words:
        try:
            value = number(word)
        except ValueError:
            value = None
        if value is None or (len(words) > 1 and len(word) > 1 and word.strip("0") == ""):
            raise ValueError(word)
        found.append(value)
    return found
