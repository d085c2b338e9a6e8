"""The n-gram model against one that is written with dictionaries and loops, and against sums done by hand."""

import time

import numpy as np
import pytest
from kneser_ney import Slow

from cvfp_cli.core.baselines.ngram import KneserNey, discounts_of

VOCAB = 9


def text(seed: int, tokens: int, vocab: int = VOCAB) -> np.ndarray:
    """A stream in which what comes next depends on the last two tokens, some of them far likelier than others."""
    draw = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocab)
    order = draw.permuted(np.tile(np.arange(vocab - 1), (vocab * vocab, 1)), axis=1)
    found = [0, 1]
    for _ in range(tokens - 2):
        ranked = order[found[-1] + vocab * found[-2]]
        found.append(int(ranked[draw.choice(vocab - 1, p=weights / weights.sum())]))
    return np.array(found)


@pytest.mark.parametrize("order", range(1, 7))
@pytest.mark.parametrize("tokens", [2, 3, 7, 300])
def test_the_slow_scorer_agrees(order: int, tokens: int) -> None:
    train, validation = text(1, tokens), text(1, 60) if tokens > 100 else text(2, 60)
    validation[20] = VOCAB - 1  # never seen in training
    order = min(order, tokens)
    slow = Slow(train.tolist(), order, VOCAB)
    scores = KneserNey(train, order, VOCAB).score(validation)
    np.testing.assert_allclose(scores.log_probabilities, slow.score(validation.tolist()), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_sum_to_one_and_the_likeliest_is_found(order: int) -> None:
    train = text(3, 200)
    model, slow = KneserNey(train, order, VOCAB), Slow(train.tolist(), order, VOCAB)
    histories = [train[i : i + 5] for i in (0, 50, 100)] + [
        np.array([8, 8, 8, 8, 8]),
        np.array([1, 8, 0, 1, 2]),
    ]
    for history in histories:
        scored = [model.score(np.append(history, token)) for token in range(VOCAB)]
        probabilities = np.exp([each.log_probabilities[-1] for each in scored])
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)
        right = {token for token, each in enumerate(scored) if each.correct[-1]}
        assert len(right) == 1
        assert right <= slow.likeliest(tuple(history[len(history) - order + 1 :].tolist()))


def test_a_corpus_by_hand() -> None:
    """a b a b a c: bigrams ab 2, ba 2, ac 1; before a: {b}, before b: {a}, before c: {a}; V = 4."""
    a, b, c, d = range(4)
    model = KneserNey(np.array([a, b, a, b, a, c]), 2, 4)
    # Bigrams: n1 = 1, n2 = 2: Y = 1/5, D1 = 1 − 2/5·2 = 1/5; D2 = 2 − 0 takes all, so it is 1; no n3, so D3+ is 1½.
    # Unigrams by what stands before: 1, 1, 1: no n2, so D1 is ½.
    assert model.levels[1].discounts == pytest.approx((1 / 5, 1, 3 / 2))
    assert model.levels[0].discounts == pytest.approx((1 / 2, 1, 3 / 2))
    # p(a) = p(b) = p(c) = (1 − ½)/3 + (3·½/3)·¼ = 7/24; p(d) = ½·¼ = 1/8.
    # After a: γ = (1·1 + 1/5·1)/3 = 2/5; p(b | a) = (2 − 1)/3 + γ·7/24, p(c | a) = (1 − 1/5)/3 + γ·7/24.
    # After b: p(a | b) = (2 − 1)/2 + 1/2·7/24. Nothing follows c or d.
    scores = model.score(np.array([a, b, a, c, d, a]))
    expected = [1 / 3 + 0.4 * 7 / 24, 1 / 2 + 7 / 48, 0.8 / 3 + 0.4 * 7 / 24, 1 / 8, 7 / 24]
    np.testing.assert_allclose(np.exp(scores.log_probabilities), expected, rtol=1e-14)
    assert scores.correct.tolist()[:3] == [True, True, False]  # after a, b is likeliest


def test_discounts_are_the_formulas() -> None:
    counts = np.repeat([1, 2, 3, 4, 5], [40, 12, 6, 3, 2])
    y = 40 / (40 + 24)
    assert discounts_of(counts) == pytest.approx((1 - 2 * y * 12 / 40, 2 - 3 * y * 6 / 12, 3 - 4 * y * 3 / 6))


def test_no_time_is_lost_on_tokens() -> None:
    """1.8 million tokens take seconds; a loop over them would take minutes."""
    ids = np.random.default_rng(1).zipf(1.3, 200_000) % 50_000
    began = time.perf_counter()
    KneserNey(ids, 6, 50_257).score(ids[:20_000])
    assert time.perf_counter() - began < 10
