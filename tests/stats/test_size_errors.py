"""Errors by size against the matrices that the formulas are written in, the t interval, and simulated truths."""

import numpy as np
import pytest
from scipy import linalg, stats

from cvfp_cli.stats.regression import least_squares
from cvfp_cli.stats.robust import variance_test
from cvfp_cli.stats.size_errors import SizeErrors, size_errors


def a_line(sizes: int, seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln n, the design of a line, and the index of each point's size."""
    index = np.repeat(np.arange(sizes), seeds)
    z = np.log(2.0) * index
    return z, np.column_stack([np.ones(len(z)), z]), index


def errors_of(y: np.ndarray, design: np.ndarray, index: np.ndarray, z: np.ndarray) -> SizeErrors:
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    ones = np.ones((1, len(y)))
    return size_errors(residual[None], design[None], ones, index[None], z[None])


@pytest.mark.parametrize(("sizes", "seeds"), [(5, 1), (8, 1), (6, 3)])
def test_variance_and_df_are_those_of_the_matrices(sizes: int, seeds: int) -> None:
    rng = np.random.default_rng(sizes)
    z, design, index = a_line(sizes, seeds, rng)
    y = rng.standard_normal(len(z)) * (1.0 + index)
    bread = np.linalg.inv(design.T @ design)
    hat = design @ bread @ design.T
    keep = np.eye(len(y)) - hat
    residual = keep @ y
    for gradient in (np.array([0.0, 1.0]), np.array([1.0, z[-1] + 2.0])):
        columns = []
        for size in range(sizes):
            own = np.flatnonzero(index == size)
            adjust = np.real(linalg.inv(linalg.sqrtm(keep[np.ix_(own, own)])))
            column = np.zeros(len(y))
            column[own] = adjust @ design[own] @ bread @ gradient
            columns.append(column)
        forms = np.array(columns).T
        expected = float(np.sum((forms.T @ residual) ** 2))
        gram = forms.T @ keep @ forms
        plain, variance, df = errors_of(y, design, index, z).variance(gradient[None])
        assert plain[0] == pytest.approx(gradient @ bread @ gradient, rel=1e-6)
        assert variance[0] == pytest.approx(expected, rel=1e-6)
        assert df[0] == pytest.approx(np.trace(gram) ** 2 / np.sum(gram**2), rel=1e-6)


def test_four_sizes_give_the_t_interval() -> None:
    z, design, index = a_line(4, 1, np.random.default_rng(0))
    y = np.array([0.3, -0.2, 0.1, 0.4])
    line = stats.linregress(z, y)
    _, variance, df = errors_of(y, design, index, z).variance(np.array([[0.0, 1.0]]))
    assert np.sqrt(variance[0]) == pytest.approx(line.stderr, rel=1e-6)
    assert df[0] == 2.0


def test_seeds_of_one_size_count_once() -> None:
    """Balanced seeds: the regression on the means of the sizes, whatever the seeds' own scatter."""
    rng = np.random.default_rng(1)
    z, design, index = a_line(4, 5, rng)
    y = rng.standard_normal(4)[index] + 0.1 * rng.standard_normal(20)
    line = stats.linregress(z[::5], y.reshape(4, 5).mean(axis=1))
    _, variance, df = errors_of(y, design, index, z).variance(np.array([[0.0, 1.0]]))
    assert np.sqrt(variance[0]) == pytest.approx(line.stderr, rel=1e-6)
    assert df[0] == 2.0


def test_as_many_sizes_as_parameters_leave_no_variance() -> None:
    z, design, index = a_line(2, 5, np.random.default_rng(2))
    y = np.random.default_rng(3).standard_normal(10)
    _, variance, df = errors_of(y, design, index, z).variance(np.array([[0.0, 1.0]]))
    assert np.isnan(variance[0])
    assert np.isnan(df[0])


@pytest.mark.parametrize("bound", [0.0, 0.4])
def test_a_size_that_tells_nothing_of_its_variance_has_the_pooled_one(bound: float) -> None:
    """A column for the last size alone, which the curve then meets; or whose residual stays, where a bound holds it."""
    z, line, index = a_line(8, 1, np.random.default_rng(7))
    design = np.column_stack([line, (index == 7).astype(float)])
    y = np.random.default_rng(8).standard_normal(8)
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    residual[7] = bound
    ones = np.ones((1, 8))
    errors = size_errors(residual[None], design[None], ones, index[None], z[None])
    pooled = residual @ residual / (8 - 3)
    of_law, of_run = (errors.variance(design[None, 7], at)[1][0] for at in (None, np.array([np.inf])))
    assert of_law == pytest.approx(pooled, rel=1e-6)
    # The new run errs as the sizes near it do, the last one most: 1 / 4 of the weight of all, each with its own variance.
    keep = np.eye(8) - design @ np.linalg.pinv(design)
    own = np.append(residual[:7] ** 2 / np.diag(keep)[:7], pooled)
    near = np.arange(8) / 28.0
    assert of_run == pytest.approx(pooled + near @ own, rel=1e-6)
    assert 1.0 <= errors.variance(design[None, 7])[2][0] <= 5.0 + 1e-6


@pytest.mark.parametrize("trend", [-1.0, 0.0, 1.0])
def test_intervals_of_a_line_hold_when_the_noise_follows_n(trend: float) -> None:
    """4,000 lines through 8 sizes: within four standard errors of 95 %, or above; equal variances would hold 87 %."""
    sets, sizes = 4000, 8
    rng = np.random.default_rng(4)
    z, design, index = a_line(sizes, 1, rng)
    noise = np.exp(0.5 * trend * z)
    y = noise * rng.standard_normal((sets, sizes))
    solve = np.linalg.pinv(design)
    slope = y @ solve[1]
    residual = y - y @ solve.T @ design.T
    errors = size_errors(
        residual,
        np.broadcast_to(design, (sets, sizes, 2)),
        np.ones((sets, sizes)),
        np.broadcast_to(index, (sets, sizes)),
        np.broadcast_to(z, (sets, sizes)),
    )
    _, variance, df = errors.variance(np.tile([0.0, 1.0], (sets, 1)))
    held = np.mean(np.abs(slope) <= stats.t.ppf(0.975, df) * np.sqrt(variance))
    assert 0.93 < held < 0.975


def test_a_new_run_beyond_the_sizes_errs_like_the_nearest() -> None:
    """With noise that grows with n, the interval of a new run is the wider one at the large end."""
    sizes = 8
    z, design, index = a_line(sizes, 1, np.random.default_rng(5))
    y = np.where(index % 2 == 0, 1.0, -1.0) * np.exp(0.7 * z)
    errors = errors_of(y, design, index, z)
    gradient = np.array([[1.0, 0.0]])
    own = [errors.variance(gradient, np.array([at]))[1][0] for at in (-1.0, np.inf)]
    assert own[1] > 3.0 * own[0]


def test_a_new_run_of_few_sizes_and_many_seeds_has_the_half_width_of_both_parts() -> None:
    """Howe (1974): the squares of the half-widths add, that of 1 degree of freedom and that of 12, with its own t each."""
    z, design, index = a_line(3, 5, np.random.default_rng(0))
    y = np.random.default_rng(6).standard_normal(15)
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    means = np.array([y[index == i].mean() for i in range(3)])
    lack = 5.0 * float(np.sum((means - fitted[::5]) ** 2))  # of the sizes, 1 degree of freedom, weight 5
    pure = float(np.sum((y - means[index]) ** 2)) / 12.0
    gradient = np.array([1.0, z[-1] + np.log(10.0)])
    share = gradient @ np.linalg.inv(design.T @ design) @ gradient + 1.0 / 5.0
    _, variance, df = errors_of(y, design, index, z).variance(gradient[None], np.array([np.inf]))
    parts = np.array([share * lack, (1.0 - 1.0 / 5.0) * pure])
    assert variance[0] == pytest.approx(parts.sum(), rel=1e-6)
    half = np.sqrt(np.sum(parts * stats.t.ppf(0.975, [1.0, 12.0]) ** 2))
    assert stats.t.ppf(0.975, df[0]) * np.sqrt(variance[0]) == pytest.approx(half, rel=1e-6)


def test_sizes_of_equal_numbers_of_runs_err_as_they_are() -> None:
    rng = np.random.default_rng(3)
    z, design, index = a_line(6, 3, rng)
    found = errors_of(rng.standard_normal(18), design, index, z)
    mean, rows, at = found.even()
    assert np.array_equal(mean, found.residual[0])
    assert np.array_equal(rows, found.rows[0])
    assert at == pytest.approx(np.log(2.0) * np.arange(6))


@pytest.mark.parametrize(("of_size", "of_seed"), [(1.0, 0.1), (0.0, 1.0), (1.0, 1.0)])
def test_sizes_of_unequal_numbers_of_runs_err_alike_in_their_own_unit(of_size: float, of_seed: float) -> None:
    """Many runs at the small sizes: without the unit, a test of one variance rejects up to 60 % of such tables."""
    rng = np.random.default_rng(5)
    index = np.repeat(np.arange(6), [10, 10, 5, 2, 1, 1])
    z = np.log(2.0) * index
    design = np.column_stack([np.ones(len(z)), z])
    rejected = 0
    for _ in range(400):
        y = of_size * rng.standard_normal(6)[index] + of_seed * rng.standard_normal(len(z))
        p = variance_test(*errors_of(y, design, index, z).even()).p_value
        rejected += p is not None and p < 0.05
    assert rejected <= 36


def two_coverages(ratio: float, m: int = 8, sets: int = 600) -> np.ndarray:
    """How often the textbook's interval of the line at 10x the largest size holds, and this one; noise rises by ``ratio``."""
    rng = np.random.default_rng(2)
    z, design, index = a_line(m, 1, rng)
    row = np.array([1.0, z[-1] + np.log(10.0)])
    noise = ratio ** (np.arange(m) / (m - 1))
    held = []
    for _ in range(sets):
        y = noise * rng.standard_normal(m)
        fit = least_squares(design, y)
        plain = fit.contrast(row)
        _, variance, df = errors_of(y, design, index, z).variance(row[None])
        halves = (plain.high - plain.value, stats.t.ppf(0.975, df[0]) * np.sqrt(variance[0]))
        held.append([abs(row @ fit.values) <= half for half in halves])
    return np.mean(held, axis=0)


def test_intervals_hold_where_noise_rises_and_the_textbooks_do_not() -> None:
    textbook, own = two_coverages(4.0)
    assert textbook < 0.91
    assert own > 0.92


def test_intervals_hold_where_noise_is_equal() -> None:
    textbook, own = two_coverages(1.0)
    assert textbook == pytest.approx(0.95, abs=0.03)
    assert 0.93 < own < 0.985
