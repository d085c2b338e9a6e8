"""REML against a direct maximisation of its textbook likelihood, and against another package."""

import numpy as np
import pytest
from scipy import optimize

from cvfp_cli.stats.components import Products, deviance, estimate_components, traces


def grid(rng, sizes, configurations, seeds, kept=1.0):
    """Labels of the runs of a grid, some of them left out."""
    s, c, _ = (part.ravel() for part in np.meshgrid(*map(np.arange, (sizes, configurations, seeds))))
    keep = rng.random(len(s)) < kept
    return s[keep], c[keep]


def products_of(y, x, *groups):
    off = np.eye(len(y)) - x @ np.linalg.pinv(x)
    columns = [np.equal.outer(codes, np.unique(codes)).astype(float) for codes in groups]
    owner = np.repeat(np.arange(len(groups)), [part.shape[1] for part in columns])
    return Products.of(
        off @ y, off @ np.hstack(columns), owner, len(groups), len(y) - np.linalg.matrix_rank(x)
    )


def textbook_deviance(y, x, covariance):
    """-2 ln of the restricted likelihood: ln|V| + ln|X'V^-1 X| - ln|X'X| + r'V^-1 r with r off the GLS fit."""
    inverse = np.linalg.inv(covariance)
    information = x.T @ inverse @ x
    r = y - x @ np.linalg.solve(information, x.T @ inverse @ y)
    logs = [np.linalg.slogdet(part)[1] for part in (covariance, information, x.T @ x)]
    return logs[0] + logs[1] - logs[2] + r @ inverse @ r


def covariance_of(values, *groups):
    return values[0] * np.eye(len(groups[0])) + sum(
        value * np.equal.outer(codes, codes) for value, codes in zip(values[1:], groups, strict=True)
    )


@pytest.mark.parametrize("seed", range(5))
def test_likelihood_score_and_information_are_the_textbooks(seed):
    rng = np.random.default_rng(seed)
    s, c = grid(rng, 5, 3, 2, 0.85)
    x = np.column_stack([np.ones(len(s)), s, c])
    y = rng.normal(size=len(s))
    groups = (s, 10 * s + c)
    products = products_of(y, x, *groups)
    values = rng.uniform(0.2, 2.0, 3)
    expected = textbook_deviance(y, x, covariance_of(values, *groups))
    assert deviance(products, values) == pytest.approx(expected, abs=1e-9)
    # One component negative, where V is still a covariance.
    values = np.array([1.0, 0.1, -0.2])
    expected = textbook_deviance(y, x, covariance_of(values, *groups))
    assert deviance(products, values) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_estimate_is_where_a_direct_search_ends(seed):
    rng = np.random.default_rng(seed)
    s, c = grid(rng, rng.integers(4, 7), rng.integers(3, 5), 2, 0.85)
    x = np.column_stack([np.ones(len(s)), s, c])
    y = rng.normal(size=8)[s] * [0.0, 1.0, 3.0][seed % 3] + rng.normal(size=len(s))
    groups = (s, 10 * s + c)
    found = estimate_components(products_of(y, x, *groups))
    best = min(
        (
            optimize.minimize(
                lambda logs: textbook_deviance(y, x, covariance_of(np.exp(logs), *groups)),
                start,
                method="Nelder-Mead",
                options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000},
            )
            for start in ([0.0, 0.0, 0.0], [0.0, -6.0, -2.0], [0.0, -2.0, -6.0])
        ),
        key=lambda end: end.fun,
    )
    assert found.method == "reml"
    assert found.deviance <= best.fun + 1e-7
    assert found.values == pytest.approx(np.exp(best.x), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("negative", [False, True])
def test_information_is_the_expected_one(negative):
    """Half the trace of P V_i P V_j, with P written out."""
    rng = np.random.default_rng(3)
    s, c = grid(rng, 5, 4, 2, 0.8)
    x = np.column_stack([np.ones(len(s)), s])
    y = 0.5 * rng.normal(size=5)[s] + rng.normal(size=len(s))
    groups = (s, 10 * s + c)
    products = products_of(y, x, *groups)
    found = estimate_components(products, negative=negative)
    inverse = np.linalg.inv(covariance_of(found.values, *groups))
    p = inverse - inverse @ x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse)
    each = [np.eye(len(s)), *(np.equal.outer(codes, codes) for codes in groups)]
    expected = [[0.5 * np.trace(p @ a @ p @ b) for b in each] for a in each]
    assert found.information == pytest.approx(np.array(expected), rel=1e-8)
    off = np.eye(len(s)) - x @ np.linalg.pinv(x)
    expected = [[np.trace(off @ a @ off @ b) for b in each] for a in each]
    assert traces(products) == pytest.approx(np.array(expected))


def table():
    """A table written down as formulas, with runs missing; the figures below are of this one."""
    s, c, _ = (part.ravel() for part in np.meshgrid(np.arange(5), np.arange(3), np.arange(2), indexing="ij"))
    i = np.arange(30)
    size = np.array([0.9, -0.4, 0.3, -1.1, 0.5])
    y = 5.0 - 0.5 * np.log(2.0) * s + 0.1 * c + size[s]
    y += (0.5 * np.sin(7.0 * np.arange(15) ** 1.3))[3 * s + c] + 0.4 * np.cos(3.0 * i**1.2)
    keep = ~np.isin(i, [3, 10, 11, 26])
    return y[keep], s[keep], c[keep]


def test_the_figures_of_statsmodels():
    """MixedLM of statsmodels 0.15.0, REML: y ~ x + C(c), size as a random intercept, the cell as a component."""
    y, s, c = table()
    x = np.column_stack([np.ones(len(s)), np.log(2.0) * s, c == 1, c == 2]).astype(float)
    found = estimate_components(products_of(y, x, s, 3 * s + c))
    assert found.values == pytest.approx([0.037454994, 1.10977379, 0.10462041], rel=2e-4)
    first = np.unique(3 * s + c, return_index=True)[1]
    found = estimate_components(products_of(y[first], x[first], s[first]))
    assert found.values == pytest.approx([0.170495538, 1.12497521], rel=2e-4)


def test_no_residuals_and_no_freedom():
    nothing = Products.of(np.zeros(4), np.ones((4, 1)), np.zeros(1, dtype=np.intp), 1, 3)
    assert estimate_components(nothing).values == pytest.approx([0.0, 0.0])
    full = Products.of(np.zeros(2), np.ones((2, 1)), np.zeros(1, dtype=np.intp), 1, 0)
    assert estimate_components(full).values == pytest.approx([0.0, 0.0])
