"""Designs that leave a joint law's figures undetermined: they are said to be so, and no figure stands in their place."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.document import fit_blocks
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.rendering import to_csv
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.study import Study
from cvfp_cli.study.points import Points

N = np.repeat([5e7, 1e8, 4e8, 1e9], 4)
D = np.tile([1e9, 4e9, 2e10, 1e11], 4)
LARGEST = 1e30  # no figure of these data is anywhere near


def loss_at(n: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.asarray(1.82 + 482.0 / n**0.3478 + 2085.4 / d**0.3658)


def fitted(n: np.ndarray, d: np.ndarray, *, noise: float = 0.005, **options: object) -> Fit:
    y = loss_at(n, d) * np.exp(noise * np.random.default_rng(1).standard_normal(len(n)))
    return fit_joint_groups([Points(x=d, y=y, parameters=n, y_name="loss")], FitOptions(**options))  # type: ignore[arg-type]


DESIGNS: dict[str, tuple[Callable[[], tuple[np.ndarray, np.ndarray]], str, set[str]]] = {
    "fixed D / N": (lambda: (np.geomspace(1e7, 1e10, 16), 20 * np.geomspace(1e7, 1e10, 16)), "joint-fixed-ratio", {"A", "alpha", "B", "beta"}),
    "D a power of N": (lambda: (np.geomspace(1e7, 1e10, 16), np.geomspace(1e7, 1e10, 16) ** 1.2), "joint-fixed-ratio", {"A", "alpha", "B", "beta"}),
    "two model sizes": (lambda: (np.where(N < 2e8, 1e8, 1e9), D), "joint-two-model-sizes", {"E", "A", "alpha"}),
    "two data sizes": (lambda: (N, np.where(D < 1e10, 1e9, 1e11)), "joint-two-data-sizes", {"E", "B", "beta"}),
    "near-equal data sizes": (lambda: (N, 1e10 * D**0.003), "joint-unbounded", {"E", "B", "beta"}),
    "near-equal model sizes": (lambda: (1e8 * N**0.002, D), "joint-unbounded", {"A", "alpha", "B", "beta"}),
    "equal model sizes but for rounding": (lambda: (1e8 * (1 + 1e-6 * np.arange(16)), D), "joint-two-model-sizes", {"E", "A", "alpha"}),
    "four runs": (lambda: (N[[0, 5, 10, 15]], D[[0, 5, 10, 15]]), "joint-few-runs", {"E", "A", "alpha", "B", "beta"}),
}  # fmt: skip


@pytest.mark.parametrize("name", DESIGNS)
def test_what_the_runs_do_not_determine_has_a_reason_and_no_figure(name: str) -> None:
    design, code, without = DESIGNS[name]
    fit = fitted(*design(), predict=(1e12,), targets=(2.5,))
    assert {key for key, estimate in fit.parameters.items() if estimate.value is None} == without
    assert code in {note.code for note in fit.warnings}
    for key, estimate in fit.parameters.items():
        shape = estimate.to_json()
        assert ("reason" in shape) is (key in without)
        for figure in (shape["value"], shape["low"], shape["high"]):
            assert figure is None or figure < LARGEST
    shown = [row for block in fit_blocks(fit) for row in getattr(block, "rows", ())]
    assert {row[0] for row in shown if row[1] == "undetermined"} == without
    assert json.dumps(fit.to_json(), allow_nan=False)
    assert "undetermined" in fit.cheapest[0].reason


def test_a_prediction_far_from_one_line_of_sizes_is_as_wide_as_its_ignorance() -> None:
    n = np.geomspace(1e7, 1e10, 16)
    fit = fitted(n, 20 * n, pairs=((1e8, 2e9), (1e8, 1e13)))
    near, far = fit.predictions
    assert near.mean_low is not None
    assert near.mean_high is not None
    assert near.mean_high / near.mean_low < 1.02
    assert far.mean_low is not None
    assert far.mean_high is not None
    assert far.mean_low < loss_at(np.array(1e8), np.array(1e13)) < far.mean_high
    assert far.mean_high / far.mean_low > 1.1


def test_an_end_that_nothing_bounds_is_open() -> None:
    # Twelve public figures of bits per byte with dims of 512 to 768: alpha may be any large number.
    budget = np.array([1e18, 3e18, 1e19, 1e18, 3e18, 1e19, 3e19, 1e18, 3e18, 1e19, 3e19, 1e20])
    dim = np.array([512.0] * 3 + [640.0] * 4 + [768.0] * 5)
    y = np.array([1.074, 1.0375, 1.0129, 1.0668, 1.0202, 0.985, 0.9617, 1.0658, 1.0122, 0.9729, 0.9454, 0.9278])  # fmt: skip
    fit = fit_joint_groups([Points(x=budget, y=y, parameters=dim, y_name="c4_en_bpb")])
    assert fit.interval_method == "profile of the Huber loss"
    for name in ("A", "alpha"):
        assert fit.parameters[name].value is not None
        assert fit.parameters[name].high is None
    # Errors that models share at a budget leave E anywhere between 0 and the lowest loss.
    assert fit.parameters["E"].reason == "no value is ruled out"


def test_a_well_determined_fit_has_asymptotic_intervals_near_its_profiles() -> None:
    fit = fitted(N, D)
    assert fit.interval_method == "error components (M-estimate)"
    assert not any(estimate.reason for estimate in fit.parameters.values())


def test_perplexities_of_one_or_less_name_the_option_that_says_what_they_are() -> None:
    points = Points(x=D, y=loss_at(N, D) / 3.0, parameters=N, y_name="val_ppl")
    with pytest.raises(InputError) as caught:
        fit_joint_groups([points])
    assert "perplexities of 1 or less" in caught.value.message
    assert "--y-unit" in caught.value.hint


def test_runs_that_stand_out_are_named_with_the_fit_without_them() -> None:
    n, d = (part.ravel() for part in np.meshgrid(np.geomspace(5e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    assert "outliers" not in {note.code for note in fitted(n, d).warnings}
    y = loss_at(n, d) * np.exp(0.005 * np.random.default_rng(1).standard_normal(36))
    y[5] *= 1.3
    fit = fit_joint_groups([Points(x=d, y=y, parameters=n, y_name="loss")])
    (note,) = [note for note in fit.warnings if note.code == "outliers"]
    assert f"{n[5]:.4g}:{d[5]:.4g}" in note.message
    keep = np.arange(36) != 5
    rest = fit_joint_groups([Points(x=d[keep], y=y[keep], parameters=n[keep], y_name="loss")])
    alpha = rest.parameters["alpha"].value
    assert alpha is not None
    assert f"alpha = {alpha:.4g}" in note.message


def common(models: int, sizes: int, seed: int = 1) -> Points:
    """Runs of a grid that err together at a data size."""
    n, d = (
        part.ravel() for part in np.meshgrid(np.geomspace(1e7, 3.2e8, models), np.geomspace(1e8, 4e8, sizes))
    )
    rng = np.random.default_rng(seed)
    shared = np.repeat(0.02 * rng.standard_normal(sizes), models)
    y = loss_at(n, d) * np.exp(shared + 0.005 * rng.standard_normal(len(n)))
    return Points(x=d, y=y, parameters=n, y_name="loss", x_name="D", label="few")


ASKED = FitOptions(pairs=((1e9, 1e10), (1e7, 1e8)), targets=(3.8, 6.0), budgets=(1e20,))


@pytest.mark.parametrize("seed", range(3))
def test_no_more_data_sizes_than_parameters_leave_their_figures_without_intervals(seed: int) -> None:
    # What is left of three sizes' common errors are a Huber estimate's weights: intervals made of it ran from 1e-6 to 1e6.
    fit = fit_joint_groups([common(6, 3, seed)], ASKED)
    assert fit.compute is not None
    (split,) = fit.compute.splits
    parameters = [fit.parameters[name] for name in ("E", "B", "beta")]
    reached = [target for target in fit.targets if target.x is not None]
    assert reached
    figures = [
        *parameters, *fit.predictions, *reached, fit.compute.model_size, fit.compute.x,
        split.model_size, split.x, split.there, *(one for one in fit.cheapest if one.product),
    ]  # fmt: skip
    for figure in figures:
        assert figure is not None
        assert "no more data sizes" in figure.reason
        low, high = getattr(figure, "low", None), getattr(figure, "high", None)
        assert (low, high) == (None, None)
        assert getattr(figure, "mean_low", None) is None
    for name in ("A", "alpha"):  # models at one size tell these, whatever the size's error
        assert fit.parameters[name].low is not None
        assert fit.parameters[name].reason == ""
    assert "common-errors-unknown" in {note.code for note in fit.warnings}
    text = " ".join(str(block) for block in fit_blocks(fit))
    assert "open" not in text
    assert text.count("no more data sizes than parameters that only they tell") >= len(reached) + 4
    shape = json.loads(json.dumps(fit.to_json(), allow_nan=False))
    assert all(
        "no more data" in one["reason"] for one in (*shape["predictions"], shape["compute"]["x_exponent"])
    )
    lines = to_csv(Study((fit,), None)).splitlines()
    bare = [line for line in lines if line.split(",")[2] in ("prediction", "law", "target", "compute")]
    assert bare
    assert all("no more data" in line or "out of reach" in line for line in bare)


@pytest.mark.parametrize("fixed", [{}, {"E": 1.82}])
def test_one_data_size_more_or_a_parameter_less_gives_intervals(fixed: dict[str, float]) -> None:
    options = FitOptions(pairs=((1e7, 1e8),), hold_out=False)
    constraint = Constraint(fixed=tuple(fixed.items()))
    fit = fit_joint_groups([common(6, 3 if fixed else 4)], options, constraint=constraint)
    (there,) = fit.predictions
    assert there.reason == ""
    assert there.mean_low is not None
    assert fit.parameters["beta"].low is not None


def test_a_fit_without_freedom_says_so_of_what_it_is_asked() -> None:
    rows = [0, 1, 2, 4, 8]
    few = Points(x=D[rows], y=loss_at(N, D)[rows], parameters=N[rows], y_name="loss")
    fit = fit_joint_groups([few], FitOptions(pairs=((1e9, 1e10),), targets=(3.0,)))
    assert fit.interval_method == "none"
    told = [*fit.predictions, *(one for one in fit.targets if one.x is not None)]
    assert {one.reason for one in told} == {"no more runs than parameters"}


def test_terms_that_do_not_fall_but_for_rounding_split_no_budget() -> None:
    d, n = (part.ravel() for part in np.meshgrid(1e8 * 2.0 ** np.arange(6), 1e7 * 2.0 ** np.arange(6)))
    constant = Points(x=d, y=np.full(36, 1.8), parameters=n, y_name="loss")
    compute = fit_joint_groups([constant], FitOptions(budgets=(1e20,))).compute
    assert compute is not None
    assert (compute.model_size, compute.splits) == (None, ())
    assert "does not fall with both sizes" in compute.reason


def test_a_bootstrap_of_runs_that_err_together_says_what_it_does_not_see() -> None:
    for sizes in (3, 4):
        drawn = fit_joint_groups([common(6, sizes)], FitOptions(hold_out=False), replicates=40)
        assert "bootstrap-common-errors" in {note.code for note in drawn.warnings}
    plain = fit_joint_groups([common(6, 4)], FitOptions(hold_out=False))
    assert "bootstrap-common-errors" not in {note.code for note in plain.warnings}
