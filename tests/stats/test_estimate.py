"""Estimates on other scales, means and correlations, against scipy and by hand."""

from math import exp, inf, log

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.comparison import Curve, not_told_above, within_curves
from cvfp_cli.stats.estimate import Estimate, relative_change
from cvfp_cli.stats.noise import StandardErrors, as_low_as_best
from cvfp_cli.stats.regression import correlation, determined, mean_of


def test_an_increasing_function_carries_the_interval_and_the_test_along() -> None:
    shift = Estimate(0.1, -0.2, None, se=0.15, p_value=0.4)
    ratio = shift.map(exp)
    assert (ratio.value, ratio.low, ratio.high) == (exp(0.1), exp(-0.2), None)
    assert (ratio.se, ratio.p_value) == (None, 0.4)


def test_the_magnitude_of_an_interval_across_zero_starts_at_zero() -> None:
    assert Estimate(1.0, -2.0, 5.0).magnitude() == (0.0, 5.0)
    assert Estimate(-3.0, -4.0, -2.0).magnitude() == (2.0, 4.0)
    assert Estimate(1.0, None, 5.0).magnitude() is None


def test_a_relative_change_by_hand() -> None:
    # ln 2 +- 0.1 against ln 1 +- 0.2: the ends lie root(0.1^2 + 0.2^2) away.
    first = Estimate(1.0, exp(-0.2), exp(0.2))
    second = Estimate(2.0, 2 * exp(-0.1), 2 * exp(0.1))
    change = relative_change(first, second)
    wide = (0.1**2 + 0.2**2) ** 0.5
    assert change.value == pytest.approx(1.0)
    assert change.low == pytest.approx(exp(log(2) - wide) - 1)
    assert change.high == pytest.approx(exp(log(2) + wide) - 1)
    assert relative_change(Estimate(-1.0, -2.0, -0.5), Estimate(1.0, 0.5, 2.0)) == Estimate(-2.0)
    assert relative_change(Estimate(0.0), Estimate(1.0)) == Estimate(None)


def test_a_mean_has_the_t_interval_of_scipy() -> None:
    values = [0.3, 0.5, 0.1, 0.9]
    mean = mean_of(values, 0.9)
    low, high = stats.t.interval(0.9, 3, np.mean(values), stats.sem(values))
    assert (mean.value, mean.low, mean.high) == pytest.approx((np.mean(values), low, high))
    assert mean_of([0.4], 0.9) == Estimate(0.4)


def test_a_correlation_has_the_fisher_interval_of_scipy() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal(12)
    y = 0.5 * x + rng.standard_normal(12)
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    found = correlation(points, 0.9)
    theirs = stats.pearsonr(x, y)
    ends = theirs.confidence_interval(0.9)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((theirs.statistic, ends.low, ends.high))
    less = correlation(points, 0.9, means=4)
    assert less is not None
    assert less.low < found.low < found.high < less.high
    assert correlation(points[:2]) is None
    assert correlation([(1.0, 2.0), (1.0, 3.0), (1.0, 5.0)]) is None


def test_columns_that_determine_one_another_have_no_fit() -> None:
    assert determined([[1, 0], [1, 1], [1, 2]], [1.0, 2.0, 3.1], names=("a", "b"), level=0.95) is not None
    assert determined([[1, 0], [1, 1]], [1.0, 2.0], names=("a", "b"), level=0.95) is None
    assert determined([[1, 2], [1, 2], [1, 2]], [1.0, 2.0, 3.0], names=("a", "b"), level=0.95) is None


def test_curves_are_centred_on_their_own_means() -> None:
    curves = [Curve("a", (1, 2), (1.0, 3.0), (5.0, 4.0), (1, 1)), Curve("b", (1,), (9.0,), (2.0,), (1,))]
    assert within_curves(curves) == [(-1.0, 0.5), (1.0, -0.5), (0.0, 0.0)]


def test_lines_far_above_the_best_are_told_from_it_and_one_beside_it_is_not() -> None:
    sizes, x = (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0)
    wave = (0.01, -0.01, -0.01, 0.01)

    def curve(label: str, level: float, sign: float) -> Curve:
        y = tuple(level - at + sign * bump for at, bump in zip(x, wave, strict=True))
        return Curve(label, sizes, x, y, (1, 1, 1, 1))

    curves = [curve("best", 5.0, 1), curve("beside", 5.001, -1), curve("above", 6.0, 1)]
    assert not_told_above(curves, 0, exp(4.5), None, 0.95) == ("beside",)


def test_the_noise_of_means_is_that_of_independent_figures() -> None:
    noise = StandardErrors("seeds", 8, np.array([0.4, 0.2, 0.9]))
    assert noise.of_means([[0, 1], [2]]).variance == pytest.approx([0.6 / 4, 0.9])


def test_which_figures_are_as_low_as_the_best() -> None:
    noise = StandardErrors("seeds", inf, np.full(3, 0.5))  # a difference has the standard error 1
    # p of 1.9 is 0.057, of 4 is 0.00006; Holm over three pairs changes neither verdict.
    assert as_low_as_best([0.0, 1.9, 4.0], noise) == (True, True, False)
    assert as_low_as_best([0.0, None, 4.0], noise) == (True, False, False)
    assert as_low_as_best([0.0, 4.0], None) == (False, False)
