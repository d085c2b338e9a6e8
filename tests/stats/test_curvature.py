"""The test of curvature: its size, its power, its three verdicts."""

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.curvature import (
    CURVED,
    NOT_DECIDED,
    STRAIGHT,
    curvature,
)
from cvfp_cli.stats.labels import Labels


def doubling(m, seeds=1):
    return np.repeat(np.log(6e4) + np.log(2.0) * np.arange(m), seeds)


def test_it_is_the_f_test_of_a_quadratic_term():
    rng = np.random.default_rng(0)
    x = doubling(7)
    y = -0.4 * x + 0.02 * rng.standard_normal(7)
    squares = [np.sum((y - np.polyval(np.polyfit(x - x[3], y, degree), x - x[3])) ** 2) for degree in (1, 2)]
    f = (squares[0] - squares[1]) / (squares[1] / 4)
    assert curvature(x, y).p_value == pytest.approx(stats.f.sf(f, 1, 4))


@pytest.mark.parametrize("y", [lambda x: 4.0 - 0.3 * x, lambda x: 0.0 * x + np.log(50.0)])
def test_rounding_does_not_bend_a_line(y):
    found = curvature(doubling(6), y(doubling(6)))
    assert found.verdict != CURVED
    assert found.p_value == pytest.approx(1.0, abs=1e-3)
    assert 1e-7 < found.high < 1e-4


def test_the_change_is_that_of_the_slope():
    x = doubling(6)
    found = curvature(x, 3.0 - 0.5 * x + 0.01 * (x - x[0]) ** 2)
    assert found.change == pytest.approx(0.02 * (x[-1] - x[0]))
    assert found.verdict == CURVED
    # Another unit of n or y changes nothing.
    other = curvature(x + 5.0, 7.0 - 0.5 * x + 0.01 * (x - x[0]) ** 2)
    assert other.change == pytest.approx(found.change)


@pytest.mark.parametrize("m", [4, 6, 9])
def test_false_curves_come_as_often_as_they_may(m):
    """800 straight lines: 5 % within three standard errors."""
    rng = np.random.default_rng(m)
    x = doubling(m)
    share = np.mean(
        [curvature(x, -0.4 * x + 0.02 * rng.standard_normal(m)).verdict == CURVED for _ in range(800)]
    )
    assert 0.027 < share < 0.073


def test_verdicts_of_little_and_of_much_data():
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(12)
    x = doubling(12)
    assert curvature(x, -0.4 * x + 0.002 * noise).verdict == STRAIGHT
    assert curvature(x, -0.4 * x + 0.2 * noise).verdict == NOT_DECIDED
    few = curvature(x[:3], [3.0, 2.0, 1.5])
    assert (few.verdict, few.p_value, few.low) == (NOT_DECIDED, None, None)
    assert curvature(x[:2], [3.0, 2.0]).verdict == NOT_DECIDED


def test_seeds_do_not_count_as_sizes():
    """Five sizes that each miss the line, three seeds that repeat the miss: 5 % still, where runs alone say far more."""
    rng = np.random.default_rng(3)
    x = doubling(5, seeds=3)
    size = np.repeat(np.arange(5), 3)
    shares = {True: 0, False: 0}
    for _ in range(200):
        y = -0.4 * x + 0.03 * rng.standard_normal(5)[size] + 0.006 * rng.standard_normal(15)
        for told in shares:
            found = curvature(x, y, Labels.of(size) if told else None)
            shares[told] += found.verdict == CURVED
    assert shares[True] / 200 < 0.11
    assert shares[False] / 200 > 0.3
    assert curvature(x[:9], rng.standard_normal(9), Labels.of(size[:9])).p_value is None


def test_weights_keep_imprecise_sizes_from_bending_a_line():
    """Two sizes of eight known fifty times worse: false bends stood in 23 % of tables, the closed form says 5 %."""
    x = doubling(8)
    sd = np.where(np.arange(8) < 2, 0.05, 0.001)
    root = 1.0 / sd
    u = (x - x[0]) / np.ptp(x)
    design = np.column_stack([np.ones(8), u, u * (u - 1.0)]) * root[:, None]
    spread = np.linalg.inv(design.T @ design)[2, 2]
    false = 0
    for seed in range(200):
        y = -0.4 * x + sd * np.random.default_rng(seed).standard_normal(8)
        found = curvature(x, y, weight=1.0 / sd**2 * 1e-6)
        b = np.linalg.lstsq(design, y * root, rcond=None)[0]
        left = y * root - design @ b
        t = b[2] / np.sqrt(left @ left / 5 * spread)
        assert found.p_value == pytest.approx(2 * stats.t.sf(abs(t), 5), abs=1e-5)
        assert found.slope == pytest.approx(-0.4, abs=0.02)
        false += found.verdict == CURVED
    assert false <= 20
