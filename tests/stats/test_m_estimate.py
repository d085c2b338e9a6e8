"""The local sandwich: its limits, and how often it holds where the spread follows x."""

import numpy as np
import pytest
from scipy import optimize

from cvfp_cli.stats.contrast_errors import NO_FREEDOM, NOT_DETERMINED
from cvfp_cli.stats.m_estimate import local_errors
from cvfp_cli.stats.regression import least_squares

THRESHOLD = 0.01


def test_with_a_wide_threshold_it_is_whites_sandwich():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(30), rng.normal(size=30)])
    y = rng.normal(size=30)
    fit = least_squares(x, y)
    bread = np.linalg.inv(x.T @ x)
    white = bread @ (x.T * fit.residuals**2) @ x @ bread * 30 / 28
    errors = local_errors(x, fit.residuals, np.eye(2), 1e3)
    assert errors.variance == pytest.approx(np.diag(white))
    assert errors.df == pytest.approx([28.0, 28.0])


def test_clusters_of_one_are_no_clusters_but_for_their_number():
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(30), rng.normal(size=30)])
    r = rng.normal(size=30)
    alone = local_errors(x, r, [0.0, 1.0], 0.1)
    assert local_errors(x, r, [0.0, 1.0], 0.1, np.arange(30)).variance == pytest.approx(
        alone.variance * 30 / 29
    )
    # Runs that all come twice say half as much as they seem to.
    twice = [np.concatenate([part, part]) for part in (x, r)]
    seeming = local_errors(*twice, [0.0, 1.0], 0.1)
    known = local_errors(*twice, [0.0, 1.0], 0.1, np.tile(np.arange(30), 2))
    assert known.variance[0] == pytest.approx(2.0 * seeming.variance[0] * 30 / 29)
    assert known.df[0] == 29.0


def test_it_holds_where_the_spread_rises():
    """300 tables of 100 runs, slope of a line under Huber's loss far below the noise, spread from 0.2 to 3."""
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(100), np.linspace(-1.0, 1.0, 100)])
    spread = np.exp(1.35 * x[:, 1])
    held = []
    for _ in range(300):
        y = spread * rng.standard_normal(100)
        fit = optimize.least_squares(
            lambda b, seen: x @ b - seen,
            [0.0, 0.0],
            jac=lambda b, seen: x,
            loss="huber",
            f_scale=THRESHOLD,
            args=(y,),
        )
        half = local_errors(x, y - x @ fit.x, np.eye(2), THRESHOLD).half_widths(0.95)
        held.append(np.abs(fit.x) <= half)
    assert np.all(np.mean(held, axis=0) > 0.91)
    assert np.all(np.mean(held, axis=0) < 0.99)


def test_what_cannot_be_told_has_its_reason():
    x = np.column_stack([np.ones(6), np.arange(6.0)])
    assert local_errors(x[:2], [0.1, 0.1], [0.0, 1.0], 0.1).reason == (NO_FREEDOM,)
    same = np.column_stack([x, 2.0 * x[:, 1]])
    assert local_errors(same, np.full(6, 0.01), np.eye(3)[0], 0.1).reason == (NOT_DETERMINED,)
