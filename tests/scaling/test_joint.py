"""The joint law: known parameters recovered, the optimum a general optimiser finds, intervals that hold the truth."""

import numpy as np
import pytest
from scipy import optimize

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.document import fit_blocks
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint import THRESHOLD, fit_joint, joint_data, log_loss_at
from cvfp_cli.scaling.joint_errors import MET
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.stats.huber import huber_loss
from cvfp_cli.study.points import Points

TRUTH = {"E": 1.82, "A": 482.0, "alpha": 0.3478, "B": 2085.4, "beta": 0.3658}


def simulated(m: int, seed: int, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = np.exp(rng.uniform(np.log(4e7), np.log(1.6e10), m))
    d = np.exp(rng.uniform(np.log(5e9), np.log(5e11), m))
    loss = TRUTH["E"] + TRUTH["A"] / n ** TRUTH["alpha"] + TRUTH["B"] / d ** TRUTH["beta"]
    return n, d, loss * np.exp(noise * rng.standard_normal(m))


def as_points(n: np.ndarray, d: np.ndarray, loss: np.ndarray, *, y_name: str = "val_loss") -> list[Points]:
    y = loss if y_name == "val_loss" else np.exp(loss)
    return [Points(x=d, y=y, label="all", parameters=n, y_name=y_name)]


@pytest.mark.pinned_only("many data sets for what other tests do with one")
def test_known_parameters_lie_within_their_intervals() -> None:
    held = dict.fromkeys(TRUTH, 0)
    for seed in range(25):
        fit = fit_joint_groups(as_points(*simulated(200, seed)))
        for name, truth in TRUTH.items():
            estimate = fit.parameters[name]
            assert estimate.low is not None
            assert estimate.high is not None
            held[name] += estimate.low <= truth <= estimate.high
    assert all(count >= 20 for count in held.values()), held


def test_many_runs_without_noise_give_the_parameters_back() -> None:
    fit = fit_joint_groups(as_points(*simulated(200, 0, noise=0.0)))
    for name, truth in TRUTH.items():
        assert fit.parameters[name].value == pytest.approx(truth, rel=1e-3)


def test_a_law_that_meets_every_run_has_no_criteria_and_one_reason() -> None:
    """Its AIC was that of rounding, -1371, and its header said that nothing is left, with 15 runs to spare."""
    n, d = (part.ravel() for part in np.meshgrid(1e6 * 2.0 ** np.arange(5), 1e7 * 3.0 ** np.arange(4)))
    loss = 1.8 + 400 * n**-0.35 + 400 * d**-0.3
    fit = fit_joint_groups(as_points(n, d, loss), FitOptions(predict=(1e8,)))
    assert (fit.aic, fit.aicc, fit.bic) == (None, None, None)
    assert {one.reason for one in fit.parameters.values()} == {MET}
    assert [one.reason for one in fit.predictions] == [MET]
    text = "\n".join(str(block) for block in fit_blocks(fit))
    assert f"no intervals, {MET}." in text
    assert "nothing is left" not in text
    assert "no interval: " not in text


def test_no_optimiser_finds_a_lower_loss() -> None:
    data = joint_data(*simulated(120, 3))
    fit = fit_joint(data)

    def loss(theta: np.ndarray) -> float:
        r = data.log_loss - log_loss_at(theta[None], data.u[None], data.v[None])[0]
        return float(huber_loss(r, np.ones_like(r), THRESHOLD)[0])

    rng = np.random.default_rng(1)
    best = min(
        optimize.minimize(
            loss,
            fit.theta + 0.1 * rng.standard_normal(5),
            method="Nelder-Mead",
            options={"maxiter": 6000, "maxfev": 6000, "xatol": 1e-9, "fatol": 1e-14},
        ).fun
        for _ in range(4)
    )
    assert fit.loss <= best * (1.0 + 1e-6)
    assert fit.loss == pytest.approx(loss(fit.theta))


def test_an_outlier_hardly_moves_the_fit() -> None:
    n, d, loss = simulated(100, 4, noise=0.005)
    plain = fit_joint_groups(as_points(n, d, loss)).parameters["alpha"].value
    loss[10] *= 1.5
    moved = fit_joint_groups(as_points(n, d, loss)).parameters["alpha"].value
    assert moved == pytest.approx(plain, abs=0.01)


def test_perplexities_are_fitted_as_their_logarithms() -> None:
    n, d, loss = simulated(80, 5)
    by_loss = fit_joint_groups(as_points(n, d, loss))
    by_ppl = fit_joint_groups(as_points(n, d, loss, y_name="val_ppl"))
    for name in TRUTH:
        assert by_ppl.parameters[name].value == pytest.approx(by_loss.parameters[name].value, rel=1e-6)
    assert by_ppl.fitted[0].predicted == pytest.approx(np.exp(by_loss.fitted[0].predicted), rel=1e-6)


def test_bootstrap_is_repeatable_and_near_the_asymptotic_interval() -> None:
    points = as_points(*simulated(200, 6))
    one, two = (fit_joint_groups(points, replicates=200, seed=3) for _ in range(2))
    assert one.to_json() == two.to_json()
    plain = fit_joint_groups(points)
    for name in ("alpha", "beta"):
        width = [f.parameters[name].high - f.parameters[name].low for f in (one, plain)]  # type: ignore[operator]
        assert 0.5 < width[0] / width[1] < 2.0


def test_without_an_asymptote_it_is_at_its_edge_with_an_upper_end() -> None:
    n, d, _ = simulated(150, 7)
    loss = 482.0 / n**0.3478 + 2085.4 / d**0.3658
    fit = fit_joint_groups(
        as_points(n, d, loss * np.exp(0.02 * np.random.default_rng(0).standard_normal(150)))
    )
    floor = fit.parameters["E"]
    assert floor.value == pytest.approx(0.0, abs=0.1)
    assert floor.high is not None


def test_held_out_and_predictions() -> None:
    fit = fit_joint_groups(as_points(*simulated(60, 8)), FitOptions(holdout=5, predict=(1e12,)))
    assert len(fit.held_out) == 5
    assert fit.forward_error is not None
    assert fit.forward_error < 0.1
    assert fit.loo_error is not None
    assert 0.005 < fit.loo_error < 0.05
    prediction = fit.predictions[0]
    assert prediction.extrapolated
    assert prediction.low is not None
    assert prediction.low < prediction.value < prediction.high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n, d, y: (None, d, y), "parameter counts"),
        (lambda n, d, y: (np.full_like(n, 1e6), d, y), "two different model sizes"),
        (lambda n, d, y: (n, np.full_like(d, 1e6), y), "two different data sizes"),
    ],
)
def test_data_that_cannot_carry_it_are_refused(change: object, words: str) -> None:
    n, d, loss = change(*simulated(20, 1))  # type: ignore[operator]
    with pytest.raises(InputError, match=words):
        fit_joint_groups([Points(x=d, y=loss, parameters=n, y_name="val_loss")])
