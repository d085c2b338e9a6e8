"""Effective rank against singular values, standard errors against simulation, the unigram by hand."""

import math

import numpy as np
import pytest
import torch
from core_cases import Golden, agree
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.core.metrics import (
    clustered_standard_error,
    effective_rank,
    gram_matrix,
    perplexity,
    sample_sums,
    unigram_log_probabilities,
)


def test_golden_effective_rank(golden_trained: Golden) -> None:
    contexts = golden_trained.tensors["phase1.final_contexts"]
    rank = effective_rank(gram_matrix([contexts]))
    assert rank is not None
    agree(rank * contexts.shape[1], golden_trained.figures["effective_rank"]["value"])


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**31))
def test_effective_rank_is_that_of_the_singular_values(rows: int, width: int, seed: int) -> None:
    contexts = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    singular = torch.linalg.svdvals(contexts)
    share = singular / singular.sum()
    wanted = math.exp(-float((share * share.log()).sum())) / width
    assert effective_rank(gram_matrix([contexts])) == pytest.approx(wanted, rel=1e-5)


def test_effective_rank_at_its_ends() -> None:
    assert effective_rank(gram_matrix([torch.eye(8)])) == pytest.approx(1.0)
    assert effective_rank(gram_matrix([torch.ones(20, 8)])) == pytest.approx(1 / 8, rel=1e-5)
    assert effective_rank(gram_matrix([torch.zeros(20, 8)])) is None
    assert effective_rank(gram_matrix([torch.full((2, 8), math.nan)])) is None


def test_gram_matrix_is_the_sum_over_pieces() -> None:
    contexts = torch.randn(50, 4, dtype=torch.float64)
    torch.testing.assert_close(gram_matrix(contexts.split(7)), contexts.t() @ contexts)


def test_unigram_is_smoothed_by_a_tenth_of_a_count() -> None:
    logs = unigram_log_probabilities(np.array([0, 0, 2]), 4)
    np.testing.assert_allclose(np.exp(logs), np.array([2.1, 0.1, 1.1, 0.1]) / 3.4)


def test_sample_sums_give_each_target_to_the_sample_that_holds_it() -> None:
    """Tokens 0–2, 3, 4–6: targets are tokens 1 … 6."""
    values = np.array([1.0, 2.0, 10.0, 100.0, 200.0, 400.0])
    np.testing.assert_allclose(sample_sums(values, np.array([0, 3, 4, 7])), [3.0, 10.0, 700.0])


def test_clustered_error_matches_the_spread_of_simulated_means() -> None:
    """Clusters of unequal size with a common shift: the naive error would be far too small."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(20, 200, 60)
    means, errors = [], []
    for _ in range(400):
        shifts = generator.normal(0, 1.0, len(sizes))
        sums = np.array(
            [n * s + generator.normal(0, math.sqrt(n)) for n, s in zip(sizes, shifts, strict=True)]
        )
        means.append(sums.sum() / sizes.sum())
        errors.append(clustered_standard_error(sums, sizes.astype(float)))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_clustered_error_needs_two_clusters() -> None:
    assert clustered_standard_error(np.array([3.0]), np.array([2.0])) is None
    assert clustered_standard_error(np.array([3.0, 0.0]), np.array([2.0, 0.0])) is None


def test_perplexity_that_no_float_holds_is_none() -> None:
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert perplexity(1e6) is None
    assert perplexity(math.nan) is None
