"""Modified Kneser-Ney as slow as it is written: dictionaries, loops, and the formulas of Chen and Goodman 1999.

p(w | h) = (c(h w) − D(c(h w))) / Σ_v c(h v) + γ(h) p(w | h'), where h' is h without its first token, c are
occurrences for the longest n-grams and the number of different tokens before them for the shorter ones,
γ(h) = (D1 N1(h •) + D2 N2(h •) + D3+ N3+(h •)) / Σ_v c(h v), Y = n1 / (n1 + 2 n2), D1 = 1 − 2 Y n2 / n1,
D2 = 2 − 3 Y n3 / n2, D3+ = 3 − 4 Y n4 / n3. Below the unigrams is 1 / V.
"""

import math
from collections import Counter
from collections.abc import Sequence


def counts_of(ids: Sequence[int], order: int) -> dict[int, Counter[tuple[int, ...]]]:
    """c of every n-gram, by its length."""
    grams = {k: Counter(tuple(ids[i : i + k]) for i in range(len(ids) - k + 1)) for k in range(1, order + 1)}
    found = {order: grams[order]}
    for k in range(1, order):
        befores: dict[tuple[int, ...], set[int]] = {gram: set() for gram in grams[k]}
        for longer in grams[k + 1]:
            befores[longer[1:]].add(longer[0])
        found[k] = Counter({gram: len(tokens) for gram, tokens in befores.items()})
    return found


def discounts_of(counts: Counter[tuple[int, ...]]) -> list[float]:
    """D1, D2, D3+; half the count where the text is too small for one."""
    n = [sum(count == times for count in counts.values()) for times in range(5)]
    if not n[1]:
        return [0.5, 2 / 2, 3 / 2]
    y = n[1] / (n[1] + 2 * n[2])
    found = []
    for times in (1, 2, 3):
        d = times - (times + 1) * y * n[times + 1] / n[times] if n[times] else times
        found.append(d if 0 < d < times else times / 2)
    return found


class Slow:
    def __init__(self, ids: Sequence[int], order: int, vocab_size: int) -> None:
        self.order, self.vocab_size = order, vocab_size
        self.counts = counts_of(ids, order)
        self.discounts = {k: discounts_of(self.counts[k]) for k in self.counts}

    def probability(self, history: tuple[int, ...], token: int) -> float:
        """p(token | history), of a history of at most n − 1 tokens."""
        k = len(history) + 1
        lower = self.probability(history[1:], token) if history else 1 / self.vocab_size
        after = {gram[-1]: c for gram, c in self.counts[k].items() if gram[:-1] == history and c}
        total = sum(after.values())
        if not total:
            return lower

        def taken(count: int) -> float:
            return self.discounts[k][min(count, 3) - 1]

        gamma = sum(taken(count) for count in after.values()) / total
        own = after.get(token, 0)
        return (own - taken(own) if own else 0.0) / total + gamma * lower

    def score(self, ids: Sequence[int]) -> list[float]:
        """ln p of every token but the first."""
        return [
            math.log(self.probability(tuple(ids[max(0, t - self.order + 1) : t]), ids[t]))
            for t in range(1, len(ids))
        ]

    def likeliest(self, history: tuple[int, ...]) -> set[int]:
        """The tokens that are likeliest after a history, up to rounding."""
        every = [self.probability(history, token) for token in range(self.vocab_size)]
        return {token for token, p in enumerate(every) if p >= max(every) * (1 - 1e-12)}
