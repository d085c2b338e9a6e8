"""The best against the rest: how often it errs, how often it finds; equivalence; power."""

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.best import best_of, best_of_differences, equivalence_p_values, needed_to_decide, t_power
from cvfp_cli.stats.contrasts import holm
from cvfp_cli.stats.error_model import fit_error_model
from cvfp_cli.stats.labels import Labels

SETS = 2000


def draws(rng, means, sizes):
    """Estimates and residual variance of ``means`` over sizes: (sets, g), (sets,) and the df of the interaction."""
    y = means + rng.standard_normal((SETS, sizes, len(means)))
    within = (
        y - y.mean(axis=1, keepdims=True) - y.mean(axis=2, keepdims=True) + y.mean(axis=(1, 2), keepdims=True)
    )
    df = (sizes - 1) * (len(means) - 1)
    return y.mean(axis=1), np.sum(within**2, axis=(1, 2)) / df, df


@pytest.mark.parametrize(
    "means", [[0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0, 9.0], [0.0] * 9, [0.0, 0.3, 0.3, 0.3]], ids=str
)
def test_false_stars_are_rare(means):
    """A false star names one that is not the best, or one of several equal best."""
    rng = np.random.default_rng(0)
    estimates, variances, df = draws(rng, np.array(means), 5)
    right = 0 if means.count(0.0) == 1 else -1
    found = [best_of(e, np.eye(len(e)) * s / 5, df) for e, s in zip(estimates, variances, strict=True)]
    assert np.mean([best.decided and best.best != right for best in found]) < 0.066


@pytest.mark.parametrize("seed", range(4))
def test_false_stars_are_rare_whatever_the_covariance(seed):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(4, 4)) * rng.uniform(0.2, 3.0, 4)
    covariance = half @ half.T
    estimates = rng.multivariate_normal(np.zeros(4), covariance, size=SETS)
    scale = rng.chisquare(10, SETS) / 10
    false = [best_of(e, s * covariance, 10).decided for e, s in zip(estimates, scale, strict=True)]
    assert np.mean(false) < 0.066


def test_the_best_is_found_where_all_pairs_miss_it():
    rng = np.random.default_rng(1)
    means = np.array([0.0] + [2.0] * 8)
    estimates, variances, df = draws(rng, means, 5)
    stars = pairs = 0
    for e, s in zip(estimates[:500], variances[:500], strict=True):
        stars += best_of(e, np.eye(9) * s / 5, df).decided
        t = (e[:, None] - e[None, :]) / np.sqrt(2 * s / 5)
        upper = np.triu_indices(9, 1)
        adjusted = np.zeros((9, 9))
        adjusted[upper] = holm(list(2 * stats.t.sf(np.abs(t[upper]), df)))
        adjusted += adjusted.T
        first = int(np.argmin(e))
        pairs += np.all(np.delete(adjusted[first], first) < 0.05)
    assert stars > 1.5 * pairs
    assert stars / 500 > 0.5


def test_candidates_hold_the_true_best():
    rng = np.random.default_rng(2)
    estimates, variances, df = draws(rng, np.array([0.0, 0.2, 1.0, 4.0]), 5)
    found = [best_of(e, np.eye(4) * s / 5, df) for e, s in zip(estimates, variances, strict=True)]
    assert np.mean([0 in best.candidates for best in found]) > 0.95
    assert np.mean([3 in best.candidates for best in found]) < 0.05
    assert all(best.best in best.candidates for best in found)


def test_it_is_a_t_test_for_two_and_needs_every_rival_beaten():
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    best = best_of([2.0, 0.0], covariance, 6)
    assert best.best == 1
    assert best.p_value == pytest.approx(2 * stats.t.sf(2.0 / np.sqrt(0.4), 6))
    assert best.decided
    three = best_of([0.0, 3.0, 9.0], np.diag([0.1, 4.0, 0.1]), 6)
    assert (three.best, three.rival, three.decided, three.candidates) == (0, 1, False, (0, 1))


def test_what_is_missing_takes_no_part():
    best = best_of([np.nan, 1.0, 0.0], np.eye(3) * 1e-4, 5)
    assert (best.best, best.rival, best.decided) == (2, 1, True)
    assert best_of([np.nan], [[1.0]], 5).best == -1
    assert best_of([1.0], [[1.0]], 5).candidates == (0,)
    unknown = best_of([0.0, 1.0], np.eye(2), 0)
    assert (unknown.p_value, unknown.decided, unknown.candidates) == (None, False, (0, 1))


def test_three_seeds_of_a_size_are_not_three_sizes():
    """Equal configurations that differ by 2 % from size to size, seeds by 1 %: false in 5 %, by runs alone in far more."""
    rng = np.random.default_rng(5)
    s, c, _ = (part.ravel() for part in np.meshgrid(np.arange(5), np.arange(4), np.arange(3), indexing="ij"))
    x = np.column_stack([np.equal.outer(c, np.arange(4)), s]).astype(float)
    inverse = np.linalg.pinv(x)
    false = {True: 0, False: 0}
    for _ in range(300):
        y = (
            rng.standard_normal(5)[s]
            + 0.02 * rng.standard_normal(20)[4 * s + c]
            + 0.01 * rng.standard_normal(60)
        )
        b = inverse @ y
        model = fit_error_model(y - x @ b, x, Labels.of(s, c))
        false[True] += best_of_differences(b[:4], model.differences(np.eye(4, 5))).decided
        two_way = y - np.array([y[s == i].mean() for i in range(5)])[s]
        two_way -= np.array([two_way[c == i].mean() for i in range(4)])[c]
        variance = two_way @ two_way / 52 / 15
        false[False] += best_of(b[:4], variance * np.eye(4), 52).decided
    assert false[True] / 300 < 0.09
    assert false[False] / 300 > 0.12


def test_equivalence_is_the_interval_within_the_margin():
    margin = np.log(1.02)
    d, se, df = np.array([0.0, 0.01, 0.03, -0.01]), 0.004, 12
    p = equivalence_p_values(d, np.full(4, se**2), df, margin)
    inside = np.abs(d) + stats.t.ppf(0.95, df) * se < margin
    assert (p < 0.05).tolist() == inside.tolist()
    assert p[1] == pytest.approx(p[3])
    assert np.isnan(equivalence_p_values([0.0], [1.0], 0, margin)[0])
    assert equivalence_p_values([0.0], [0.0], 3, margin)[0] == 0.0


def test_power_is_what_simulation_says():
    rng = np.random.default_rng(3)
    z = rng.standard_normal(200_000) + 2.5
    t = z / np.sqrt(rng.chisquare(8, 200_000) / 8)
    assert t_power(2.5, 1.0, 8) == pytest.approx(np.mean(np.abs(t) > stats.t.ppf(0.975, 8)), abs=0.005)
    assert t_power(0.0, 1.0, 8) == pytest.approx(0.05, abs=1e-6)
    assert t_power(100.0, 1.0, 8) == pytest.approx(1.0)
    assert t_power(1.0, 1.0, 0) == 0.0


def test_seeds_or_sizes_that_decide():
    noise = {"sizes": 5, "configurations": 4}
    by_seeds = needed_to_decide(0.01, cell_variance=0.0, seed_variance=1e-4, seeds=1, **noise)
    assert by_seeds.power < 0.8
    variance = 2e-4 / by_seeds.seeds / 5
    assert t_power(0.01, variance, 12) >= 0.8
    assert t_power(0.01, 2e-4 / (by_seeds.seeds - 1) / 5, 12) < 0.8
    # Where configurations differ from size to size, no seeds help, but sizes do.
    by_sizes = needed_to_decide(0.01, cell_variance=1e-4, seed_variance=1e-6, seeds=3, **noise)
    assert by_sizes.seeds is None
    assert by_sizes.sizes > 5
    done = needed_to_decide(1.0, cell_variance=1e-4, seed_variance=1e-4, seeds=2, **noise)
    assert (done.seeds, done.sizes) == (2, 5)
