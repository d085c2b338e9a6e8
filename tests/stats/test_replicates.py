"""What the means of sizes say of a law, against the likelihood that it is."""

import numpy as np
import pytest
from scipy import optimize

from cvfp_cli.stats.replicates import size_means


def best_likelihood(residuals: np.ndarray, sizes: int, seeds: int) -> float:
    """-2 ln of the largest likelihood of normal errors of sizes and of seeds, by a general optimiser."""
    block = np.ones((seeds, seeds))

    def minus_two_log(logs: np.ndarray) -> float:
        own, seed = np.exp(logs)
        covariance = own * block + seed * np.eye(seeds)
        inverse, logdet = np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]
        rows = residuals.reshape(sizes, seeds)
        return float(sizes * logdet + np.einsum("gi,ij,gj->", rows, inverse, rows))

    starts = [(a, b) for a in (-20.0, -8.0, -2.0) for b in (-8.0, -2.0)]
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}
    return min(
        optimize.minimize(minus_two_log, start, method="Nelder-Mead", options=options).fun for start in starts
    )


@pytest.mark.parametrize(("near", "far"), [(0.3, 0.5), (0.05, 0.4), (0.02, 0.04)])
def test_laws_are_told_apart_as_the_likelihood_of_sizes_and_seeds_tells_them(near: float, far: float) -> None:
    """Two laws that miss the means by more or less than the seeds' scatter explains."""
    sizes, seeds = 6, 3
    rng = np.random.default_rng(1)
    size, weight = np.repeat(np.arange(sizes), seeds), np.ones(sizes * seeds)
    scatter = 0.3 * rng.standard_normal((sizes, seeds))
    scatter = (scatter - scatter.mean(axis=1, keepdims=True)).ravel()
    misses = np.repeat(rng.standard_normal(sizes), seeds)
    scores, expected = [], []
    for scale in (near, far):
        r = scale * misses + scatter
        scores.append(sizes * np.log(size_means(r, r, weight, size).evidence("log")))
        expected.append(best_likelihood(r, sizes, seeds))
    assert scores[1] - scores[0] == pytest.approx(expected[1] - expected[0], abs=1e-4)


def test_one_run_a_size_is_its_own_mean() -> None:
    r = np.array([0.3, -0.2, 0.1])
    weight = np.array([1.0, 2.0, 0.5])
    means = size_means(2.0 * r, r, weight, np.array([0, 3, 7]))
    assert (means.sizes, means.within_log) == (3, 0.0)
    assert means.rss_log == means.evidence("log") == float(weight * r @ r)
    assert means.rss("ppl") == pytest.approx(4.0 * means.rss_log)
