"""The error model on designs whose answer is known by hand, and by simulation."""

import numpy as np
import pytest

from cvfp_cli.stats.contrast_errors import NO_FREEDOM, NOT_DETERMINED
from cvfp_cli.stats.error_model import fit_error_model
from cvfp_cli.stats.labels import Labels
from cvfp_cli.stats.regression import least_squares
from cvfp_cli.stats.rounding import ROUNDING


def crossed(sizes, configurations, seeds=1):
    """Size and configuration of every run of a full grid."""
    s, c, _ = (
        part.ravel()
        for part in np.meshgrid(np.arange(sizes), np.arange(configurations), np.arange(seeds), indexing="ij")
    )
    return s, c


def residual(x, y):
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]


def test_one_configuration_and_one_seed_is_the_textbook_regression():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(7), np.arange(7.0)])
    y = rng.normal(size=7)
    model = fit_error_model(residual(x, y), x, Labels.of(range(7)))
    known = least_squares(x, y)
    errors = model.contrasts(np.eye(2))
    assert errors.df == pytest.approx([5.0, 5.0])
    assert np.sqrt(errors.variance) == pytest.approx([part.se for part in known.coefficients])
    assert errors.scale == pytest.approx(np.full(2, known.variance))
    assert errors.half_widths(0.95)[1] == pytest.approx(
        known.coefficients[1].high - known.coefficients[1].value
    )
    assert errors.p_values(known.values) == pytest.approx([part.p_value for part in known.coefficients])
    assert model.told_together == (("size", "data-seed", "configuration-size", "seed"),)
    row = np.array([1.0, 9.0])
    new = known.contrast(row, new_observation=True)
    assert model.of_new_runs(row).half_widths(0.95)[0] == pytest.approx(new.high - new.value)


@pytest.mark.parametrize("shared", [0.0, 1.0, 4.0])
def test_balanced_grid_has_the_degrees_of_freedom_of_its_analysis_of_variance(shared):
    """A line through S sizes of C configurations with own levels: the slope rests on the sizes' mean square with
    S - 2 degrees of freedom, a difference of levels on the interaction's with (S - 1)(C - 1)."""
    rng = np.random.default_rng(int(shared))
    sizes, configurations = 6, 4
    s, c = crossed(sizes, configurations)
    x = np.column_stack([s, np.equal.outer(c, np.arange(configurations))]).astype(float)
    y = shared * rng.normal(size=sizes)[s] + rng.normal(size=len(s))
    model = fit_error_model(residual(x, y), x, Labels.of(s, c))
    means = np.array([y[s == i].mean() for i in range(sizes)])
    line = least_squares(np.column_stack([np.ones(sizes), np.arange(sizes)]), means)
    difference = np.array([0.0, 1.0, -1.0, 0.0, 0.0])
    errors = model.contrasts(np.vstack([np.eye(5)[0], difference]))
    table = y.reshape(sizes, configurations)
    within = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    mean_square = np.sum(within**2) / ((sizes - 1) * (configurations - 1))
    assert errors.df == pytest.approx([sizes - 2, (sizes - 1) * (configurations - 1)], rel=1e-4)
    assert errors.variance == pytest.approx(
        [line.coefficients[1].se ** 2, 2.0 * mean_square / sizes], rel=1e-4
    )


def test_seeds_at_sizes_of_one_curve_rest_on_the_sizes():
    """Balanced seeds: the line through the means, with S - 2 degrees of freedom, however small the lack of fit."""
    rng = np.random.default_rng(5)
    sizes, seeds = 5, 3
    s, _ = crossed(sizes, 1, seeds)
    x = np.column_stack([np.ones(len(s)), s]).astype(float)
    for lack in (0.0, 1.0):
        y = lack * rng.normal(size=sizes)[s] + rng.normal(size=len(s))
        model = fit_error_model(residual(x, y), x, Labels.of(s))
        means = y.reshape(sizes, seeds).mean(axis=1)
        line = least_squares(np.column_stack([np.ones(sizes), np.arange(sizes)]), means)
        errors = model.contrasts([0.0, 1.0])
        assert errors.df == pytest.approx([sizes - 2], rel=1e-4)
        assert np.sqrt(errors.variance) == pytest.approx([line.coefficients[1].se], rel=1e-4)


def test_what_cannot_be_seen_has_no_interval_but_its_reason():
    rng = np.random.default_rng(1)
    s, c = crossed(2, 1, 4)
    x = np.column_stack([np.ones(len(s)), s]).astype(float)
    model = fit_error_model(residual(x, rng.normal(size=len(s))), x, Labels.of(s, c))
    errors = model.contrasts(np.eye(2))
    assert errors.reason == (NO_FREEDOM, NO_FREEDOM)
    assert np.all(np.isnan(errors.variance))
    assert np.all(np.isnan(errors.half_widths(0.95)))
    assert model.unseen == ("size", "data-seed", "configuration-size")


def test_own_size_effects_leave_differences_of_configurations():
    """With a coefficient for each size no size effect is left to see; a difference of levels needs none."""
    rng = np.random.default_rng(2)
    s, c = crossed(5, 3)
    x = np.column_stack([np.equal.outer(s, np.arange(5)), c == 1, c == 2]).astype(float)
    model = fit_error_model(residual(x, rng.normal(size=15)), x, Labels.of(s, c))
    errors = model.contrasts(np.eye(7)[[0, 6]])
    assert errors.reason == (NO_FREEDOM, "")
    assert errors.df[1] == pytest.approx(8.0)


def test_exact_fits_and_undetermined_contrasts():
    x = np.column_stack([np.ones(3), np.arange(3.0), 2.0 * np.arange(3.0)])
    model = fit_error_model(np.array([0.1, -0.2, 0.1]), x, Labels.of(range(3)))
    assert model.contrasts([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 2.0]]).reason == (
        NOT_DETERMINED,
        "",
        "",
    )
    full = fit_error_model(np.zeros(2), np.column_stack([np.ones(2), [1.0, 2.0]]), Labels.of(range(2)))
    assert full.contrasts([0.0, 1.0]).reason == (NO_FREEDOM,)


def test_residuals_of_0_leave_intervals_as_wide_as_rounding():
    s, c = crossed(5, 2)
    x = np.column_stack([np.ones(10), s]).astype(float)
    model = fit_error_model(np.zeros(10), x, Labels.of(s, c))
    errors = model.contrasts(np.eye(2))
    assert errors.reason == ("", "")
    expected = ROUNDING * np.sqrt(np.diag(np.linalg.inv(x.T @ x)))
    assert np.sqrt(errors.variance) == pytest.approx(expected)
    assert errors.p_values([0.0, 1e-8]) == pytest.approx([1.0, 1.0], abs=0.05)
    assert 1e-60 < errors.p_values([0.0, 1.0])[1] < 1e-20
    assert model.of_new_runs([1.0, 9.0]).half_widths(0.95)[0] > 2.0 * ROUNDING


def test_a_new_run_errs_as_the_law_does_and_by_all_parts_anew():
    rng = np.random.default_rng(3)
    row = [1.0, 8.0]
    for seeds in (1, 2):
        s, c = crossed(6, 3, seeds)
        x = np.column_stack([np.ones(len(s)), s]).astype(float)
        y = 2.0 * rng.normal(size=6)[s] + rng.normal(size=18)[3 * s + c] + 0.1 * rng.normal(size=len(s))
        model = fit_error_model(residual(x, y), x, Labels.of(s, c))
        curve, run = model.contrasts(row), model.of_new_runs(row)
        assert curve.reason == run.reason == ("",)
        total = sum(part.variance for part in model.parts)
        assert run.variance[0] == pytest.approx(curve.variance[0] + total, rel=1e-6)


def test_draws_of_the_samples_are_a_part_of_their_own():
    rng = np.random.default_rng(4)
    s, d, c = (part.ravel() for part in np.meshgrid(np.arange(40), np.arange(4), np.arange(4), indexing="ij"))
    x = np.column_stack([np.ones(len(s)), s]).astype(float)
    y = 0.3 * rng.normal(size=40)[s] + 1.0 * rng.normal(size=160)[4 * s + d] + 0.1 * rng.normal(size=len(s))
    model = fit_error_model(residual(x, y), x, Labels.of(s, c, d))
    found = {part.names: part.variance for part in model.parts}
    assert found[("data-seed",)] == pytest.approx(1.0, rel=0.3)
    assert found[("seed",)] == pytest.approx(0.01, rel=0.3)
    assert found[("configuration-size",)] < 0.01


def test_order_units_and_names_do_not_matter():
    rng = np.random.default_rng(6)
    s, c = crossed(5, 3, 2)
    x = np.column_stack([np.ones(len(s)), s]).astype(float)
    r = residual(x, rng.normal(size=5)[s] + rng.normal(size=len(s)))
    one = fit_error_model(r, x, Labels.of(s, c)).contrasts(np.eye(2))
    order = rng.permutation(len(s))
    units = np.array([1.0, 1e6])
    named = Labels.of([(2**i, "samples") for i in s[order]], [f"{i}L" if i else None for i in c[order]])
    other = fit_error_model(1e-3 * r[order], x[order] * units, named).contrasts(np.diag(units))
    assert other.df == pytest.approx(one.df, rel=1e-6)
    assert other.variance == pytest.approx(1e-6 * one.variance, rel=1e-6)


@pytest.mark.parametrize("shared", [0.0, 3.0])
def test_intervals_hold_on_a_grid_with_missing_cells(shared):
    """400 sets, nominal 95 %: outside 92-98 by chance less than once in 200 tests."""
    rng = np.random.default_rng(8)
    s, c = crossed(6, 3)
    keep = np.ones(len(s), dtype=bool)
    keep[[4, 9, 17]] = False
    s, c = s[keep], c[keep]
    x = np.column_stack([np.ones(len(s)), s]).astype(float)
    held = []
    for _ in range(400):
        y = shared * rng.normal(size=6)[s] + rng.normal(size=len(s))
        beta = np.linalg.lstsq(x, y, rcond=None)[0]
        model = fit_error_model(y - x @ beta, x, Labels.of(s, c))
        new = shared * rng.normal() + rng.normal()
        curve, run = model.contrasts([0.0, 1.0]), model.of_new_runs([1.0, 8.0])
        ahead = beta[0] + 8.0 * beta[1]
        held.append(
            [abs(beta[1]) <= curve.half_widths(0.95)[0], abs(ahead - new) <= run.half_widths(0.95)[0]]
        )
    assert np.all((np.mean(held, axis=0) >= 0.92) & (np.mean(held, axis=0) <= 0.98))


def test_new_runs_hold_where_few_sizes_repeat_many_seeds():
    """Three sizes leave one degree of freedom to the lack of fit; Satterthwaite's df held 88 % here."""
    rng = np.random.default_rng(9)
    s, _ = crossed(3, 1, 5)
    x = np.column_stack([np.ones(15), s]).astype(float)
    inverse, row, held = np.linalg.pinv(x), np.array([1.0, 5.0]), []
    for _ in range(400):
        y = rng.normal(size=3)[s] + rng.normal(size=15)
        b = inverse @ y
        model = fit_error_model(y - x @ b, x, Labels.of(s))
        new = rng.normal() + rng.normal()
        held.append(abs(row @ b - new) <= model.of_new_runs(row).half_widths(0.95)[0])
    assert 0.93 < np.mean(held) < 0.995
