"""Estimates on other scales, means and correlations, against scipy and by hand."""

from math import exp, log

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.comparison import Curve, within_curves
from cvfp_cli.stats.estimate import Estimate, relative_change
from cvfp_cli.stats.regression import correlation, determined


def test_an_increasing_function_carries_the_interval_and_the_test_along() -> None:
    shift = Estimate(0.1, -0.2, None, se=0.15, p_value=0.4)
    ratio = shift.map(exp)
    assert (ratio.value, ratio.low, ratio.high) == (exp(0.1), exp(-0.2), None)
    assert (ratio.se, ratio.p_value) == (None, 0.4)


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
    curves = [Curve("a", (1, 2), (1.0, 3.0), (5.0, 4.0)), Curve("b", (1,), (9.0,), (2.0,))]
    assert within_curves(curves) == [(-1.0, 0.5), (1.0, -0.5), (0.0, 0.0)]
