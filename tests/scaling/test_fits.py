"""What a fit is and says: invariances, nesting, limits, missing freedom, replicates, held-out errors, JSON."""

import json
import re
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.errors import InputError
from cvfp_cli.laws.registry import LAWS
from cvfp_cli.notes import Note
from cvfp_cli.scaling import held_out
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_groups, fit_law
from cvfp_cli.scaling.global_fit import fit_curves
from cvfp_cli.scaling.rendering import to_text
from cvfp_cli.scaling.shared_fits import fit_constrained
from cvfp_cli.scaling.study import Study
from cvfp_cli.stats.regression import least_squares
from cvfp_cli.study.points import Points

X = 6e4 * 2.0 ** np.arange(6)
NOISE = np.exp(0.02 * np.random.default_rng(0).standard_normal(6))


def falling(m: int = 6, floor: float = 90.0, noise: float = 0.02, seed: int = 1) -> Points:
    rng = np.random.default_rng(seed)
    x = 6e4 * 2.0 ** np.arange(m)
    return Points(
        x, (floor + 500.0 * (x / x[0]) ** -0.6) * np.exp(noise * rng.standard_normal(m)), label="2L"
    )


def codes(fit: Any) -> set[str]:
    return {note.code for note in fit.warnings}


@pytest.mark.parametrize("law", ["power", "saturating", "exp-decay"])
@pytest.mark.parametrize("objective", ["log", "ppl"])
def test_rows_and_units_do_not_matter(law: str, objective: str) -> None:
    points = falling()
    order = np.random.default_rng(2).permutation(6)
    fit = fit_law(points, law, objective=objective)
    shuffled = fit_law(Points(points.x[order], points.y[order], label="2L"), law, objective=objective)
    assert shuffled.to_json() == fit.to_json()
    thousands = fit_law(Points(points.x / 1000.0, points.y, label="2L"), law, objective=objective)
    assert thousands.rss_log == pytest.approx(fit.rss_log, rel=1e-9)
    for name in ("ppl_min", "alpha", "a", "c"):
        if name in fit.parameters:
            for part in ("value", "low", "high"):
                one, other = (getattr(f.parameters[name], part) for f in (fit, thousands))
                assert (one is None) == (other is None)
                if one is not None:
                    assert other == pytest.approx(one, rel=2e-3, abs=1e-6)


@pytest.mark.pinned_only("many data sets for what other tests do with one")
@pytest.mark.parametrize("objective", ["log", "ppl"])
@given(seed=st.integers(0, 10_000), noise=st.floats(0.0, 0.5))
@settings(max_examples=20, deadline=None)
def test_a_law_never_fits_worse_than_one_it_contains(objective: str, seed: int, noise: float) -> None:
    batch = make_batch([falling(5, noise=noise, seed=seed + i) for i in range(10)], objective)
    rss = [fit_curves(LAWS[law], batch.data, starts=8).rss for law in ("power", "saturating", "exp-decay")]
    falls = fit_curves(LAWS["power"], batch.data, starts=8).theta[:, 1] < 0.0
    assert np.all((rss[1] <= rss[0] * (1 + 1e-9) + 1e-18)[falls])
    assert np.all(rss[2] <= rss[1] * (1 + 1e-9) + 1e-18)


def test_batch_and_single_fits_agree() -> None:
    groups = [falling(m, seed=m) for m in (5, 6, 8)]
    together = fit_groups(groups, "saturating", FitOptions(predict=(1e7,)))
    for points, fit in zip(groups, together, strict=True):
        alone = fit_law(points, "saturating", predict=(1e7,))
        assert fit.rss_log == pytest.approx(alone.rss_log, rel=1e-9)
        assert fit.parameters["a"].high == pytest.approx(alone.parameters["a"].high, rel=1e-3)
        assert fit.predictions[0].low == pytest.approx(alone.predictions[0].low, rel=2e-3)


def test_no_asymptote_in_the_data_ends_at_the_power_law() -> None:
    x = 1e5 * 2.0 ** np.arange(6)
    # Steeper at the end: any asymptote makes it worse.
    y = 600.0 * (x / x[0]) ** -0.5 * np.array([0.98, 1.0, 1.01, 1.02, 1.0, 0.97])
    fit, line = fit_law(Points(x, y), "saturating"), fit_law(Points(x, y), "power")
    assert fit.limit == "power"
    assert "limit-power" in codes(fit)
    assert fit.parameters["ppl_min"].value == 0.0
    assert fit.parameters["ppl_min"].at_bound
    assert fit.parameters["ppl_min"].low == 0.0
    assert fit.parameters["ppl_min"].high is not None
    assert fit.rss_log == pytest.approx(line.rss_log)
    assert fit.parameters["a"].value == pytest.approx(-line.parameters["alpha"].value, rel=1e-6)  # type: ignore[operator]


def test_no_faster_fall_in_the_data_ends_at_the_saturating_law() -> None:
    x = 1e5 * 2.0 ** np.arange(7)
    # An excess that falls ever more slowly than a power of n.
    y = 80.0 + 500.0 * np.exp(-0.8 * np.log(x / x[0]) ** 0.8)
    fit, simple = fit_law(Points(x, y), "exp-decay"), fit_law(Points(x, y), "saturating")
    assert fit.limit == "saturating"
    assert fit.parameters["b"].value is None
    assert fit.parameters["A"].value is None
    assert fit.parameters["b"].high is None
    assert fit.parameters["c"].value == 0.0
    assert fit.parameters["c"].at_bound
    assert fit.parameters["ppl_min"].value == pytest.approx(simple.parameters["ppl_min"].value, rel=1e-6)
    message = next(note.message for note in fit.warnings if note.code == "limit-saturating")
    assert f"{simple.parameters['a'].value:.4g}" in message


@pytest.mark.parametrize("law", ["saturating", "exp-decay"])
def test_no_fall_at_all_ends_at_a_constant(law: str) -> None:
    x = 1e5 * 2.0 ** np.arange(6)
    fit = fit_law(Points(x, np.array([200.0, 203.0, 199.0, 204.0, 206.0, 209.0])), law)
    assert fit.limit == "constant"
    assert "limit-constant" in codes(fit)
    assert fit.parameters["ppl_min"].value == pytest.approx(203.5, rel=0.01)


def test_a_step_is_called_one() -> None:
    x = 1e5 * 2.0 ** np.arange(6)
    fit = fit_law(Points(x, np.array([400.0, 100.5, 99.5, 100.2, 99.8, 100.1])), "saturating")
    assert fit.limit == "step" or fit.parameters["a"].value > 5  # type: ignore[operator]
    assert fit.parameters["a"].high is None


def test_rising_data_are_said_to_rise() -> None:
    x = 1e5 * 2.0 ** np.arange(4)
    fit = fit_law(Points(x, np.array([100.0, 110.0, 125.0, 130.0])), "power", targets=(50.0,))
    assert "rising" in codes(fit)
    assert fit.targets[0].x is None
    assert "does not fall" in fit.targets[0].reason


def test_four_points_and_four_parameters() -> None:
    fit = fit_law(falling(4), "exp-decay", predict=(1e7,))
    assert fit.interval_method == "none"
    assert "no-freedom" in codes(fit)
    assert "--share" in next(note.message for note in fit.warnings if note.code == "no-freedom")
    assert all(p.low is None and p.high is None for p in fit.parameters.values())
    assert fit.rss_log >= 0.0
    assert fit.loo_error is None
    assert fit.forward_error is None
    assert fit.predictions[0].low is None


def test_fewer_points_than_parameters_is_fitted_and_said() -> None:
    fit = fit_law(falling(3), "exp-decay")
    assert "underdetermined" in codes(fit)
    assert fit.rss_log == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("law", ["power", "saturating"])
def test_exact_data_have_intervals_as_wide_as_rounding(law: str) -> None:
    """All figures are known to 1e-6 of y at best; a target is no exception."""
    x = 1e5 * 2.0 ** np.arange(7)
    floor = 20.0 if law == "saturating" else 0.0
    there = floor + 1000.0 * 1e6**-0.25
    fit = fit_law(Points(x, floor + 1000.0 * x**-0.25), law, targets=(there,), predict=(1e6,))
    slope, target, new = fit.parameters["alpha" if floor == 0.0 else "a"], fit.targets[0], fit.predictions[0]
    assert abs(slope.known) == pytest.approx(0.25, rel=1e-6)
    for low, value, high in (
        (slope.low, slope.known, slope.high),
        (target.low, 1e6, target.high),
        (new.low, there, new.high),
    ):
        assert low is not None
        assert high is not None
        assert 1e-7 < (value - low) / abs(value) < 1e-3
        assert 1e-7 < (high - value) / abs(value) < 1e-3
    assert fit.aic is None


@pytest.mark.parametrize("constraint", [Constraint(shared=("alpha",)), Constraint(fixed=(("alpha", -0.25),))])
def test_a_constraint_does_not_change_what_exact_data_tell(constraint: Constraint) -> None:
    """There were no intervals, for "nothing left to make them from", and an AICc of -1272."""
    x = 1e5 * 2.0 ** np.arange(6)
    groups = [Points(x, level * x**-0.25, label=str(level)) for level in (1000.0, 1100.0)]
    for fit in fit_constrained(groups, "power", constraint, FitOptions(hold_out=False)):
        a = fit.parameters["A"]
        assert a.low is not None
        assert a.high is not None
        assert 1e-7 < 1.0 - a.low / a.known < 1e-4
        assert 1e-7 < a.high / a.known - 1.0 < 1e-4
        assert (fit.aic, fit.aicc, fit.bic) == (None, None, None)


def test_of_a_constant_nothing_but_the_level_is_told() -> None:
    fit = fit_law(Points(1000.0 * 2.0 ** np.arange(6), np.full(6, 50.0)), "saturating")
    assert fit.parameters["ppl_min"].value == pytest.approx(50.0)
    assert (fit.parameters["A"].value, fit.parameters["a"].value) == (None, None)


def test_leave_one_out_and_forward_errors_are_refits() -> None:
    points = falling(6)
    fit = fit_law(points, "power", holdout=2)
    errors = []
    for i in range(6):
        keep = np.arange(6) != i
        slope, level = np.polyfit(np.log(points.x[keep]), np.log(points.y[keep]), 1)
        errors.append(abs(level + slope * np.log(points.x[i]) - np.log(points.y[i])))
    assert fit.loo_error == pytest.approx(np.mean(errors))
    slope, level = np.polyfit(np.log(points.x[:4]), np.log(points.y[:4]), 1)
    predicted = np.exp(level + slope * np.log(points.x[4:]))
    assert [p.predicted for p in fit.held_out] == pytest.approx(predicted)
    assert fit.forward_error == pytest.approx(np.mean(np.abs(np.log(predicted / points.y[4:]))))


def test_information_criteria() -> None:
    fit = fit_law(falling(8), "saturating")
    m, k = 8, 3
    assert fit.aic == pytest.approx(m * np.log(fit.rss_ppl / m) + 2 * k)
    assert fit.aicc == pytest.approx(
        m * np.log(fit.rss_log / m) + 2 * (k + 1) + 2 * (k + 1) * (k + 2) / (m - k - 2)
    )
    assert fit.bic == pytest.approx(m * np.log(fit.rss_log / m) + k * np.log(m))


def test_replicates_give_pure_error_and_the_larger_variance() -> None:
    rng = np.random.default_rng(3)
    sizes = np.repeat(1e5 * 2.0 ** np.arange(5), 3)
    line = 600.0 * (sizes / 1e5) ** -0.4
    quiet = Points(sizes, line * np.exp(0.01 * rng.standard_normal(15)), sizes=sizes)
    fit = fit_law(quiet, "power")
    assert fit.replicates is not None
    assert fit.replicates.pure_df == 10
    assert fit.replicates.pure_sd == pytest.approx(0.01, rel=0.6)
    # A common error at each size: seeds repeat it, so they must not shrink the interval as if they did not.
    shock = np.repeat(np.exp(0.05 * rng.standard_normal(5)), 3)
    shaken = Points(sizes, quiet.y * shock, sizes=sizes)
    fit = fit_law(shaken, "power")
    assert fit.replicates is not None
    assert fit.replicates.lack_of_fit_p is not None
    assert fit.replicates.lack_of_fit_p < 0.01
    means = np.exp(np.log(shaken.y).reshape(5, 3).mean(axis=1))
    on_means = fit_law(Points(sizes[::3], means), "power").parameters["alpha"]
    assert fit.parameters["alpha"].low == pytest.approx(on_means.low)
    assert fit.parameters["alpha"].high == pytest.approx(on_means.high)


def test_only_sizes_with_replicates_are_counted_as_such() -> None:
    x = np.array([1e4, 1e4, 1e4, 2e4, 2e4, 4e4, 8e4])
    noise = np.array([0.0, 0.01, -0.01, 0.01, -0.01, 0.005, -0.005])
    fit = fit_groups([Points(x, 1e5 * x**-0.5 * np.exp(noise), "a")], "power")[0]
    assert fit.replicates is not None
    assert (fit.replicates.sizes, fit.replicates.pure_df) == (2, 3)
    assert "Replicates at 2 sizes:" in to_text(Study((fit,), None))


def test_repeats_that_agree_exactly_are_told_once_and_leave_the_curve_to_judge_by() -> None:
    x = np.repeat(1e4 * 2.0 ** np.arange(4), 3)
    y = np.repeat([500.0, 350.0, 260.0, 180.0], 3)
    text = to_text(Study(fit_groups([Points(x, y, "a")], "power"), None))
    told = " ".join(text.split())
    assert "agree in every digit" in told
    assert "intervals use the scatter of the means of the sizes about the curve" in told
    assert "lack-of-fit" not in told
    assert told.count("80,000 predicted") == 1


@pytest.mark.parametrize(
    ("slope", "said"),
    [(-0.5, "a power law falls to 0"), (0.0, "neither falls nor rises"), (0.5, "rises without end")],
)
def test_only_a_law_that_falls_is_said_to_fall_to_0(slope: float, said: str) -> None:
    x = 1e4 * 2.0 ** np.arange(5)
    text = to_text(Study(fit_groups([Points(x, 300.0 * (x / 1e4) ** slope, "a")], "power"), None))
    assert f"{said}." in text
    assert "-0.0 %" not in text


def test_predictions_are_labelled_and_contain_the_law() -> None:
    fit = fit_law(falling(), "saturating", predict=(1e5, 1e8, float("inf")))
    inside, far, end = fit.predictions
    assert not inside.extrapolated
    assert far.extrapolated
    assert end.extrapolated
    for p in fit.predictions:
        assert p.low is not None
        assert p.mean_low is not None
        assert p.low <= p.mean_low + 1e-9 <= p.value
        assert p.high is not None
        assert p.mean_high is not None
        assert p.value <= p.mean_high <= p.high + 1e-9
    assert end.value == pytest.approx(fit.parameters["ppl_min"].value)
    assert end.mean_high == pytest.approx(fit.parameters["ppl_min"].high, rel=1e-3)


def test_a_target_is_where_the_law_is_there_and_its_ends_are_where_the_band_is() -> None:
    fit = fit_law(falling(), "saturating", targets=(150.0, 20.0, 1e9))
    reached, below, above = fit.targets
    assert reached.x is not None
    there = fit_law(falling(), "saturating", predict=(reached.x, reached.low or 1.0)).predictions
    assert there[0].value == pytest.approx(150.0, rel=1e-6)
    # At the low end of n the law's own band just touches the target.
    assert there[1].mean_low == pytest.approx(150.0, rel=2e-3)
    assert below.x is None
    assert "falls to" in below.reason
    assert above.x is not None or "never above" in above.reason


def test_a_power_laws_target_interval_is_the_band_inverted() -> None:
    points = falling(floor=0.0)
    target = fit_law(points, "power", targets=(60.0,)).targets[0]
    assert target.low is not None
    assert target.high is not None
    ends = fit_law(points, "power", predict=(target.low, target.high)).predictions
    assert ends[0].mean_low == pytest.approx(60.0, rel=2e-3)
    assert ends[1].mean_high == pytest.approx(60.0, rel=2e-3)


def test_local_exponents_are_windowed_lines() -> None:
    points = falling(6)
    windows = fit_law(points, "power", window=4).local_exponents
    assert len(windows) == 3
    line = least_squares(np.column_stack([np.ones(4), np.log(points.x[1:5])]), np.log(points.y[1:5]))
    assert windows[1].estimate.value == pytest.approx(line.values[1])
    assert windows[1].x_low == points.x[1]


def test_json_has_the_documented_shape_and_no_nan() -> None:
    fit = fit_law(falling(), "exp-decay", predict=(1e7, float("inf")), targets=(100.0, 1.0), window=3)
    shape = json.loads(json.dumps(fit.to_json(), allow_nan=False))
    wanted = {
        "config", "law", "x", "objective", "points", "parameters", "r_squared", "rss", "aic", "aicc", "bic",
        "loo_error", "forward_error", "per_doubling", "per_tenfold", "asymptote", "fitted", "predictions", "warnings",
    }  # fmt: skip
    assert wanted <= set(shape)
    assert set(shape["parameters"]["c"]) == {"value", "low", "high", "shared", "at_bound"}
    assert set(shape["rss"]) == {"ppl", "log"}
    assert set(shape["fitted"][0]) == {"x", "y", "predicted", "error"}
    assert {"x", "value", "low", "high", "extrapolated"} <= set(shape["predictions"][0])
    assert set(shape["warnings"][0]) == {"code", "message"} if shape["warnings"] else True


def test_notes_of_the_points_travel_with_the_fit() -> None:
    note = Note("mixed-data", "two data sets", "warning")
    points = Points(X, 1000.0 * X**-0.2 * NOISE, notes=(note,))
    assert note in fit_law(points, "power").warnings


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (lambda: Points(np.array([1.0]), np.array([2.0])).require_fittable(), "at least two"),
        (
            lambda: Points(np.array([5.0, 5.0]), np.array([2.0, 3.0])).require_fittable(),
            "two different sizes",
        ),
        (lambda: Points(np.array([1.0, 2.0]), np.array([2.0, 0.0])), "above 0"),
        (lambda: Points(np.array([1.0, 2.0]), np.array([2.0, np.nan])), "finite"),
        (lambda: Points(np.array([1.0, np.inf]), np.array([2.0, 1.0])), "finite"),
        (lambda: Points(np.array([1.0]), np.array([2.0, 1.0])), "length"),
    ],
)
def test_bad_points_are_answered_in_a_line(points: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        points()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "nats"},
        {"level": 1.0},
        {"level": 0.0},
        {"predict": (-1.0,)},
        {"predict": (float("nan"),)},
        {"targets": (float("inf"),)},
        {"holdout": 0},
        {"window": 1},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        fit_law(falling(), "power", **options)


def test_bnsl_recovers_a_break() -> None:
    rng = np.random.default_rng(4)
    x = 1e4 * 2.0 ** np.arange(14)
    clean = 20.0 + 3000.0 * (x / 1e4) ** -0.1 * (1.0 + (x / 4e5) ** 4.0) ** (-0.5 / 4.0)
    fit = fit_law(Points(x, clean * np.exp(0.003 * rng.standard_normal(14))), "bnsl")
    broken = fit_law(Points(x, clean), "saturating")
    assert fit.rss_log < 0.05 * broken.rss_log
    assert fit.parameters["d"].value == pytest.approx(4e5, rel=0.3)
    assert fit.parameters["c0"].value == pytest.approx(0.1, abs=0.04)
    low, high = fit.parameters["c0"].low, fit.parameters["c0"].high
    assert low is not None
    assert high is not None
    assert low < 0.1 < high


def described(fit: Any) -> str:
    return to_text(Study((fit,), None))


def test_many_sizes_are_refitted_in_bounded_memory_and_tell_the_same() -> None:
    """Above 50 points refits without an inner point start from the optimum; below it they are fits of their own."""
    rng = np.random.default_rng(3)
    x = np.geomspace(1e8, 1e12, 60)
    y = (1.8 + 2e4 * x**-0.43) * np.exp(0.01 * rng.standard_normal(60))
    for law in ("saturating", "exp-decay"):
        batch = make_batch([Points(x, y)], "log")
        fits = fit_curves(LAWS[law], batch.data, starts=24)
        near = held_out.own_pools(LAWS[law], batch, fits).leave_one_out()
        before, held_out.FEW = held_out.FEW, 60
        try:
            anew = held_out.own_pools(LAWS[law], batch, fits).leave_one_out()
        finally:
            held_out.FEW = before
        assert near == pytest.approx(anew, rel=1e-7)
    assert held_out.origins(3, 9) == [3, 4, 5, 6, 7, 8]
    many = held_out.origins(3, 1000)
    assert len(many) <= held_out.MOST_ORIGINS
    assert many[-1] == 999
    assert len(set(np.diff(many))) == 1


def test_a_large_batch_needs_no_more_than_its_pieces() -> None:
    rng = np.random.default_rng(3)
    x = np.geomspace(1e8, 1e12, 400)
    y = (1.8 + 2e4 * x**-0.43) * np.exp(0.01 * rng.standard_normal(400))
    tracemalloc.start()
    try:
        fit_law(Points(x, y), "exp-decay")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # 2.8 GB when all refits were posed at once


def test_a_rise_is_said_to_be_one_and_flat_data_are_neither() -> None:
    x = 1000.0 * 2.0 ** np.arange(8)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(8))
    rise = fit_law(Points(x, 50.0 * (x / 1000) ** 0.4 * noise), "power")
    assert "rising" in codes(rise)
    assert re.search(r"val_ppl rises by 3\d\.\d %", described(rise))
    assert "this one rises without end" in described(rise)
    for y in (np.full(8, 100.0), 100.0 * noise):
        flat = fit_law(Points(x, y), "power")
        assert "flat" in codes(flat)
        assert "rising" not in codes(flat)
    constant = described(fit_law(Points(x, np.full(8, 100.0)), "power"))
    assert "changes by less than 1e-06 %" in constant
    assert "falls to 0" not in constant


def test_a_fall_without_digits_is_none() -> None:
    x = 1000.0 * 2.0 ** np.arange(8)
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(8))
    fit = fit_law(Points(x, (50.0 + 100.0 * np.exp(-x / 1500)) * noise), "exp-decay")
    assert "e-" not in re.search(r"val_ppl (falls|changes).*", described(fit))[0].replace("1e-06", "")  # type: ignore[index]


def test_a_fall_of_anything_up_to_all_is_not_determined() -> None:
    losses = np.array([3.004, 3.003, 3.000, 3.006, 2.993, 2.998, 2.995, 3.006])
    said = described(fit_law(Points(1e6 + np.arange(8), losses), "saturating"))
    assert "falls by 100" not in said
    assert "is not determined: no fall is ruled out" in said


def test_a_size_of_nothing_is_named() -> None:
    with pytest.raises(InputError, match="--predict: 0 is not above 0") as refused:
        FitOptions(predict=(1.0, 0.0))
    assert "1e6 for 1,000,000" in refused.value.hint


def test_intervals_that_nobody_sees_are_not_found() -> None:
    fit = fit_law(falling(8), "saturating", predict=(1e7,), intervals=False)
    seen = fit_law(falling(8), "saturating", predict=(1e7,))
    assert fit.predictions[0].value == seen.predictions[0].value
    assert fit.predictions[0].mean_low is None
    assert seen.predictions[0].mean_low is not None


def test_a_slope_through_nearly_equal_sizes_is_no_number() -> None:
    x = 1000.0 + 0.001 * np.arange(8)
    y = 100.0 * np.exp(0.01 * np.random.default_rng(0).standard_normal(8))
    for law in ("power", "bnsl"):
        fit = fit_law(Points(x, y), law, predict=(1e6,))
        for name, estimate in fit.parameters.items():
            for figure in (estimate.value, estimate.low, estimate.high):
                assert figure is None or abs(figure) < 1e30, f"{law} {name}"
    assert "undetermined" in codes(fit_law(Points(x, y), "power"))
    assert "1.000007 times" in described(fit_law(Points(x, y), "power"))


def test_a_new_run_of_bnsl_at_a_measured_size_errs_as_the_runs_there_do() -> None:
    """Where f ends at its bound three sizes had leverages of 1 and residuals all the same: "3.9 .. 522" around 49.8."""
    x = 1000.0 * 2.0 ** np.arange(8)
    y = [187.391809, 142.049856, 108.262784, 85.784888, 69.465582, 58.10243, 49.806707, 44.025178]
    fit = fit_law(Points(x, np.array(y)), "bnsl", predict=(16_000.0, 64_000.0), hold_out=False)
    assert fit.parameters["f"].value == pytest.approx(0.01)
    for at, measured in zip(fit.predictions, (y[4], y[6]), strict=True):
        assert at.low is not None
        assert at.high is not None
        assert measured / 1.03 < at.low < measured < at.high < measured * 1.03


def test_bnsl_says_how_little_it_knows_beyond_a_break_at_the_end() -> None:
    x = 1000.0 * 2.0 ** np.arange(8)
    errors = np.exp([0.002, -0.001, 0.003, -0.002, 0.001, -0.003, 0.002, 0.0])
    y = 300.0 * (x / 1000) ** -0.1 * np.where(np.arange(8) < 7, 1.0, 0.8) * errors
    fit = fit_law(Points(x, y), "bnsl", predict=(1e6, float("inf")))
    d, (far, endless) = fit.parameters["d"], fit.predictions
    assert d.high is None  # a break beyond the data cannot be seen
    assert fit.per_doubling
    assert fit.per_doubling.low is not None
    assert fit.per_doubling.high is not None
    assert fit.per_doubling.low < 25.0
    assert fit.per_doubling.high > 99.0
    assert far.low == 0.0
    assert far.high is None or far.high > 60.0
    assert fit.asymptote
    assert (fit.asymptote.low, fit.asymptote.high) == (endless.mean_low, endless.mean_high)


def test_the_asymptote_is_as_open_as_the_prediction_at_infinity() -> None:
    """A break at the largest size: E is bounded by what was measured, but nothing says that the law ends there."""
    y = np.array([191.59, 141.75, 106.37, 85.364, 69.604, 58.268, 48.796, 43.012])
    points = Points(1000.0 * 2.0 ** np.arange(8), y)
    fit = fit_law(points, "bnsl", predict=(float("inf"),), hold_out=False)
    (endless,) = fit.predictions
    assert fit.parameters["d"].value == pytest.approx(128_000)
    assert fit.asymptote
    assert fit.distance
    assert (fit.asymptote.low, fit.asymptote.high) == (endless.mean_low, endless.mean_high) == (0.0, None)
    assert (fit.distance.low, fit.distance.high) == (None, pytest.approx(43.012))


def test_repeats_that_agree_do_not_test_lack_of_fit() -> None:
    x = np.repeat([1000.0, 2000.0, 4000.0, 8000.0], 2)
    said = described(fit_law(Points(x, np.repeat([100.0, 80.0, 70.0, 66.0], 2)), "power"))
    assert "no size to spare" not in said
    assert "repeats agree in every digit" in said


def test_a_note_on_the_data_is_said_once() -> None:
    points = replace(falling(), notes=(Note("mixed-data", "2L: two data sets.", "warning"),))
    study = Study((fit_law(points, "power"), fit_law(points, "saturating")), None)
    assert to_text(study).count("two data sets") == 1


@pytest.mark.parametrize("seeds", [1, 4])
@pytest.mark.parametrize("window", [4, 5])
def test_a_windows_interval_is_that_of_a_power_law_through_its_sizes(window: int, seeds: int) -> None:
    rng = np.random.default_rng(3)
    means = falling(6)
    x, y = np.repeat(means.x, seeds), np.repeat(means.y, seeds)
    points = Points(x, y * np.exp(1e-3 * rng.standard_normal(len(y))))
    for first, found in enumerate(fit_law(points, "power", window=window).local_exponents):
        part = points.only((points.size_index >= first) & (points.size_index < first + window))
        alone = fit_law(part, "power").parameters["alpha"]
        estimate = found.estimate
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
            (alone.value, alone.low, alone.high), rel=1e-6
        )
        assert found.points == window * seeds


def test_a_window_of_four_sizes_has_the_interval_of_the_textbook() -> None:
    points = falling(6)
    found = fit_law(points, "power", window=4).local_exponents[1].estimate
    design = np.column_stack([np.ones(4), np.log(points.x[1:5])])
    line = least_squares(design, np.log(points.y[1:5]), names=("level", "slope"))["slope"]
    assert (found.low, found.high) == pytest.approx((line.low, line.high), rel=1e-6)


def test_two_sizes_leave_a_window_no_interval_however_many_seeds_there_are() -> None:
    rng = np.random.default_rng(3)
    means = falling(4)
    x, y = np.repeat(means.x, 5), np.repeat(means.y, 5)
    fit = fit_law(Points(x, y * np.exp(1e-3 * rng.standard_normal(20))), "power", window=2)
    assert [(w.estimate.low, w.estimate.high) for w in fit.local_exponents] == [(None, None)] * 3
    assert fit.local_exponents[0].estimate.value == pytest.approx(
        np.log(means.y[1] / means.y[0]) / np.log(means.x[1] / means.x[0]), rel=0.01
    )


@pytest.mark.parametrize(("law", "sizes"), [("power", 2), ("saturating", 3), ("exp-decay", 3)])
def test_seeds_are_no_advice_where_sizes_are_missing(law: str, sizes: int) -> None:
    means = falling(sizes)
    x, y = np.repeat(means.x, 5), np.repeat(means.y, 5)
    fit = fit_law(Points(x, y * np.exp(0.01 * np.random.default_rng(0).standard_normal(len(y)))), law)
    (note,) = (note for note in fit.warnings if note.code in ("no-freedom", "underdetermined"))
    assert "More sizes" in note.message
    assert "seeds" not in note.message
