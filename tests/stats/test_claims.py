"""Claims as tests: verdicts against t tests by hand, and their correction together."""

from math import log, sqrt

import pytest
from scipy import stats

from cvfp_cli.stats.claims import UNTESTED, Claim, does_not_fall, falls, smaller, times
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.regression import tested as estimate


def test_a_fall_is_the_t_test_of_scipy():
    claim = falls(estimate(-0.03, 0.01, 7, 0.95))
    assert claim.leaning == "supported"
    assert claim.p_value == pytest.approx(2 * stats.t.sf(3.0, 7))
    assert falls(estimate(0.03, 0.01, 7, 0.95)).leaning == "contradicted"
    assert falls(estimate(1e-12, 1e-20, 7, 0.95)).verdict(0.95) == "undecided"
    assert falls(Estimate(0.1)) == falls(None) == UNTESTED
    assert UNTESTED.verdict(0.95) == "untested"


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.0, "supported"),
        (-0.005, "supported"),
        (-0.012, "undecided"),
        (-0.05, "contradicted"),
        (0.05, "supported"),
    ],
)
def test_no_fall_by_more_than_the_margin(value, verdict):
    """With a standard error of 0.005 and many degrees of freedom, ends lie about 0.0098 away."""
    claim = does_not_fall(estimate(value, 0.005, 1000, 0.95), 0.02)
    if verdict == "undecided":
        # It falls beyond the error and not beyond the margin: the interval holds neither end alone.
        low, high = (value + sign * stats.t.ppf(0.975, 1000) * 0.005 for sign in (-1, 1))
        assert low < log(0.98) < high < 0
        assert claim.verdict(0.95) == "contradicted"
    else:
        assert claim.verdict(0.95) == verdict


def test_smaller_is_welchs_test_of_sizes_whatever_the_signs():
    a, b = estimate(0.1, 0.05, 6, 0.95), estimate(-0.4, 0.03, 3, 0.95)
    total = 0.05**2 + 0.03**2
    df = total**2 / (0.05**4 / 6 + 0.03**4 / 3)
    claim = smaller(a, b)
    assert claim.leaning == "supported"
    assert claim.p_value == pytest.approx(2 * stats.t.sf(0.3 / sqrt(total), df))
    assert smaller(b, a).leaning == "contradicted"
    assert smaller(Estimate(0.1), b) == UNTESTED


def test_a_correction_can_undo_a_verdict():
    claim = Claim("supported", 0.02)
    assert claim.verdict(0.95) == "supported"
    assert claim.corrected(0.06).verdict(0.95) == "undecided"


def test_another_unit_keeps_the_test():
    twice = times(estimate(-0.03, 0.01, 7, 0.95), 2.0)
    assert (twice.known, twice.se) == pytest.approx((-0.06, 0.02))
    assert falls(twice).p_value == pytest.approx(2 * stats.t.sf(3.0, 7))
