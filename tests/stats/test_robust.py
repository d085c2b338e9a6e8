"""The test of unequal variance against simulation, outliers."""

import numpy as np
import pytest

from cvfp_cli.stats.robust import (
    OUTLIER,
    outliers,
    strays,
    variance_test,
)
from cvfp_cli.stats.rounding import ROUNDING


def line(m):
    return np.column_stack([np.ones(m), np.log(2.0) * np.arange(m)])


def residual(x, y):
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]


def test_p_values_of_the_test_are_uniform():
    rng = np.random.default_rng(3)
    x = line(6)
    p = [variance_test(residual(x, rng.standard_normal(6)), x, x[:, 1]).p_value for _ in range(3000)]
    for level in (0.05, 0.2, 0.5, 0.9):
        assert np.mean(np.array(p) < level) == pytest.approx(
            level, abs=4 * np.sqrt(level * (1 - level) / 3000)
        )


def test_the_test_finds_a_rise_and_a_fall():
    rng = np.random.default_rng(4)
    x = line(40)
    rising = residual(x, np.exp(0.1 * x[:, 1]) * rng.standard_normal(40))
    found = variance_test(rising, x, x[:, 1])
    assert found.p_value < 0.01
    assert found.rises
    flipped = variance_test(rising[::-1], x[::-1] * [1.0, -1.0] + [0.0, x[-1, 1]], x[:, 1])
    assert flipped.p_value < 0.01
    assert not flipped.rises
    assert variance_test(np.zeros(40), x, x[:, 1]).p_value is None
    assert variance_test([1.0, -2.0, 1.0], line(3), line(3)[:, 1]).p_value is None


def test_outliers_stand_out_and_normal_errors_do_not():
    rng = np.random.default_rng(5)
    x = line(30)
    y = rng.standard_normal(30)
    assert not np.any(outliers(residual(x, y), x)[1])
    y[[3, 20]] += [60.0, -40.0]
    relative, flagged = outliers(residual(x, y), x)
    assert np.flatnonzero(flagged).tolist() == [3, 20]
    assert relative[3] > OUTLIER
    assert not np.any(outliers([1.0, -2.0, 1.0, 50.0], line(4))[1])


def test_false_outliers_are_rare():
    rng = np.random.default_rng(6)
    for m in (7, 12, 60):
        x = line(m)
        share = np.mean([np.any(outliers(residual(x, rng.standard_normal(m)), x)[1]) for _ in range(1000)])
        assert share < 0.045


@pytest.mark.parametrize(("sizes", "bad"), [(10, (9,)), (10, (4,)), (10, (2, 9)), (20, (0, 1))])
def test_a_run_that_draws_the_curve_to_itself_is_found(sizes, bad):
    """40 % off where the noise is 2 %: among ten runs the median of the residuals does not show it."""
    rng = np.random.default_rng(11)
    x = line(sizes)
    found = 0
    for _ in range(100):
        y = 0.02 * rng.standard_normal(sizes)
        y[list(bad)] += np.log(1.4)
        found += set(np.flatnonzero(outliers(residual(x, y), x)[1])) == set(bad)
    assert found > 90


def test_a_hidden_run_is_as_far_off_as_the_others_say():
    """Its distance from the line through the other nine, in the standard deviations that they give it."""
    rng = np.random.default_rng(12)
    x = line(10)
    y = 0.02 * rng.standard_normal(10)
    y[9] += np.log(1.4)
    relative, flagged = outliers(residual(x, y), x)
    assert np.flatnonzero(flagged).tolist() == [9]
    b, (rss,), *_ = np.linalg.lstsq(x[:9], y[:9], rcond=None)
    error = np.sqrt(rss / 7 * (1.0 + x[9] @ np.linalg.inv(x[:9].T @ x[:9]) @ x[9]))
    assert relative[9] == pytest.approx((y[9] - x[9] @ b) / error)


@pytest.mark.parametrize(("sizes", "seeds"), [(6, 2), (10, 2), (6, 5)])
def test_runs_seldom_stray_from_their_size_by_chance(sizes, seeds):
    rng = np.random.default_rng(8)
    size = np.repeat(np.arange(sizes), seeds)
    draws = (rng.standard_normal(len(size)) for _ in range(500))
    assert np.mean([np.any(strays(r, np.ones(len(r)), size, r)[1]) for r in draws]) < 0.015


def test_a_stray_run_is_as_far_off_as_the_rest_of_its_size_says():
    rng = np.random.default_rng(9)
    size = np.repeat(np.arange(6), 3)
    r = 0.01 * rng.standard_normal(18)
    r[[4, 15]] += [0.3, -0.2]  # one would hide behind the other
    relative, flagged = strays(r, np.ones(18), size, r)
    assert np.flatnonzero(flagged).tolist() == [4, 15]
    kept = ~flagged
    means = np.array([r[kept & (size == g)].mean() for g in range(6)])
    s = np.sqrt(np.sum((r - means[size])[kept] ** 2) / (16 - 6))
    assert relative[4] == pytest.approx((r[4] - means[1]) / (s * np.sqrt(1.0 + 1.0 / 2.0)))
    assert relative[0] == 0.0


def test_of_two_runs_the_one_that_is_off_the_curve_strays():
    rng = np.random.default_rng(10)
    size = np.repeat(np.arange(8), 2)
    r = 0.01 * rng.standard_normal(16)
    r[5] -= 0.3
    away = r - 0.1  # as if the curve were drawn to it
    assert np.flatnonzero(strays(r, np.ones(16), size, away)[1]).tolist() == [5]
    assert np.flatnonzero(strays(r, np.ones(16), size, -0.3 - r)[1]).tolist() == [4]


def test_rounding_is_no_scale_to_stand_out_from():
    rng = np.random.default_rng(11)
    x = line(12)
    y = 1e-16 * rng.standard_normal(12)
    y[3] += 1e-13
    assert not np.any(outliers(residual(x, y), x)[1])
    assert not np.any(strays(y, np.ones(12), np.repeat(np.arange(4), 3), y)[1])
    y[3] = 1e-3
    relative, flagged = outliers(residual(x, y), x)
    assert np.flatnonzero(flagged).tolist() == [3]
    assert relative[3] < 1e-3 / ROUNDING
