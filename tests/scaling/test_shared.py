"""Shared parameters: against closed forms, recovery of known ones, and errors common to all configurations."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.shared_fits import constrained_origins, fit_constrained
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.stats.regression import least_squares
from cvfp_cli.study.points import Holdout, Points


def lines(
    groups: int, sizes: int, own: float, common: float, seed: int, slope: float = -0.45
) -> list[Points]:
    rng = np.random.default_rng(seed)
    x = 6e4 * 2.0 ** np.arange(sizes)
    shock = common * rng.standard_normal(sizes)
    return [
        Points(
            x,
            (500 + 40 * g) * (x / x[0]) ** slope * np.exp(shock + own * rng.standard_normal(sizes)),
            label=f"c{g}",
        )
        for g in range(groups)
    ]


def decays(groups: int, sizes: int, noise: float, seed: int) -> list[Points]:
    rng = np.random.default_rng(seed)
    x = 6e4 * 2.0 ** np.arange(sizes)
    shape = np.exp(-0.0145 * x**0.42)
    return [
        Points(
            x,
            (100 + 8 * g + (2500 + 200 * g) * shape) * np.exp(noise * rng.standard_normal(sizes)),
            label=f"c{g}",
        )
        for g in range(groups)
    ]


def test_one_slope_for_all_is_the_covariance_model() -> None:
    # Where all groups have all sizes, the slope rests on the sizes' means, and its interval is that of their line.
    groups = lines(4, 6, own=0.03, common=0.0, seed=11)
    fits = fit_constrained(groups, "power", Constraint(shared=("alpha",)))
    rows = [(g, np.log(x), np.log(y)) for g, p in enumerate(groups) for x, y in zip(p.x, p.y, strict=True)]
    columns = np.array([[*(g == i for i in range(4)), x] for g, x, _ in rows], dtype=float)
    line = least_squares(columns, [y for _, _, y in rows])
    alpha = fits[0].parameters["alpha"]
    assert alpha.shared
    assert alpha.value == pytest.approx(line.values[4], abs=1e-7)
    assert sum(fit.rss_log for fit in fits) == pytest.approx(line.rss)
    assert fits[0].k == 5
    mean_y = np.mean([np.log(points.y) for points in groups], axis=0)
    means = least_squares(np.column_stack([np.ones(6), np.log(groups[0].x)]), mean_y).coefficients[1]
    assert (alpha.low, alpha.high) == pytest.approx((means.low, means.high), rel=1e-6)
    assert len({fit.parameters["alpha"].value for fit in fits}) == 1
    assert len({fit.parameters["A"].value for fit in fits}) == 4


def test_common_errors_are_seen_and_widen_the_interval() -> None:
    calm = fit_constrained(lines(9, 6, own=0.02, common=0.0, seed=5), "power", Constraint(shared=("alpha",)))[
        0
    ]
    shaken = fit_constrained(
        lines(9, 6, own=0.02, common=0.05, seed=5), "power", Constraint(shared=("alpha",))
    )[0]

    def width(fit: object) -> float:
        alpha = fit.parameters["alpha"]  # type: ignore[attr-defined]
        return float(alpha.high - alpha.low)

    assert "common-errors" in {note.code for note in shaken.warnings}
    assert width(shaken) > 3 * width(calm)


@pytest.mark.pinned_only("many data sets for what other tests do with one")
@pytest.mark.parametrize("common", [0.0, 0.04])
def test_shared_slope_intervals_hold_the_truth(common: float) -> None:
    held = 0
    for seed in range(80):
        alpha = fit_constrained(
            lines(6, 6, own=0.02, common=common, seed=seed), "power", Constraint(shared=("alpha",))
        )[0].parameters["alpha"]
        assert alpha.low is not None
        assert alpha.high is not None
        held += alpha.low <= -0.45 <= alpha.high
    assert held / 80 > 0.87


def test_sharing_determines_what_one_configuration_cannot() -> None:
    groups = decays(9, 5, noise=0.002, seed=2)
    alone = fit_groups(groups, "exp-decay")[0]
    fits = fit_constrained(
        groups,
        "exp-decay",
        Constraint(
            shared=(
                "b",
                "c",
            )
        ),
    )
    c = fits[0].parameters["c"]
    assert c.low is not None
    assert c.low < 0.42 < (c.high or np.inf)
    width = [fit.parameters["ppl_min"].high or np.inf for fit in (alone, fits[0])]
    assert width[1] < width[0]
    held = 0
    for g, fit in enumerate(fits):
        floor = fit.parameters["ppl_min"]
        assert floor.low is not None
        held += floor.low < 100 + 8 * g < (floor.high or np.inf)
    assert held >= 7


def test_as_many_sizes_as_parameters_give_shared_figures_no_interval() -> None:
    """The means of four sizes are met whatever the law misses them by, however many configurations share them."""
    fits = fit_constrained(
        decays(9, 4, noise=0.002, seed=2),
        "exp-decay",
        Constraint(
            shared=(
                "b",
                "c",
            )
        ),
    )
    c = fits[0].parameters["c"]
    assert c.value == pytest.approx(0.42, abs=0.1)
    assert c.low is None
    assert c.high is None
    assert "common-errors-unknown" in {note.code for note in fits[0].warnings}


@pytest.mark.parametrize("share", [["ppl_min"], ["a"], ["ppl_min", "a"]])
@pytest.mark.parametrize("objective", ["log", "ppl"])
def test_sharing_costs_fit_and_its_values_are_the_same_everywhere(share: list[str], objective: str) -> None:
    groups = decays(3, 6, noise=0.02, seed=3)
    options = FitOptions(objective=objective, predict=(1e7,))
    own = fit_groups(groups, "saturating", options)
    fits = fit_constrained(groups, "saturating", Constraint(shared=tuple(share)), options)
    scale = "rss_log" if objective == "log" else "rss_ppl"
    assert sum(getattr(fit, scale) for fit in fits) >= sum(getattr(fit, scale) for fit in own) * (1 - 1e-9)
    for name in share:
        assert len({round(fit.parameters[name].value or 0.0, 9) for fit in fits}) == 1
        assert all(fit.parameters[name].shared for fit in fits)
    for fit in fits:
        prediction = fit.predictions[0]
        assert prediction.low is not None
        assert prediction.low < prediction.value < (prediction.high or np.inf)


def test_an_end_of_a_far_prediction_is_where_the_least_squares_say() -> None:
    # By a general optimiser: the rise of the sum of squares at both ends is the same.
    groups, far = decays(2, 8, noise=0.02, seed=1), 1e7
    fits = fit_constrained(groups, "exp-decay", Constraint(shared=("c",)), FitOptions(predict=(far,)))
    z, zero = np.log(groups[0].x / groups[0].x[0]), np.log(groups[0].x[0])
    log_y = np.log([points.y for points in groups])

    def curve(floor: float, excess: float, a: float, c: float, at: np.ndarray) -> np.ndarray:
        return np.log(floor + np.exp(excess - np.exp(a) * np.expm1(c * at) / c))

    def least(held: str, value: float) -> float:
        def errors(u: np.ndarray) -> np.ndarray:
            curves = [curve(*u[3 * g : 3 * g + 3], u[6], z) for g in range(2)]
            at = (z[-1], z[-1] + np.log(2.0)) if held == "fall" else (np.log(far) - zero,)
            there = [curve(*u[:3], u[6], one) for one in at]
            there = there[0] - sum(there[1:])
            heavy = 3e4 if held == "fall" else 300.0
            return np.append((log_y - curves).ravel(), heavy * (there - value))

        best = np.inf
        for c in (0.2, 0.5, 1.0):
            start = [90.0, 7.5, -1.0, 90.0, 7.5, -1.0, c]
            low = [0.0, 0.0, -9.0, 0.0, 0.0, -9.0, 1e-6]
            got = optimize.least_squares(errors, start, bounds=(low, [np.inf] * 6 + [5.0]), x_scale="jac")
            best = min(best, 2.0 * got.cost)
        return best - sum(fit.rss_log for fit in fits)

    prediction = fits[0].predictions[0]
    assert prediction.mean_low is not None
    assert prediction.mean_high is not None
    rise = least("y", np.log(prediction.mean_low))
    assert rise > 1e-4
    assert least("y", np.log(prediction.mean_high)) == pytest.approx(rise, rel=0.02)
    fall = fits[0].per_doubling
    assert fall is not None
    assert fall.low is not None
    assert fall.high is not None
    rise = least("fall", -np.log1p(-fall.low / 100.0))
    assert rise > 1e-4
    assert least("fall", -np.log1p(-fall.high / 100.0)) == pytest.approx(rise, rel=0.02)


@pytest.mark.pinned_only("many data sets for what other tests do with one")
def test_intervals_of_shared_falls_hold_the_truth() -> None:
    # 0.97 of 180 in a longer run, 0.93 where the groups err together.
    x = np.geomspace(1e4, 1e6, 6)
    laws = [lambda n, g=g: 60.0 + 20.0 * g + (3e4 + 1e4 * g) * n**-0.6 for g in range(3)]
    held = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        groups = [Points(x, law(x) * np.exp(0.02 * rng.standard_normal(6))) for law in laws]
        options = FitOptions(hold_out=False)
        fits = fit_constrained(groups, "saturating", Constraint(shared=("a",)), options)
        for law, fit in zip(laws, fits, strict=True):
            fall = fit.per_doubling
            assert fall is not None
            truth = 100.0 * (1.0 - law(2e6) / law(1e6))
            held.append((fall.low or 0.0) <= truth <= (fall.high or 100.0))
    assert np.mean(held) > 0.85


def test_a_law_without_the_parameter_is_fitted_on_its_own() -> None:
    groups = lines(3, 5, own=0.02, common=0.0, seed=1)
    assert [f.to_json() for f in fit_constrained(groups, "power", Constraint(shared=("c",)))] == [
        f.to_json() for f in fit_groups(groups, "power")
    ]


@pytest.mark.parametrize(("law", "share"), [("power", ["A"]), ("exp-decay", ["b"]), ("bnsl", ["c0"])])
def test_what_cannot_be_shared_is_refused(law: str, share: list[str]) -> None:
    with pytest.raises(InputError, match="--share"):
        fit_constrained(lines(3, 5, own=0.02, common=0.0, seed=1), law, Constraint(shared=tuple(share)))


def test_rolling_origins_cut_all_groups_at_once() -> None:
    groups = lines(3, 6, own=0.0, common=0.0, seed=1)
    origins = constrained_origins(groups, "power", Constraint(shared=("alpha",)), "log")
    assert {(o.group, o.sizes) for o in origins} == {(g, j) for g in range(3) for j in range(2, 6)}
    assert max(o.error for o in origins) == pytest.approx(0.0, abs=1e-7)


def test_shared_fits_are_held_to_what_another_column_hides() -> None:
    groups = lines(3, 6, own=0.02, common=0.0, seed=4)
    hidden = [replace(points, holdout=Holdout("draw", np.arange(6.0) % 2, each=True)) for points in groups]
    fits = fit_constrained(hidden, "power", Constraint(shared=("alpha",)))
    # By least squares of ln y, with one slope and a level each, on the points of the other draw.
    z = np.log(groups[0].x / groups[0].x[0])
    log_y = np.log([points.y for points in groups])
    for g, fit in enumerate(fits):
        errors = []
        for draw in (0, 1):
            keep = np.arange(6) % 2 != draw
            centred = z[keep] - z[keep].mean()
            slope = (log_y[:, keep] @ centred).sum() / (3 * centred @ centred)
            level = log_y[g, keep].mean() - slope * z[keep].mean()
            errors += list(level + slope * z[~keep] - log_y[g, ~keep])
        assert fit.held_out_by == "draw"
        assert fit.forward_error == pytest.approx(np.mean(np.abs(errors)), rel=1e-6)
        assert len(fit.held_out) == 6


@pytest.mark.parametrize(("sizes", "fitted"), [(3, False), (4, True)])
def test_unasked_a_law_is_shared_where_sizes_and_not_runs_outnumber_its_unknowns(
    sizes: int, fitted: bool
) -> None:
    """One asymptote and three parameters for each of two groups are 7 unknowns; three runs a size are 18 or 24."""
    rng = np.random.default_rng(1)
    x = 1e5 * 2.0 ** np.repeat(np.arange(sizes), 3)
    groups = [
        Points(x, (50.0 + 400.0 * (x / 1e5) ** -0.5) * np.exp(0.01 * rng.standard_normal(len(x))), label=name)
        for name in ("a", "b")
    ]
    request = Request(constraint=Constraint(shared=("ppl_min",)), options=FitOptions(hold_out=False))
    study = run_study(groups, request)
    assert ("exp-decay" in {fit.law for fit in study.fits}) is fitted
