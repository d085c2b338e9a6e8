"""Weighted fits and points held out by a column: closed forms, covered truths, and what refuses them by name."""

from typing import Any

import numpy as np
import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.bootstrap import bootstrap_groups
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_groups, fit_law
from cvfp_cli.scaling.held_out import hidden_masks
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.study.points import Holdout, Points

N = np.geomspace(1e5, 1e8, 8)
SD = np.where(np.arange(8) % 2 == 0, 0.001, 0.01)


def drawn(count: int, *, weighted: bool = True, sd: np.ndarray = SD, **fields: Any) -> list[Points]:
    rng = np.random.default_rng(1)
    weights = 5.0 / sd**2 if weighted else None
    return [
        Points(
            x=N,
            y=300 * N**-0.2 * np.exp(sd * rng.standard_normal(8)),
            label=str(i),
            weights=weights,
            **fields,
        )
        for i in range(count)
    ]


def test_a_weighted_line_is_the_closed_form_with_its_t_interval() -> None:
    (whole,) = drawn(1)
    assert whole.weights is not None
    points = Points(
        x=whole.x[::2], y=whole.y[::2], weights=whole.weights[::2] * np.array([1.0, 2.0, 3.0, 4.0])
    )
    fit = fit_law(points, "power")
    w, x, y = points.relative_weights, np.log(points.x), np.log(points.y)
    design = np.column_stack([np.ones(4), x])
    gram = design.T @ (w[:, None] * design)
    level, slope = np.linalg.solve(gram, design.T @ (w * y))
    rss = float(w @ (y - level - slope * x) ** 2)
    half = 4.302652730 * np.sqrt(rss / 2 * np.linalg.inv(gram)[1, 1])
    alpha = fit.parameters["alpha"]
    assert [alpha.low, alpha.value, alpha.high] == pytest.approx(
        [slope - half, slope, slope + half], rel=1e-8
    )
    assert fit.rss_log == pytest.approx(rss, rel=1e-10)


def test_only_the_ratios_of_weights_matter_and_equal_ones_change_nothing() -> None:
    (points,), (plain,) = drawn(1), drawn(1, weighted=False)
    assert points.weights is not None
    for law in ("power", "saturating"):
        times = Points(x=points.x, y=points.y, label="0", weights=1e6 * points.weights)
        assert fit_law(points, law).parameters["A"].low == pytest.approx(
            fit_law(times, law).parameters["A"].low, rel=1e-6
        )
        equal = Points(x=plain.x, y=plain.y, label="0", weights=np.full(8, 3.0))
        assert fit_law(equal, law) == fit_law(plain, law)


def test_a_whole_weight_is_as_many_rows() -> None:
    (plain,) = drawn(1, weighted=False)
    count = np.array([1, 2, 1, 3, 1, 1, 2, 1])
    weighted = fit_law(Points(x=plain.x, y=plain.y, weights=count.astype(float)), "saturating")
    repeated = fit_law(Points(x=np.repeat(plain.x, count), y=np.repeat(plain.y, count)), "saturating")
    for name in ("ppl_min", "A", "a"):
        assert weighted.parameters[name].value == pytest.approx(repeated.parameters[name].value, rel=1e-6)


def test_intervals_of_weighted_fits_cover_and_are_shorter() -> None:
    fits, blind = (
        fit_groups(drawn(300, weighted=on), "power", FitOptions(predict=(1e9,))) for on in (True, False)
    )
    inside = [fit.parameters["alpha"].low <= -0.2 <= fit.parameters["alpha"].high for fit in fits]  # type: ignore[operator]
    assert 0.92 <= np.mean(inside) <= 0.99
    truth = 300 * 1e9**-0.2
    law = [fit.predictions[0].mean_low <= truth <= fit.predictions[0].mean_high for fit in fits]  # type: ignore[operator]
    assert 0.92 <= np.mean(law) <= 0.99
    width, without = (
        np.median([fit.parameters["alpha"].high - fit.parameters["alpha"].low for fit in each])  # type: ignore[operator]
        for each in (fits, blind)
    )
    assert width < 0.5 * without


@pytest.mark.parametrize("kind", ["residual", "parametric", "case"])
def test_bootstraps_of_weighted_fits_cover(kind: str) -> None:
    fits = bootstrap_groups(drawn(60), "power", FitOptions(), replicates=200, seed=1, kind=kind)
    inside = [fit.parameters["alpha"].low <= -0.2 <= fit.parameters["alpha"].high for fit in fits]  # type: ignore[operator]
    assert np.mean(inside) >= 0.85
    width = np.median([fit.parameters["alpha"].high - fit.parameters["alpha"].low for fit in fits])  # type: ignore[operator]
    assert width < 0.003  # unweighted: 0.0047


def test_replicates_of_other_precision_give_the_pure_error_of_weight_one() -> None:
    rng = np.random.default_rng(2)
    n, sd = np.repeat(N, 3), np.tile([0.001, 0.004, 0.01], 8)
    y = [300 * n**-0.2 * np.exp(sd * rng.standard_normal(24)) for _ in range(200)]
    fits = fit_groups([Points(x=n, y=one, weights=sd**-2.0) for one in y], "power")
    pure = np.array([fit.replicates.pure_sd for fit in fits if fit.replicates])
    assert np.sqrt(np.mean(pure**2)) == pytest.approx(np.mean(sd**-2.0) ** -0.5, rel=0.05)
    rejected = [
        fit.replicates.lack_of_fit_p < 0.05 for fit in fits if fit.replicates and fit.replicates.lack_of_fit_p
    ]
    assert np.mean(rejected) < 0.11


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            Request(laws=("power",), constraint=Constraint(("alpha",))),
            "--weights cannot be combined with --share",
        ),
        (Request(laws=("joint",)), "--weights cannot be used by joint"),
    ],
)
def test_what_cannot_use_weights_says_so(request_: Request, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_study(drawn(2, parameters=np.geomspace(1e6, 1e8, 8)), request_)


def test_joint_is_left_out_of_all_laws_where_there_are_weights() -> None:
    rows = [
        Points(
            x=N,
            y=2 + 300 * N**-0.3 + k,
            parameters=np.full(8, 10.0**k),
            weights=SD**-2.0,
            y_name="loss",
            label=f"{k}",
        )
        for k in (5, 6, 7)
    ]
    study = run_study(rows, Request())
    assert "joint-left-out" in {note.code for note in study.notes}
    assert "--weights" in next(note.message for note in study.notes if note.code == "joint-left-out")


def test_weights_must_be_above_0() -> None:
    with pytest.raises(InputError, match="Weights in a must be"):
        Points(x=N, y=N, label="a", weights=np.zeros(8))


def test_the_largest_values_or_each_value_are_held_out() -> None:
    assert [list(mask) for mask in hidden_masks(np.array([1.0, 3.0, 3.0]), 1)] == [[False, True, True]]
    assert len(hidden_masks(np.array([0.0, 1.0, 2.0, 1.0]), 1, each=True)) == 3
    (plain,) = drawn(1, weighted=False)
    first = Holdout("kind", np.array([1.0, 1, 0, 0, 0, 0, 0, 0]), each=False)
    by = fit_law(Points(x=plain.x, y=plain.y, holdout=first), "power")
    assert [point.x for point in by.held_out] == pytest.approx(list(N[:2]))
    assert by.held_out_by == "kind"
    each = Holdout("set", np.array([0.0, 1, 0, 1, 0, 1, 0, 1]), each=True)
    both = fit_law(Points(x=plain.x, y=plain.y, holdout=each), "power")
    assert len(both.held_out) == 8
    slope, level = np.polyfit(np.log(N[1::2]), np.log(plain.y[1::2]), 1)
    expected = {x: np.exp(level + slope * np.log(x)) for x in N[::2]}
    for point in both.held_out:
        if point.x in expected:
            assert point.predicted == pytest.approx(expected[point.x], rel=1e-8)
