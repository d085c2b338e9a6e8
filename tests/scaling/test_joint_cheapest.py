"""The cheapest pair that reaches a target: its interval and that of the loss there are one test, turned around."""

import numpy as np
import pytest

from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.result import Fit
from cvfp_cli.study.points import Points

TARGET = 3.0


def fitted(seed: int, noise: float = 0.005, target: float = TARGET, budgets: tuple[float, ...] = ()) -> Fit:
    d, n = (
        part.ravel()
        for part in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e6, 1e8, 6), indexing="ij")
    )
    y = 1.8 + 400.0 * n**-0.34 + 410.0 * d**-0.28
    y = y * np.exp(noise * np.random.default_rng(seed).standard_normal(len(n)))
    points = Points(x=d, y=y, parameters=n, y_name="loss")
    return fit_joint_groups([points], FitOptions(targets=(target,), budgets=budgets, hold_out=False))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_its_ends_the_best_loss_may_just_be_the_target(seed: int) -> None:
    """Each end as a budget: the interval of the loss at its best split ends at the target."""
    product = fitted(seed).cheapest[0].product
    assert product is not None
    assert product.low is not None
    assert product.high is not None
    ends = fitted(seed, budgets=(6.0 * product.low, 6.0 * product.high))
    assert ends.interval_method.startswith("error components")
    assert ends.compute is not None
    low, high = (split.there for split in ends.compute.splits)
    assert low is not None
    assert high is not None
    assert low.mean_low == pytest.approx(TARGET, rel=1e-3)
    assert high.mean_high == pytest.approx(TARGET, rel=1e-3)


def test_the_truth_lies_within_and_the_loss_of_the_pair_is_the_target() -> None:
    fit = fitted(3)
    least = fit.cheapest[0]
    assert least.model_size is not None
    assert least.x is not None
    assert least.product is not None
    n, d = least.model_size.known, least.x.known
    assert least.product.known == pytest.approx(n * d)
    p = {name: estimate.known for name, estimate in fit.parameters.items()}
    a, b = p["A"] * n ** -p["alpha"], p["B"] * d ** -p["beta"]
    assert p["E"] + a + b == pytest.approx(TARGET, rel=1e-6)
    assert p["alpha"] * a == pytest.approx(p["beta"] * b, rel=1e-4)


def test_an_end_that_the_asymptote_may_stop_is_open() -> None:
    """E may be as high as the target: no product, however large, is sure to reach it."""
    fit = fitted(2, noise=0.03, target=2.2)
    asymptote = fit.parameters["E"]
    least = fit.cheapest[0]
    assert asymptote.high is None or asymptote.high > 2.2
    assert least.product is not None
    assert least.product.high is None
    assert least.product.low is not None
    assert least.product.low < least.product.known
