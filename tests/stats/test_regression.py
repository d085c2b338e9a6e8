"""Least squares against an independent implementation and against the matrix study's paired test."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cvfp_cli.errors import InputError
from cvfp_cli.stats.regression import (
    f_p_value,
    f_quantile,
    least_squares,
    t_p_value,
    t_quantile,
)

PUBLISHED = json.loads((Path(__file__).parents[1] / "published_results.json").read_text())
MATRIX = [run for run in PUBLISHED["runs"] if run["study"] == "2025-11-30-matrix"]


def test_line_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, 12)
    y = 3.0 - 0.7 * x + rng.standard_normal(12)
    fit = least_squares(np.column_stack([np.ones(12), x]), y, names=("intercept", "slope"), level=0.9)
    line = stats.linregress(x, y)
    half = stats.t.ppf(0.95, 10) * line.stderr
    assert fit["slope"].value == pytest.approx(line.slope)
    assert fit["slope"].se == pytest.approx(line.stderr)
    assert fit["slope"].low == pytest.approx(line.slope - half)
    assert fit["slope"].high == pytest.approx(line.slope + half)
    assert fit["slope"].p_value == pytest.approx(line.pvalue)
    assert fit["intercept"].se == pytest.approx(line.intercept_stderr)
    assert fit.r_squared == pytest.approx(line.rvalue**2)


def test_quantiles_agree_with_scipy_stats() -> None:
    assert t_quantile(0.95, 2) == pytest.approx(stats.t.ppf(0.975, 2))
    assert f_quantile(0.95, 1, 3) == pytest.approx(stats.f.ppf(0.95, 1, 3))
    assert f_p_value(2.65, 8, 16) == pytest.approx(stats.f.sf(2.65, 8, 16))
    assert t_p_value(-2.1, 7) == pytest.approx(2 * stats.t.sf(2.1, 7))


def test_surface_of_alpha_is_the_least_squares_one() -> None:
    published = [row for row in PUBLISHED["published"] if row["study"] == "2025-11-30-matrix"]
    layers = np.array([int(row["config"][0]) for row in published])
    tokens = np.array([int(row["config"][-4]) for row in published])
    alpha = [row["alpha"] for row in published]
    columns = np.column_stack([np.ones(9), (layers - 2.0) ** 2, (tokens - 2.0) ** 2])
    fit = least_squares(columns, alpha)
    assert fit.values == pytest.approx([-0.496, -0.026, 0.005], abs=0.0006)
    assert fit.coefficients[1].se == pytest.approx(0.015, abs=0.0006)
    assert fit.r_squared == pytest.approx(0.33, abs=0.005)


def test_prediction_interval_is_wider_than_the_confidence_interval() -> None:
    x = np.arange(6.0)
    fit = least_squares(np.column_stack([np.ones(6), x]), [1.0, 2.2, 2.9, 4.1, 5.2, 5.8])
    mean, new = fit.contrast([1.0, 10.0]), fit.contrast([1.0, 10.0], new_observation=True)
    assert fit.variance is not None
    assert mean.se is not None
    assert new.se == pytest.approx(np.sqrt(mean.se**2 + fit.variance))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (np.ones((1, 2)), "cannot determine"),
        (np.column_stack([np.ones(4), np.ones(4)]), "cannot tell"),
        (np.column_stack([np.ones(4), np.zeros(4)]), "cannot determine"),
    ],
)
def test_undetermined_coefficients_are_refused(columns: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        least_squares(columns, np.ones(len(columns)))


def test_no_degree_of_freedom_gives_no_interval() -> None:
    fit = least_squares([[1.0, 0.0], [1.0, 1.0]], [1.0, 3.0], names=("a", "b"))
    assert fit.df == 0
    assert fit["b"].value == pytest.approx(2.0)
    assert fit["b"].low is None
    assert fit.covariance is None


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
@settings(max_examples=50, deadline=None)
def test_units_of_a_column_do_not_matter(factor: float, shift: float) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal(8), rng.standard_normal(8)
    plain = least_squares(np.column_stack([np.ones(8), x]), y)
    scaled = least_squares(np.column_stack([np.ones(8), factor * x]), y + shift)
    assert scaled.values[1] * factor == pytest.approx(plain.values[1], rel=1e-6, abs=1e-9)
    assert scaled.rss == pytest.approx(plain.rss, rel=1e-6, abs=1e-8)
