"""The joint law with parameters fixed or tied: the free fit where they agree with it, scipy's optimum elsewhere."""

import numpy as np
import pytest
from scipy import optimize, special

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint import THRESHOLD, HeldCoordinates, bootstrap_joint, fit_joint, joint_data
from cvfp_cli.scaling.joint_errors import joint_errors
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.joint_profile import design_flaws
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.study.points import Points

TRUTH = {"E": 1.82, "A": 482.0, "alpha": 0.3478, "B": 2085.4, "beta": 0.3658}
TIE = Constraint(tied=(("alpha", "beta"),))
NAMES = ("E", "A", "alpha", "B", "beta")


def fixed(**values: float) -> Constraint:
    return Constraint(fixed=tuple(values.items()))


def simulated(m: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, d = (np.exp(rng.uniform(np.log(low), np.log(high), m)) for low, high in ((4e7, 1.6e10), (5e9, 5e11)))
    loss = TRUTH["E"] + TRUTH["A"] / n ** TRUTH["alpha"] + TRUTH["B"] / d ** TRUTH["beta"]
    return n, d, loss * np.exp(0.02 * rng.standard_normal(m))


def as_points(n: np.ndarray, d: np.ndarray, loss: np.ndarray) -> list[Points]:
    return [Points(x=d, y=loss, label="all", parameters=n, y_name="val_loss")]


def huber_at(fit: Fit, n: np.ndarray, d: np.ndarray, loss: np.ndarray) -> float:
    e, a, alpha, b, beta = (fit.parameters[name].known for name in NAMES)
    return float(np.sum(special.huber(THRESHOLD, np.log(e + a / n**alpha + b / d**beta) - np.log(loss))))


def best_of_scipy(
    n: np.ndarray, d: np.ndarray, loss: np.ndarray, held: dict[str, float], *, tie: bool
) -> float:
    """The least Huber loss over what is free, from the true values, by a simplex that knows no derivatives."""
    centre = {"A": np.log(n).mean(), "B": np.log(d).mean()}
    free = [name for name in NAMES if name not in held and not (tie and name == "beta")]

    def cost(theta: np.ndarray) -> float:
        p = held | dict(zip(free, theta, strict=True))
        alpha, beta = p["alpha"], p["alpha"] if tie else p["beta"]
        value = (
            p["E"]
            + np.exp(p["A"] - alpha * (np.log(n) - centre["A"]))
            + np.exp(p["B"] - beta * (np.log(d) - centre["B"]))
        )
        return float(np.sum(special.huber(THRESHOLD, np.log(np.maximum(value, 1e-9)) - np.log(loss)))) * 1e4

    start = {
        "E": TRUTH["E"], "alpha": TRUTH["alpha"], "beta": TRUTH["beta"],
        "A": np.log(TRUTH["A"]) - TRUTH["alpha"] * centre["A"], "B": np.log(TRUTH["B"]) - TRUTH["beta"] * centre["B"],
    }  # fmt: skip
    x = np.array([start[name] for name in free])
    for _ in range(4):
        x = optimize.minimize(
            cost, x, method="Nelder-Mead", options={"maxiter": 8000, "xatol": 1e-10, "fatol": 1e-12}
        ).x
    return cost(x) / 1e4


@pytest.mark.parametrize("name", ["E", "alpha", "beta"])
def test_fixed_at_the_free_fits_value_it_is_the_free_fit(name: str) -> None:
    points = as_points(*simulated(60, 4))
    options = FitOptions(pairs=((1e10, 1e12),), hold_out=False)
    free = fit_joint_groups(points, options)
    fit = fit_joint_groups(points, options, constraint=fixed(**{name: free.parameters[name].known}))
    for other in NAMES:
        assert fit.parameters[other].value == pytest.approx(free.parameters[other].value, rel=1e-3)
    assert fit.rss_log == pytest.approx(free.rss_log, rel=1e-4)
    assert (fit.k, free.k) == (4, 5)
    assert fit.parameters[name].fixed
    assert fit.parameters[name].low is None
    assert fit.predictions[0].value == pytest.approx(free.predictions[0].value, rel=1e-4)


@pytest.mark.parametrize(
    ("held", "tie"),
    [
        ({"E": 1.6}, False),
        ({"alpha": 0.4}, False),
        ({"alpha": 0.3, "beta": 0.4}, False),
        ({}, True),
        ({"E": 1.7}, True),
    ],
)
def test_no_optimiser_finds_less_under_the_same_constraint(held: dict[str, float], tie: bool) -> None:
    n, d, loss = simulated(60, 5)
    constraint = Constraint(fixed=tuple(held.items()), tied=TIE.tied if tie else ())
    fit = fit_joint_groups(as_points(n, d, loss), FitOptions(hold_out=False), constraint=constraint)
    assert fit.k == 5 - len(held) - tie
    for name, value in held.items():
        assert fit.parameters[name].value == value
    if tie:
        assert fit.parameters["alpha"].value == fit.parameters["beta"].value
        assert fit.parameters["alpha"].low == pytest.approx(fit.parameters["beta"].low, rel=1e-6)
    assert huber_at(fit, n, d, loss) <= best_of_scipy(n, d, loss, held, tie=tie) * (1.0 + 1e-6)


def test_covariances_are_those_of_the_free_columns() -> None:
    # (J'J)^-1 of the columns that are left, by a matrix written out here.
    n, d, loss = simulated(200, 6)
    data = joint_data(n, d, loss, HeldCoordinates.of(Constraint(fixed=(("E", 1.8),), tied=TIE.tied)))
    fit = fit_joint(data)
    errors = joint_errors(fit, data, np.arange(200), np.arange(200))
    assert errors is not None
    assert fit.determined
    ln_e, ln_a, ln_b, alpha, beta = fit.theta
    assert alpha == beta
    parts = np.exp([np.full(len(n), ln_e), ln_a - alpha * data.u, ln_b - beta * data.v])
    share = parts / parts.sum(axis=0)
    columns = np.column_stack([share[1], share[2], -share[1] * data.u - share[2] * data.v])
    expected = np.linalg.inv(columns.T @ columns)
    assert errors.model.workings.bread == pytest.approx(expected, rel=1e-8)
    assert errors.variance(np.eye(5)[0])[0] == 0.0
    assert errors.variance(np.eye(5)[4])[0] == pytest.approx(errors.variance(np.eye(5)[3])[0])


@pytest.mark.parametrize("constraint", [fixed(E=TRUTH["E"]), fixed(alpha=TRUTH["alpha"])])
def test_fixed_at_the_truth_the_others_errors_shrink(constraint: Constraint) -> None:
    # Relative to the noise, which each fit estimates anew: most for what was traded with it.
    n, d, loss = simulated(120, 7)
    errors = []
    for one in (Constraint(), constraint):
        data = joint_data(n, d, loss, HeldCoordinates.of(one))
        fit = fit_joint(data)
        widths = joint_errors(fit, data, np.arange(120), np.arange(120))
        assert widths is not None
        matrix = data.held.matrix
        errors.append(np.sqrt(np.diag(matrix @ widths.model.workings.bread @ matrix.T)))
        assert [widths.half_width(row, 0.95) == 0.0 for row in np.eye(5)] == list(data.held.fixed)
    ratio = (errors[1] / errors[0])[errors[1] > 0.0]
    assert len(ratio) == 4
    assert np.all(ratio < 1.1)
    assert np.min(ratio) < 0.7


def test_the_bootstrap_and_held_out_refits_keep_the_constraint() -> None:
    n, d, loss = simulated(60, 8)
    data = joint_data(n, d, loss, HeldCoordinates.of(Constraint(fixed=(("E", 1.8),), tied=TIE.tied)))
    draws = bootstrap_joint(data, fit_joint(data), 50, 1)
    assert np.all(draws[:, 0] == np.log(1.8))
    assert np.all(draws[:, 3] == draws[:, 4])
    assert np.ptp(draws[:, 3]) > 0.0
    points = as_points(n, d, loss)
    # Held far off the truth, what is left out is missed by more.
    errors = [
        fit_joint_groups(points, constraint=one).forward_error for one in (Constraint(), fixed(beta=2.0))
    ]
    assert errors[1] > errors[0]  # type: ignore[operator]
    fit = fit_joint_groups(points, replicates=200, constraint=fixed(E=1.8))
    assert fit.interval_method == "case bootstrap"
    assert fit.parameters["E"].low is None
    assert fit.parameters["alpha"].low < fit.parameters["alpha"].known < fit.parameters["alpha"].high  # type: ignore[operator]


def grid(models: int, sizes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, d = (
        part.ravel() for part in np.meshgrid(1e8 * 4.0 ** np.arange(models), 1e10 * 4.0 ** np.arange(sizes))
    )
    rng = np.random.default_rng(3)
    loss = TRUTH["E"] + TRUTH["A"] / n ** TRUTH["alpha"] + TRUTH["B"] / d ** TRUTH["beta"]
    return n, d, loss * np.exp(0.002 * rng.standard_normal(len(n)))


def test_what_a_design_cannot_tell_a_fixed_parameter_can() -> None:
    n, d, loss = grid(2, 6)
    flaw = {"two-model-sizes": ("E", "A", "alpha")}
    for constraint, expected in (
        (Constraint(), flaw),
        (fixed(beta=0.37), flaw),
        (fixed(E=1.82), {}),
        (TIE, {}),
    ):
        assert design_flaws(joint_data(n, d, loss, HeldCoordinates.of(constraint))) == expected
    fit = fit_joint_groups(as_points(n, d, loss), constraint=fixed(E=TRUTH["E"]))
    alpha = fit.parameters["alpha"]
    assert alpha.low is None or alpha.low < TRUTH["alpha"]
    assert alpha.value == pytest.approx(TRUTH["alpha"], rel=0.3)
    assert fit_joint_groups(as_points(n, d, loss)).parameters["alpha"].value is None


@pytest.mark.parametrize(
    "constraint", [fixed(E=1.8), fixed(alpha=0.33, beta=0.36), TIE, fixed(E=1.75, alpha=0.35)]
)
def test_profiles_of_small_designs_have_the_estimate_within(constraint: Constraint) -> None:
    fit = fit_joint_groups(as_points(*grid(3, 4)), FitOptions(pairs=((1e10, 1e12),)), constraint=constraint)
    for name in NAMES:
        estimate = fit.parameters[name]
        if estimate.fixed or estimate.value is None:
            continue
        assert estimate.low is None or estimate.low <= estimate.value
        assert estimate.high is None or estimate.high >= estimate.value
    there = fit.predictions[0]
    assert there.mean_low is not None
    assert there.mean_high is not None
    assert there.mean_low < there.value < there.mean_high


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (fixed(A=400.0), "A of joint cannot be fixed"),
        (fixed(gamma=1.0), "none of joint has a parameter 'gamma'"),
        (fixed(alpha=0.0), "alpha=0: joint has no such law"),
        (fixed(E=-1.0), "E=-1: joint has no such law"),
        (fixed(E=50.0), "no run has a loss above it"),
        (Constraint(tied=(("A", "B"),)), "not of one kind"),
        (Constraint(("alpha",)), "--share has no answer from the joint law"),
    ],
)
def test_what_cannot_be_held_is_refused_by_name(constraint: Constraint, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_study(as_points(*simulated(30, 1)), Request(laws=("joint",), constraint=constraint))


def test_groups_are_pooled_under_the_constraint() -> None:
    n, d, loss = grid(5, 6)
    own = [
        Points(x=part[1], y=part[2], label=label, parameters=part[0], y_name="val_loss")
        for label, part in (("a", (n, d, loss)), ("b", (2.0 * n, 1.5 * d, loss)))
    ]
    for constraint, k in ((Constraint(), 5), (fixed(E=1.82), 4), (TIE, 4), (fixed(alpha=0.35, beta=0.36), 3)):
        pool = fit_joint_groups(own, constraint=constraint).pool
        assert pool is not None
        assert (pool.df1, pool.df2) == (k, 60 - 2 * k)


def test_the_cheapest_run_has_a_narrower_interval_where_the_exponents_are_given() -> None:
    points = as_points(*grid(5, 6))
    options = FitOptions(targets=(2.2,), hold_out=False)
    widths = []
    for constraint in (Constraint(), fixed(alpha=TRUTH["alpha"], beta=TRUTH["beta"])):
        cheapest = fit_joint_groups(points, options, constraint=constraint).cheapest[0]
        assert cheapest.model_size.low is not None
        assert cheapest.model_size.high is not None
        assert cheapest.model_size.low < cheapest.model_size.known < cheapest.model_size.high
        widths.append(cheapest.model_size.high / cheapest.model_size.low)
    assert widths[1] < widths[0]
