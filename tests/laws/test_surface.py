"""The laws of model and data size: derivatives, the formulas as a user writes them, and what is solved for."""

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize_scalar

from cvfp_cli.laws.registry import SURFACES
from cvfp_cli.laws.surface import Surface

LAWS = tuple(SURFACES.values())
# Of E, A, alpha, B, beta, and what each law adds.
COMMON = {"E": 1.7, "A": 480.0, "alpha": 0.35, "B": 1200.0, "beta": 0.3}
FURTHER = {"joint": {}, "joint-coupled": {"k": 0.4}, "joint-epochs": {"R": 12.0}}
U, V = 13.0, 15.0  # centres of ln N and ln D


def loss(law: str, p: Mapping[str, float], n: float, d: float, passes: float) -> float:
    """The formulas of the docs, by other code."""
    if law == "joint-epochs":
        d = d + p["R"] * d * (1.0 - np.exp(-(passes - 1.0) / p["R"]))
    a, b = p["A"] / n ** p["alpha"], p["B"] / d ** p["beta"]
    k = p.get("k", 1.0)
    return float(p["E"] + (a ** (1 / k) + b ** (1 / k)) ** k)


def coordinates(law: Surface) -> tuple[np.ndarray, dict[str, float]]:
    p = COMMON | FURTHER[law.name]
    theta = [
        np.log(p["E"]),
        np.log(p["A"]) - p["alpha"] * U,
        np.log(p["B"]) - p["beta"] * V,
        p["alpha"],
        p["beta"],
    ]
    return np.array([*theta, *(np.log(p[name]) for name in law.further)]), p


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_curve_is_the_formula_and_its_derivatives_are_differences(law: Surface) -> None:
    theta, p = coordinates(law)
    n, d, passes = np.array([1e5, 1e6, 1e8]), np.array([1e7, 1e5, 1e6]), np.array([1.0, 4.0, 60.0])
    value, jacobian = law.log_loss(theta[None], np.log(n)[None] - U, np.log(d)[None] - V, passes[None])
    assert np.exp(value[0]) == pytest.approx(
        [loss(law.name, p, *at) for at in zip(n, d, passes, strict=True)]
    )
    for i in range(3):
        at = tuple(np.array([[part[i]]]) for part in (np.log(n) - U, np.log(d) - V, passes))
        slope = approx_fprime(theta, lambda x, at=at: float(law.log_loss(x[None], *at)[0][0, 0]), 1e-7)
        assert jacobian[0, i] == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_whole_box_is_finite(law: Surface) -> None:
    rng = np.random.default_rng(0)
    theta = rng.uniform(law.lower, law.upper, (300, law.k))
    u, v = rng.uniform(-8.0, 8.0, (2, 300, 4))
    value, jacobian = law.log_loss(theta, u, v, rng.uniform(1.0, 1000.0, (300, 4)))
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(jacobian))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_size_solved_for_has_its_loss_and_the_least_product_is_the_least(law: Surface) -> None:
    theta, p = coordinates(law)
    target, passes = 2.6, 5.0

    def size_at(log_n: float) -> float:
        return float(law.log_size(theta[None], log_n - U, target, passes)[0]) + V

    d = np.exp(size_at(np.log(1e8)))
    assert loss(law.name, p, 1e8, d, passes) == pytest.approx(target, rel=1e-9)
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(size_at(np.log(1e3)))
    log_n, log_d = (float(part[0]) for part in law.least_product(theta[None], target, passes))
    assert loss(law.name, p, np.exp(log_n + U), np.exp(log_d + V), passes) == pytest.approx(target, rel=1e-9)
    found = minimize_scalar(lambda x: x + size_at(x), (log_n + U, log_n + U + 0.5), tol=1e-10)
    assert found.x == pytest.approx(log_n + U, abs=1e-3)


def test_richer_laws_hold_the_additive_one() -> None:
    theta, _ = coordinates(SURFACES["joint"])
    rng = np.random.default_rng(1)
    u, v, once = rng.normal(size=(1, 20)), rng.normal(size=(1, 20)), np.ones((1, 20))
    plain = SURFACES["joint"].log_loss(theta[None], u, v, once)[0]
    for name, more in (("joint-coupled", 0.0), ("joint-epochs", 1.3)):
        own = SURFACES[name].log_loss(np.append(theta, more)[None], u, v, once)[0]
        assert own == pytest.approx(plain, rel=1e-12)
    # As good as new data: R endless counts every pass.
    passes = np.full((1, 20), 7.0)
    endless = SURFACES["joint-epochs"].log_loss(np.append(theta, 20.0)[None], u, v, passes)[0]
    assert endless == pytest.approx(
        SURFACES["joint"].log_loss(theta[None], u, v + np.log(7.0), once)[0], rel=1e-7
    )


def test_the_coupled_law_is_kaplans_in_other_parameters() -> None:
    """E + F (N^-a + R D^-b)^k with alpha = a k, beta = b k, A = F, B = F R^k."""
    f, a, r, b, k = 40.0, 0.8, 3.0, 0.6, 0.5
    p = {"E": 1.5, "A": f, "alpha": a * k, "B": f * r**k, "beta": b * k, "k": k}
    for n, d in ((1e5, 1e6), (1e7, 1e5)):
        assert loss("joint-coupled", p, n, d, 1.0) == pytest.approx(1.5 + f * (n**-a + r * d**-b) ** k)


@pytest.mark.parametrize("powers", [(1.0, 1.0), (0.3, 0.9)])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_split_of_a_budget_has_the_least_loss_and_its_gradient_is_a_difference(
    law: Surface, powers: tuple[float, float]
) -> None:
    theta, p = coordinates(law)
    passes, log_cost = 5.0, 36.0

    def at(x: np.ndarray) -> float:
        centred = log_cost - powers[0] * U - powers[1] * V
        return float(law.split(x[None], centred, powers, passes)[0][0]) + U

    def lost(log_n: float) -> float:
        return loss(law.name, p, np.exp(log_n), np.exp((log_cost - powers[0] * log_n) / powers[1]), passes)

    found = minimize_scalar(lost, (at(theta) - 1.0, at(theta) + 1.0), tol=1e-12)
    assert at(theta) == pytest.approx(found.x, abs=1e-4)
    gradient = law.split(theta[None], log_cost - powers[0] * U - powers[1] * V, powers, passes)[1][0]
    assert gradient == pytest.approx(approx_fprime(theta, at, 1e-7), abs=1e-4)


@pytest.mark.parametrize("of", ["n", "d", "product"])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_loss_of_the_cheapest_pair_of_a_size_is_the_targets_and_its_gradient_a_difference(
    law: Surface, of: str
) -> None:
    theta, _ = coordinates(law)
    target, passes = 2.6, 5.0
    log_n, log_d = (float(part[0]) for part in law.least_product(theta[None], target, passes))
    size = {"n": log_n, "d": log_d, "product": log_n + log_d}[of]
    value, gradient = law.least_at(theta[None], size, passes, of)
    assert np.exp(value[0]) == pytest.approx(target, rel=1e-9)
    slope = approx_fprime(theta, lambda x: float(law.least_at(x[None], size, passes, of)[0][0]), 1e-7)
    assert gradient[0] == pytest.approx(slope, abs=1e-5)
    # The pair of a size that asks for more has a lower loss.
    assert law.least_at(theta[None], size + 0.5, passes, of)[0][0] < value[0]
