"""Tests of configurations that need not have one variance."""

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.comparison import Curve, after_joint, compare_pairs, joint_test, unequal_tests
from cvfp_cli.stats.unequal import unequal_test, variance_stands_out


def curves(rng, count, sizes, noisy=1.0, tilt=0.0):
    x = np.log(2.0) * np.arange(sizes)
    shared = rng.normal(0, 0.1, sizes)
    made = []
    for i in range(count):
        y = 5 - (0.5 + tilt * (i == count - 1)) * x + shared
        y = y + (noisy if i == 0 else 1.0) * rng.normal(0, 0.01, sizes)
        made.append(Curve(f"c{i}", tuple(range(sizes)), tuple(x), tuple(y)))
    return made


@pytest.mark.parametrize(("count", "sizes"), [(4, 6), (9, 6)])
def test_equal_configurations_are_kept_where_one_is_four_times_noisier(count, sizes):
    rng = np.random.default_rng(0)
    pooled, fair = [], []
    for _ in range(300):
        made = curves(rng, count, sizes, noisy=4.0)
        joint, held = joint_test(made), unequal_tests(made)
        pooled.append(joint.slopes.p_value < 0.05)
        fair.append([held.slopes.p_value < 0.05, held.levels.p_value < 0.05])
    assert np.mean(pooled) > 0.08
    assert np.mean(fair, axis=0).max() < 0.09


def test_a_noisy_configuration_whose_residuals_happen_to_be_small_is_not_a_finding():
    """Box's correction by the residuals alone rejects 8 to 9 % of these; sets are of lines' slopes themselves."""
    rng = np.random.default_rng(5)
    rejected = [unequal_tests(curves(rng, 9, 4, noisy=6.0)).slopes.p_value < 0.05 for _ in range(800)]
    assert np.mean(rejected) < 0.072


def test_no_pair_is_surer_to_differ_than_all_together():
    made = curves(np.random.default_rng(6), 4, 5, noisy=3.0)
    fair = unequal_tests(made)
    pairs = compare_pairs(made, joint_test(made))
    after = after_joint(pairs, fair)
    assert min(pair.slope_holm for pair in after) >= fair.slopes.p_value
    assert all(one.slope_holm >= other.slope_holm for one, other in zip(after, pairs, strict=True))
    assert after_joint(pairs, None) == pairs


def test_slopes_that_differ_are_still_found():
    rng = np.random.default_rng(1)
    found = [unequal_tests(curves(rng, 9, 6, tilt=0.03)).slopes.p_value < 0.05 for _ in range(60)]
    assert np.mean(found) > 0.85


def test_the_statistic_of_a_balanced_table_is_the_pooled_one():
    """Box's correction changes the degrees of freedom alone where every configuration has all sizes."""
    rng = np.random.default_rng(2)
    made = curves(rng, 4, 6)
    joint, fair = joint_test(made), unequal_tests(made)
    assert not fair.stands_out
    for pooled, own in ((joint.slopes, fair.slopes), (joint.levels, fair.levels)):
        assert own.statistic == pytest.approx(pooled.statistic)
        assert own.df1 < pooled.df1
        assert own.df2 < pooled.df2
        assert own.p_value == pytest.approx(stats.f.sf(own.statistic, own.df1, own.df2))


def test_two_configurations_are_the_t_test_of_their_differences():
    rng = np.random.default_rng(3)
    one, other = made = curves(rng, 2, 6)
    line = stats.linregress(one.x, np.array(other.y) - np.array(one.y))
    assert unequal_tests(made).slopes.p_value == pytest.approx(line.pvalue)


def test_cochrans_share_by_simulation():
    rng = np.random.default_rng(4)
    squares = rng.chisquare(4, (4000, 6))
    flagged = np.mean([variance_stands_out(row, np.full(6, 4.0)) for row in squares])
    assert 0.08 < flagged < 0.12
    assert variance_stands_out([100.0, 1.0, 1.0, 1.0], np.full(4, 4.0))
    assert not variance_stands_out([100.0, 1.0], np.full(2, 4.0))


def test_without_freedom_or_residuals_there_is_no_test():
    rows = np.array([0, 0, 1, 1])
    levels = np.equal.outer(rows, [0, 1]).astype(float)
    one = np.ones((4, 1))
    assert unequal_test(levels, levels, [1.0, 2.0, 3.0, 4.0], rows) is None
    assert unequal_test(one, levels, [1.0, 1.0, 3.0, 3.0], rows) is None
    assert unequal_test(one, levels, [1.0, 1.1, 3.0, 3.3], rows) is not None
