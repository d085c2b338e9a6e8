"""Interpolated modified Kneser-Ney over token ids, in arrays: no loop over tokens. Imports without torch.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling", Computer Speech and Language 13
(1999): modified Kneser-Ney smoothing, interpolated. The stream is one sequence: n-grams cross the borders of samples,
as the contexts of the other kinds do. The unigrams are interpolated with 1/V.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.baselines.config import Discounts

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NOT_SEEN = -1


@dataclass(frozen=True)
class Level:
    """All distinct k-grams of the training stream, numbered by (history, last token), and what they predict.

    Attributes:
        keys: history · V + token, ascending, (G,). A history is the number of a (k−1)-gram; for k = 1 it is 0.
        suffixes: the number of the k-gram without its first token, among the (k−1)-grams, (G,).
        counts: occurrences for the highest order; below it the different tokens seen before the k-gram, (G,).
        discounts: D1, D2, D3+.
        shares: max(count − D, 0) / the history's sum of counts, (G,); 0 where that sum is 0.
        backoffs: what a history leaves to the next lower order, by its number; 1 where it has no counts, (H,).
        probabilities: p_k(token | history) of every k-gram, (G,).
        likeliest: the likeliest next token of every history, (H,).
        likeliest_probabilities: its probability, (H,).
    """

    keys: Ints
    suffixes: Ints
    counts: Ints
    discounts: tuple[float, float, float]
    shares: Floats
    backoffs: Floats
    probabilities: Floats
    likeliest: Ints
    likeliest_probabilities: Floats


@dataclass(frozen=True)
class Scores:
    """Of each target of a stream: ln p, and whether the likeliest token is the right one, (M − 1,) each."""

    log_probabilities: Floats
    correct: NDArray[np.bool_]


class KneserNey:
    """An n-gram model of a token stream.

    Args:
        ids: the training stream, (N,).
        order: n.
        vocab_size: V.
        discounts: how many there are at each order.
    """

    def __init__(self, ids: Ints, order: int, vocab_size: int, discounts: Discounts = "three") -> None:
        self.vocab_size = vocab_size
        self._discounts_of = discounts_of if discounts == "three" else one_discount_of
        grams = _distinct(ids, order, vocab_size)
        self.levels: list[Level] = []
        for k, (keys, suffixes, occurrences) in enumerate(grams, start=1):
            longer = grams[k][1] if k < len(grams) else None
            counts = occurrences if longer is None else np.bincount(longer, minlength=len(keys))
            self.levels.append(self._level(keys, suffixes, counts))

    @property
    def parameters(self) -> int:
        """Numbers that the model consists of: a count for each n-gram, a weight for each history, the discounts."""
        return sum(len(level.counts) + len(level.backoffs) + len(level.discounts) for level in self.levels)

    def score(self, ids: Ints) -> Scores:
        """Score every token of a stream but the first, each by as many tokens before it as the order takes.

        Args:
            ids: (M,).
        """
        first = self.levels[0]
        number = _find(first.keys, ids, np.ones(len(ids), dtype=np.bool_))
        p = _mixed(first, number, np.zeros(len(ids), dtype=np.int64), 1.0 / self.vocab_size)
        best = np.full(len(ids), first.likeliest[0])
        for level in self.levels[1:]:
            # The history of token t is the (k−1)-gram that ends at t − 1.
            history = np.concatenate([[NOT_SEEN], number[:-1]])
            known = history != NOT_SEEN
            number = _find(level.keys, history * self.vocab_size + ids, known)
            p[known] = _mixed(level, number[known], history[known], p[known])
            best[known] = level.likeliest[history[known]]
        return Scores(np.log(p[1:]), (best == ids)[1:])

    def _level(self, keys: Ints, suffixes: Ints, counts: Ints) -> Level:
        lower = self.levels[-1] if self.levels else None
        histories = len(lower.keys) if lower else 1
        history = keys // self.vocab_size
        discounts = self._discounts_of(counts)
        taken = np.array([0.0, *discounts])[np.minimum(counts, 3)]
        totals = np.bincount(history, weights=counts, minlength=histories)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(totals[history] > 0, (counts - taken) / totals[history], 0.0)
            backoffs = np.bincount(history, weights=taken, minlength=histories) / totals
        backoffs = np.where(totals > 0, backoffs, 1.0)
        below = lower.probabilities[suffixes] if lower else np.full(len(keys), 1.0 / self.vocab_size)
        probabilities = shares + backoffs[history] * below
        likeliest, highest = self._likeliest(lower, keys, history, probabilities, backoffs)
        return Level(keys, suffixes, counts, discounts, shares, backoffs, probabilities, likeliest, highest)

    def _likeliest(
        self, lower: Level | None, keys: Ints, history: Ints, probabilities: Floats, backoffs: Floats
    ) -> tuple[Ints, Floats]:
        """The likeliest token after each history, and its probability.

        It was seen after the history, or is the likeliest after the shorter one: of what was not seen nothing is
        likelier than γ times that.
        """
        if lower is None:
            token = np.zeros(1, dtype=np.int64)
            highest = np.full(1, backoffs[0] / self.vocab_size)
        else:
            token = lower.likeliest[lower.suffixes]
            highest = backoffs * lower.likeliest_probabilities[lower.suffixes]
        # Keys ascend, so each history's n-grams lie together.
        starts = np.flatnonzero(np.diff(history, prepend=-1))
        if not len(starts):
            return token, highest
        top = np.maximum.reduceat(probabilities, starts)
        is_top = probabilities == np.repeat(top, np.diff(starts, append=len(history)))
        at_top = np.flatnonzero(is_top)
        winners = at_top[np.flatnonzero(np.diff(history[at_top], prepend=-1))]
        seen = history[winners]
        better = top >= highest[seen]
        token[seen[better]] = keys[winners[better]] % self.vocab_size
        highest[seen[better]] = top[better]
        return token, highest


def discounts_of(counts: Ints) -> tuple[float, float, float]:
    """D1, D2, D3+ from the numbers of n-grams that occur once to four times (Chen and Goodman 1999).

    In a text too small for them a discount is no number, or takes nothing or all of a count: then it is half the count,
    ½, 1 or 1½.
    """
    n1, n2, n3, n4 = (int(n) for n in np.bincount(np.minimum(counts, 5), minlength=6)[1:5])
    y = n1 / (n1 + 2 * n2) if n1 else 0.0

    def discount(count: int, these: int, more: int) -> float:
        found = count - (count + 1) * y * more / these if these else 0.0
        return found if 0 < found < count else count / 2

    return discount(1, n1, n2), discount(2, n2, n3), discount(3, n3, n4)


def one_discount_of(counts: Ints) -> tuple[float, float, float]:
    """Y, the discount of Kneser-Ney, for every count; ½ where the text is too small for it."""
    n1, n2 = (int((counts == times).sum()) for times in (1, 2))
    y = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
    return y, y, y


def _distinct(ids: Ints, order: int, vocab_size: int) -> list[tuple[Ints, Ints, Ints]]:
    """Of each length from 1 to ``order``: the distinct n-grams' keys, their suffixes, how often they occur."""
    found: list[tuple[Ints, Ints, Ints]] = []
    keys = ids
    before: Ints | None = None  # the number of the (k−1)-gram that ends at each place where one can
    for _ in range(min(order, len(ids))):
        if before is not None:
            keys = before[:-1] * vocab_size + ids[len(ids) - len(before) + 1 :]
        distinct, first, number, occurrences = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        suffixes = np.zeros(len(distinct), dtype=np.int64) if before is None else before[1:][first]
        found.append((distinct, suffixes, occurrences))
        before = number
    return found


def _find(keys: Ints, wanted: Ints, possible: NDArray[np.bool_]) -> Ints:
    """Where each wanted key stands in ascending ``keys``; ``NOT_SEEN`` for what is not there or not possible."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(possible & (keys[place] == wanted), place, NOT_SEEN)


def _mixed(level: Level, number: Ints, history: Ints, below: Floats | float) -> Floats:
    """p_k from p_{k−1}: the n-gram's share, if it was seen, and what its history leaves to the lower order."""
    shares = np.where(number == NOT_SEEN, 0.0, level.shares[number])
    mixed: Floats = shares + level.backoffs[history] * below
    return mixed
