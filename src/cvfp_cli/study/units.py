"""The unit of y: what its column's name says, what its values allow, and how it becomes a loss and back.

A law of one variable is fitted to y as it is. The joint law is one of the loss, so a perplexity is logged for it and
a loss must not be logged a second time.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

Array = NDArray[np.float64]

PPL, NATS, BITS, BPB, OTHER = "ppl", "nats", "bits", "bpb", "other"
ACCURACY, ERROR = "accuracy", "error"
BOUNDED = (ACCURACY, ERROR)
UNITS = (PPL, NATS, BITS, BPB, *BOUNDED, OTHER)
MEANINGS = {
    PPL: "a perplexity",
    NATS: "a loss in nats",
    BITS: "a loss in bits",
    BPB: "bits per byte",
    ACCURACY: "a share that rises to 1 at most, on the logit scale",
    ERROR: "a share that falls to 0 at most, on the logit scale",
    OTHER: "a quantity used as it is",
}
# No vocabulary has a loss of this many nats (exp(20) tokens) or bits; a smaller value may be either.
LARGEST_LOSS = 20.0
# The first unit of which a name holds all words of one entry is taken; words ending in ``TAILS`` count as them.
NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (BPB, ("bpb", "bits per byte")),
    (BITS, ("bits", "bpt", "log2 ppl", "log2 perplexity", "log2 loss")),
    (NATS, ("log ppl", "log perplexity", "ln ppl", "ln perplexity", "logppl", "nats")),
    (PPL, ("ppl", "perplexity", "perplexities", "ppx")),
    (
        NATS,
        (
            *("loss", "losses", "nll", "ce", "xent", "xe", "crossentropy", "cross entropy"),
            *("entropy", "log likelihood", "loglikelihood", "likelihood"),
        ),
    ),
    (ACCURACY, ("accuracy", "acc")),
    (ERROR, ("error rate",)),
)
TAILS = ("loss", "ppl", "perplexity", "bpb", "nll", "xent")


@dataclass(frozen=True)
class YUnit:
    """The unit of y and where it is known from.

    Attributes:
        name: one of ``UNITS``; empty where nothing says it. source: ``option``, ``name`` or ``values``, or empty.
    """

    name: str
    source: str

    def note(self, column: str) -> Note:
        """What was taken, and why."""
        why = {
            "option": "as --y-unit says",
            "name": "by the column's name",
            "values": "by its values: below 1 there is no perplexity"
            if self.name == OTHER
            else f"by its values: all are above {LARGEST_LOSS:g}, as no loss is",
        }[self.source]
        change = "" if self.source == "option" else " --y-unit changes that."
        message = f"{column} is taken for {MEANINGS[self.name]}, {why}.{change}"
        return Note("y-unit", message, values={"column": column, "unit": self.name, "source": self.source})

    @property
    def bounded(self) -> bool:
        """Whether y lies between 0 and 1 and is fitted by its odds."""
        return self.name in BOUNDED

    @property
    def rises(self) -> bool:
        """Whether more data make y larger."""
        return self.name == ACCURACY


UNKNOWN = YUnit("", "")


def unit_of(name: str, y: Array, asked: str = "") -> YUnit:
    """The unit of a column: as asked, else by its name, else by its values (m,), else ``UNKNOWN``.

    Raises:
        InputError: an unknown unit.
    """
    if asked:
        if asked not in UNITS:
            raise InputError(f"There is no unit {asked!r}.", hint=f"Choose {', '.join(UNITS)}.")
        return YUnit(asked, "option")
    by_name = _by_name(name)
    # Shares in percent, or that reach an end, have no odds.
    if by_name and (by_name not in BOUNDED or len(y) == 0 or 0.0 < np.min(y) <= np.max(y) < 1.0):
        return YUnit(by_name, "name")
    if by_name:
        return YUnit(OTHER, "name")
    if len(y) and np.min(y) < 1.0:
        return YUnit(OTHER, "values")
    if len(y) and np.min(y) > LARGEST_LOSS:
        return YUnit(PPL, "values")
    return UNKNOWN


def required_unit(unit: YUnit, column: str) -> YUnit:
    """The unit, where an answer depends on it.

    Raises:
        InputError: nothing says it.
    """
    if unit.name:
        return unit
    raise InputError(
        f"Is {column} a perplexity or a loss? Neither its name nor its values say, and the joint law needs to know.",
        hint=f"Add --y-unit {'|'.join(UNITS)}.",
    )


def loss_of(y: Array, unit: YUnit) -> Array:
    """y as a loss: in nats where it is a perplexity, nats or bits, else in y's own unit."""
    if unit.name == PPL:
        return np.asarray(np.log(y))
    return y * np.log(2.0) if unit.name == BITS else y


def y_of(loss: Array, unit: YUnit) -> Array:
    """What ``loss_of`` undoes."""
    if unit.name == PPL:
        return np.asarray(np.exp(np.minimum(loss, 700.0)))
    return loss / np.log(2.0) if unit.name == BITS else loss


def odds_of(y: Array, unit: YUnit) -> Array:
    """What falls as a bounded y gets better: its odds, or their inverse where it rises."""
    return (1.0 - y) / y if unit.rises else y / (1.0 - y)


def share_of(odds: Array, unit: YUnit) -> Array:
    """What ``odds_of`` undoes."""
    inverse = 1.0 / (1.0 + odds)
    return inverse if unit.rises else 1.0 - inverse


def _by_name(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    words += [tail for word in words for tail in TAILS if word.endswith(tail) and word != tail]
    for unit, entries in NAMES:
        if any(set(entry.split()) <= set(words) for entry in entries):
            return unit
    return ""
