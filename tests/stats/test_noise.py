"""Which figures may be the best, given the errors of their differences."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cvfp_cli.stats.noise import FigureNoise, as_low_as_best, best_by


def test_which_figures_may_be_the_best() -> None:
    noise = FigureNoise.of_variances("seeds", np.full(3, 0.5), inf)  # a difference has the standard error 1
    assert as_low_as_best([0.0, 1.9, 4.0], noise) == (True, True, False)
    assert as_low_as_best([0.0, 2.5, 4.0], noise) == (True, False, False)
    assert as_low_as_best([0.0, None, 4.0], noise) == (True, False, False)
    assert as_low_as_best([0.0, 4.0], None) == (False, False)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.floats(0.01, 3), st.integers(2, 40))
def test_one_is_the_best_only_if_a_t_test_tells_it_from_every_other(
    values: list[float], error: float, df: int
) -> None:
    noise = FigureNoise.of_variances("seeds", np.full(len(values), error**2 / 2), df)
    chosen = as_low_as_best(values, noise)
    first = values.index(min(values))
    p = [2 * stats.t.sf(abs(v - values[first]) / error, df) for i, v in enumerate(values) if i != first]
    assert chosen[first]
    assert (sum(chosen) == 1) == (max(p) < 0.05)


def test_what_differs_by_rounding_is_equal_however_small_the_noise() -> None:
    noise = FigureNoise.of_variances("seeds", np.full(2, 1e-40), 10)
    assert as_low_as_best([1.0, 1.0 + 1e-14], noise) == (True, True)


def test_the_p_value_is_of_the_nearest_rival() -> None:
    found = best_by([3.0, 1.0, None, 2.0], FigureNoise.of_variances("seeds", np.full(4, 0.5), 8))
    assert found is not None
    assert (found.best, found.rival) == (1, 3)
    assert found.p_value == pytest.approx(2 * stats.t.sf(1.0, 8))
