"""The right word for a wrong one, by its spelling alone."""

import difflib
from collections.abc import Iterable


def like(word: str) -> str:
    """What two spellings of a word have in common: no capitals, a hyphen for an underscore, no dashes before."""
    return word.strip().lower().replace("_", "-").lstrip("-")


def nearest(word: str, words: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The one of ``words`` that is spelled alike, goes on from ``word``, holds it, or is closest.

    Args:
        cutoff: how alike two words must be, from 0 to 1.

    Returns:
        the word; empty where none is near.
    """
    by_likeness = {like(known): known for known in words}
    given = like(word[:100])
    if given in by_likeness:
        return by_likeness[given]
    if len(given) > 1:
        for holds in (str.startswith, str.__contains__):
            found = [known for spelled, known in by_likeness.items() if holds(spelled, given)]
            if len(found) == 1:
                return found[0]
    close = difflib.get_close_matches(given, by_likeness, n=1, cutoff=cutoff)
    return by_likeness[close[0]] if close else ""


def advice(word: str, words: Iterable[str], *, cutoff: float = 0.6, most: int | None = None) -> str:
    """What to say of a wrong word: the nearest right one, or else the words there are, the first ``most`` of them."""
    known = list(words)
    near = nearest(word, known, cutoff=cutoff)
    return f"Did you mean {near}?" if near else f"There are {', '.join(known[:most])}."
