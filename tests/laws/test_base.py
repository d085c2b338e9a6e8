"""The laws' curves: Jacobians, what the user's formula gives, and that simpler laws are points of richer ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.errors import InputError
from cvfp_cli.laws.base import Law
from cvfp_cli.laws.quantities import Quantity, Scale
from cvfp_cli.laws.registry import LAWS, get_law
from cvfp_cli.scaling.derived import observation_quantity, target_quantity, value_quantity

SETS = 25
ROWS = np.arange(SETS)


def random_coordinates(law: Law, rng: np.random.Generator) -> np.ndarray:
    low = np.r_[4.0, np.maximum(law.lower, -1.0)]
    high = np.r_[7.0, np.minimum(law.upper, 1.0)]
    if law.has_floor:
        low[1], high[1] = 0.05, 0.95
    if law.name == "exp-decay":
        low[3] = 0.05
    return rng.uniform(low, high, (SETS, law.k))


def users_formula(law: Law, parameters: dict[str, np.ndarray], n: np.ndarray) -> np.ndarray:
    p = {name: value[:, None] for name, value in parameters.items()}
    if law.name == "power":
        return p["A"] * n ** p["alpha"]
    if law.name == "saturating":
        return p["ppl_min"] + p["A"] * n ** -p["a"]
    if law.name == "exp-decay":
        return p["ppl_min"] + p["A"] * np.exp(-p["b"] * n ** p["c"])
    broken = (1.0 + (n / p["d"]) ** (1.0 / p["f"])) ** (-p["c1"] * p["f"])
    return p["E"] + p["A"] * n ** -p["c0"] * broken


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_jacobian_is_the_derivative(law: Law) -> None:
    rng = np.random.default_rng(1)
    theta, z = random_coordinates(law, rng), rng.uniform(0.0, 4.0, (SETS, 6))
    _, jacobian = law.log_curve(theta, z)
    for i in range(law.k):
        step = np.zeros(law.k)
        step[i] = 1e-6
        numeric = (law.log_curve(theta + step, z)[0] - law.log_curve(theta - step, z)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[:, :, i], numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_coordinates_and_the_users_formula_agree(law: Law) -> None:
    rng = np.random.default_rng(2)
    theta, z = random_coordinates(law, rng), rng.uniform(0.0, 4.0, (SETS, 6))
    scale = Scale(rng.uniform(4.0, 13.0, SETS), np.zeros(SETS), np.full(SETS, 4.0))
    parameters = {q.name: q.user(q.functional(theta, ROWS)[0], ROWS) for q in law.parameter_quantities(scale)}
    assert tuple(parameters) == law.parameters
    expected = users_formula(law, parameters, np.exp(z + scale.origin[:, None]))
    np.testing.assert_allclose(np.exp(law.log_curve(theta, z)[0]), expected, rtol=1e-7)
    np.testing.assert_allclose(law.log_value(theta, z), law.log_curve(theta, z)[0], rtol=1e-12)
    columns = {name: value[:, None] for name, value in parameters.items()}
    np.testing.assert_allclose(law.value(columns, np.exp(z + scale.origin[:, None])), expected, rtol=1e-9)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_common_coordinates_are_the_same_curve_and_their_derivatives_hold(law: Law) -> None:
    theta = random_coordinates(law, np.random.default_rng(6))
    own, by_theta = law.to_common(theta)
    back, by_own = law.from_common(own)
    np.testing.assert_allclose(back, theta, rtol=1e-12)
    if by_theta is None or by_own is None:
        assert by_theta is by_own is None
        return
    for i in range(law.k):
        step = np.zeros(law.k)
        step[i] = 1e-6
        numeric = (law.to_common(theta + step)[0] - law.to_common(theta - step)[0]) / 2e-6
        np.testing.assert_allclose(by_theta[:, :, i], numeric, rtol=1e-5, atol=1e-6)
        step *= np.maximum(1.0, np.abs(own[0, i]))
        numeric = (law.from_common(own + step)[0] - law.from_common(own - step)[0]) / (2.0 * step[i])
        np.testing.assert_allclose(by_own[:, :, i], numeric, rtol=1e-5, atol=1e-8)


def quantities_of(law: Law, theta: np.ndarray, rng: np.random.Generator) -> list[Quantity]:
    scale = Scale(rng.uniform(4.0, 13.0, SETS), np.zeros(SETS), np.full(SETS, 4.0))
    z = rng.uniform(1.0, 2.0, SETS)
    result = [*law.parameter_quantities(scale), value_quantity(law, scale, rng.uniform(-1.0, 6.0, SETS))]
    if law.name in ("saturating", "exp-decay"):
        result += [
            law.fall(rng.uniform(0.5, 1.5, SETS), 2.0),
            target_quantity(law, z, law.log_curve(theta, z[:, None])[0][:, 0]),
        ]
    return result


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_held_figure_has_the_value_it_is_held_at(law: Law) -> None:
    rng = np.random.default_rng(3)
    theta = random_coordinates(law, rng)
    for q in quantities_of(law, theta, rng):
        assert q.hold is not None
        t, gradient = q.functional(theta, ROWS)
        unknowns = theta if q.enter is None else q.enter(theta, t, ROWS)
        np.testing.assert_allclose(q.hold(unknowns, t, ROWS)[0], theta, atol=1e-6, err_msg=q.name)
        moved = unknowns + 0.02 * rng.standard_normal(unknowns.shape)
        held, by_unknown = q.hold(moved, t, ROWS)
        if q.name != "target":
            good = np.isclose(q.functional(held, ROWS)[0], t, rtol=1e-5)
            # A few random moves leave the region where the figure can be held at all.
            assert good.mean() > 0.85, q.name
        else:
            good = np.ones(SETS, dtype=bool)
        for i in range(law.k):
            step = np.zeros(law.k)
            step[i] = 1e-6
            numeric = (q.hold(moved + step, t, ROWS)[0] - q.hold(moved - step, t, ROWS)[0]) / 2e-6
            np.testing.assert_allclose(by_unknown[good][:, :, i], numeric[good], rtol=2e-3, atol=1e-5)
            if q.name != "target":
                forward, backward = q.functional(theta + step, ROWS)[0], q.functional(theta - step, ROWS)[0]
                np.testing.assert_allclose(gradient[:, i], (forward - backward) / 2e-6, rtol=1e-3, atol=1e-5)


def test_a_measurement_at_infinity_is_the_asymptote() -> None:
    law = LAWS["saturating"]
    theta = random_coordinates(law, np.random.default_rng(4))
    scale = Scale(np.zeros(SETS), np.zeros(SETS), np.full(SETS, 4.0))
    q = observation_quantity(law, scale, np.full(SETS, np.inf), "log")
    np.testing.assert_allclose(
        np.exp(q.functional(theta, ROWS)[0]), np.exp(theta[:, 0]) * theta[:, 1], rtol=1e-9
    )


@pytest.mark.parametrize("name", ["saturating", "exp-decay", "bnsl"])
def test_the_simpler_law_is_contained(name: str) -> None:
    law = LAWS[name]
    simple = law.simpler
    assert simple is not None
    rng = np.random.default_rng(5)
    theta = random_coordinates(simple, rng)
    if simple.name == "power":
        theta[:, 1] = -np.abs(theta[:, 1]) - 0.01
    z = rng.uniform(0.0, 4.0, (SETS, 6))
    richer = law.contained(theta)
    np.testing.assert_allclose(law.log_curve(richer, z)[0], simple.log_curve(theta, z)[0], rtol=1e-9)


@given(st.floats(-12, -5), st.floats(0.1, 3.0))
@settings(max_examples=40, deadline=None)
def test_exp_decay_is_smooth_where_it_becomes_saturating(log_c: float, a: float) -> None:
    z = np.linspace(0.0, 4.0, 5)[None]
    near = LAWS["exp-decay"].log_curve(np.array([[5.0, 0.3, np.log(a), 10.0**log_c]]), z)
    at = LAWS["saturating"].log_curve(np.array([[5.0, 0.3, np.log(a)]]), z)
    np.testing.assert_allclose(near[0], at[0], atol=30.0 * a * 10.0**log_c + 1e-12)
    assert np.all(np.isfinite(near[1]))


def test_an_unknown_law_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match="saturating, exp-decay, bnsl, joint, joint-coupled, joint-epochs"):
        get_law("exponential")
