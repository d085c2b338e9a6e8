"""Mixtures against draws from them, and against the limits that are known."""

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.mixture import akaike_weights, extrapolation, mix


def test_weights_are_akaikes():
    rss, k, m = np.array([2.0, 1.5, 1.4]), np.array([2, 3, 4]), 8
    aic = m * np.log(rss / m) + 2 * (k + 1)
    expected = np.exp(-0.5 * (aic - aic.min()))
    assert akaike_weights(rss, k, m) == pytest.approx(expected / expected.sum())
    # The unit of y does not matter.
    assert akaike_weights(1e-6 * rss, k, m) == pytest.approx(expected / expected.sum())


def test_laws_that_leave_rounding_weigh_by_their_parameters():
    """1e-30 is no better than 1e-13; the unit says what rounding is of."""
    by_k = np.exp(-np.array([2.0, 3.0, 4.0]))
    for rss, unit in (([4e-31, 1e-28, 0.0], 1.0), ([1e-13, 1e-20, 0.0], 1.0), ([1e-7, 1e-20, 0.0], 1e3)):
        assert akaike_weights(rss, [2, 3, 4], 6, unit=unit) == pytest.approx(by_k / by_k.sum())
    # One that misses by more than that has no weight, as before.
    assert akaike_weights([1e-4, 0.0], [2, 3], 6) == pytest.approx([0.0, 1.0])


def test_a_law_with_as_many_parameters_as_sizes_takes_no_part_and_leaves_the_next():
    assert akaike_weights([2.0, 1.5, 0.0], [2, 3, 4], 4).tolist() == [0.0, 1.0, 0.0]
    assert akaike_weights([1.0, 1.0, 0.0], [2, 3, 3], 3).tolist() == [1.0, 0.0, 0.0]
    assert akaike_weights([1.0, 1.0], [2, 3], 2).tolist() == [0.0, 0.0]


def test_a_law_that_failed_takes_no_part():
    assert akaike_weights([np.nan, 1.0], [2, 3], 5).tolist() == [0.0, 1.0]
    assert akaike_weights([0.0, 1.0], [2, 3], 5) == pytest.approx([1.0, 0.0])


def test_one_law_keeps_its_interval():
    found = mix([[1.0, 5.0]], [[0.5, -np.inf]], [[2.0, 6.0]], [4.0], [1.0])
    assert found.value == pytest.approx([1.0, 5.0])
    assert found.low == pytest.approx([0.5, -np.inf])
    assert found.high == pytest.approx([2.0, 6.0])
    assert found.between[0] == pytest.approx(0.0, abs=1e-9)


def test_quantiles_are_those_of_draws():
    rng = np.random.default_rng(0)
    weights, df = np.array([0.5, 0.3, 0.2]), np.array([4.0, 3.0, 2.0])
    values, below, above = np.array([0.0, 1.0, 3.0]), np.array([0.3, 0.5, 1.0]), np.array([0.3, 1.0, 0.2])
    t = stats.t.ppf(0.975, df)
    found = mix(values[:, None], (values - t * below)[:, None], (values + t * above)[:, None], df, weights)
    law = rng.choice(3, 400_000, p=weights)
    z = stats.t.rvs(df[law], random_state=rng)
    draws = values[law] + z * np.where(z < 0, below[law], above[law])
    expected = np.quantile(draws, [0.025, 0.5, 0.975])
    assert [found.low[0], found.value[0], found.high[0]] == pytest.approx(expected, abs=0.04)
    assert 0.0 < found.between[0] < 1.0


def test_a_point_mass_is_an_end_where_it_weighs_enough():
    """An asymptote of 0 for sure with weight w, else 10 with an interval of 6 to 14."""
    for weight, low, value in ((0.7, 0.0, 0.0), (0.3, 0.0, None), (0.01, None, None)):
        found = mix([[0.0], [10.0]], [[0.0], [6.0]], [[0.0], [14.0]], [5.0, 5.0], [weight, 1.0 - weight])
        assert found.high[0] <= 14.0
        if low is not None:
            assert found.low[0] == pytest.approx(low, abs=1e-12)
        else:
            assert 5.0 < found.low[0] < 6.0
        if value is not None:
            assert found.value[0] == pytest.approx(value, abs=1e-12)
        else:
            assert 8.0 < found.value[0] < 10.0


def test_an_open_end_counts_by_its_weight():
    ends = [
        mix([[0.0], [0.0]], [[-1.0], [-np.inf]], [[1.0], [1.0]], [5.0, 5.0], [1.0 - w, w])
        for w in (0.04, 0.2)
    ]
    assert np.isfinite(ends[0].low[0])
    assert ends[0].low[0] < -1.0
    assert ends[1].low[0] == -np.inf
    assert ends[1].high[0] == pytest.approx(1.0)
    assert np.isnan(ends[1].between[0])


def test_a_law_without_weight_may_hold_anything():
    found = mix([[1.0], [np.nan]], [[0.0], [np.nan]], [[2.0], [np.nan]], [3.0, np.nan], [1.0, 0.0])
    assert found.high == pytest.approx([2.0])
    assert np.isnan(mix([[1.0]], [[0.0]], [[2.0]], [3.0], [0.0]).value[0])


def test_laws_that_disagree_widen_and_shifts_and_units_carry_over():
    values, low, high = np.array([[0.0], [4.0]]), np.array([[-1.0], [3.0]]), np.array([[1.0], [5.0]])
    found = mix(values, low, high, [6.0, 6.0], [0.5, 0.5])
    assert found.low[0] < -0.7
    assert found.high[0] > 4.7
    assert found.between[0] > 0.5
    moved = mix(3.0 * values + 1.0, 3.0 * low + 1.0, 3.0 * high + 1.0, [6.0, 6.0], [0.5, 0.5])
    assert moved.low == pytest.approx(3.0 * found.low + 1.0)


def test_distance_of_extrapolation():
    assert extrapolation([100.0, 1000.0, 10_000.0, 10.0], 100.0, 1000.0) == pytest.approx(
        [0.0, 0.0, 1.0, 1.0]
    )
    assert extrapolation([5.0, 6.0], 5.0, 5.0).tolist() == [0.0, np.inf]
