"""Forecasts of the mixture of laws: held in simulation where a single law fails, and told before any law."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from cvfp_cli.scaling.bootstrap import bootstrap_groups
from cvfp_cli.scaling.constraint import FREE, Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.forecasts import forecasts
from cvfp_cli.scaling.rendering import to_csv, to_json, to_text
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.study.points import Points

FIRST = 60_000.0


def saturating(sizes: int, sets: int, seed: int = 0, noise: float = 0.01) -> tuple[list[Points], float]:
    """Data sets of 80 + A n^-0.5 with noise, and the truth at ten times the largest size."""
    rng = np.random.default_rng(seed)
    x = FIRST * 2.0 ** np.arange(sizes)

    def curve(n: np.ndarray) -> np.ndarray:
        return np.asarray(80.0 + 420.0 * (n / FIRST) ** -0.5)

    groups = [
        Points(x=x, y=curve(x) * np.exp(noise * rng.standard_normal(sizes)), label=str(i))
        for i in range(sets)
    ]
    return groups, float(curve(np.array([10.0 * x[-1]]))[0])


@pytest.mark.parametrize("objective", ["log", "ppl"])
@pytest.mark.parametrize(
    ("floor", "slope", "best"), [(0.0, 0.3, "power"), (20.0, 0.3, "saturating"), (50.0, 0.0, "power")]
)
def test_of_laws_that_meet_all_points_the_simplest_has_most_weight(
    floor: float, slope: float, best: str, objective: str
) -> None:
    """It was the one whose residuals happened to be 0 where others were 1e-16; and a line of 1e-16 "bends"."""
    x = 1000.0 * 2.0 ** np.arange(6)
    points = Points(x=x, y=floor + (500.0 * x**-slope if slope else 0.0 * x))
    (found,) = forecasts([points], FitOptions(objective=objective), {}, mixed=True)
    assert max(found.weights, key=lambda law: found.weights[law]) == best
    assert found.decided == ""
    assert (found.curvature.verdict == "curved") == (best == "saturating")


@pytest.mark.pinned_only("many data sets for what other tests do with one")
def test_the_mixture_holds_where_a_power_law_does_not() -> None:
    groups, truth = saturating(6, 60)
    options = FitOptions(predict=(10.0 * float(groups[0].x[-1]),))
    alone = [fit.predictions[0] for fit in fit_groups(groups, "power", options)]
    mixed = [one.predictions[0] for one in forecasts(groups, options, {}, mixed=True)]
    held_alone, held_mixed = (
        np.mean([(p.mean_low or 0.0) <= truth <= (p.mean_high or np.inf) for p in each])
        for each in (alone, mixed)
    )
    assert held_alone < 0.4
    assert held_mixed > 0.88


def test_it_lies_between_the_laws_and_weights_sum_to_one() -> None:
    groups, _ = saturating(7, 3)
    far = 10.0 * float(groups[0].x[-1])
    options = FitOptions(predict=(far, float("inf")), targets=(100.0,))
    for points, one in zip(groups, forecasts(groups, options, {}, mixed=True), strict=True):
        assert sum(one.weights.values()) == pytest.approx(1.0)
        own = [fit_groups([points], law, options)[0] for law in one.weights]
        values = [fit.predictions[0].value for fit in own]
        assert min(values) * 0.999 <= one.predictions[0].value <= max(values) * 1.001
        first, last = float(points.x[0]), float(points.x[-1])
        assert one.distances[0] == pytest.approx(np.log(far / last) / np.log(last / first))
        assert one.distances[1] == float("inf")
        assert one.asymptote is not None
        assert one.asymptote.low is not None
        assert one.asymptote.low <= 80.0 <= (one.asymptote.high or np.inf)
        assert one.predictions[1].mean_high == pytest.approx(one.asymptote.high, rel=1e-6)


def test_fits_at_hand_are_used_and_change_nothing() -> None:
    groups, _ = saturating(6, 2)
    options = FitOptions(predict=(1e8,))
    known = {law: fit_groups(groups, law, options) for law in ("power", "exp-decay")}
    assert forecasts(groups, options, known, mixed=True) == forecasts(groups, options, {}, mixed=True)


def test_with_four_sizes_the_richest_law_that_they_test_has_all_the_weight() -> None:
    groups, _ = saturating(4, 1)
    (one,) = forecasts(groups, FitOptions(), {}, mixed=True)
    assert one.weights == {"power": 0.0, "saturating": pytest.approx(1.0)}
    assert one.decided == ""


def test_three_sizes_leave_power_alone_and_two_nothing() -> None:
    groups, _ = saturating(3, 1)
    (one,) = forecasts(groups, FitOptions(), {}, mixed=True)
    assert list(one.weights) == ["power"]
    assert one.asymptote is not None
    assert one.asymptote.high == 0.0
    groups, _ = saturating(2, 1)
    (one,) = forecasts(groups, FitOptions(), {}, mixed=True)
    assert one.weights == {}


def test_a_target_below_every_asymptote_is_not_reached() -> None:
    groups, _ = saturating(8, 1, noise=0.001)
    (one,) = forecasts(groups, FitOptions(targets=(60.0, 200.0)), {}, mixed=True)
    never, soon = one.targets
    assert never.x is None
    assert "never reach" in never.reason
    assert soon.x is not None
    assert FIRST < soon.x < FIRST * 2.0**8


def test_what_rises_has_no_asymptote_and_what_falls_has_0() -> None:
    x = 100.0 * 2.0 ** np.arange(3)  # of which power alone is fitted
    options = FitOptions(predict=(np.inf,))
    for slope, end in ((0.2, None), (-0.2, 0.0)):
        points = Points(x=x, y=5.0 * x**slope, label="a")
        (alone,) = fit_groups([points], "power", options)[0].predictions
        assert (alone.value, alone.low, alone.high, alone.mean_low, alone.mean_high) == (end,) * 5
        (mixed,) = forecasts([points], options, {}, mixed=True)
        assert mixed.weights == {"power": 1.0}
        assert mixed.asymptote is not None
        assert (mixed.asymptote.value, mixed.predictions[0].value) == (end, end)
        assert mixed.predictions[0].mean_high == mixed.asymptote.high == end


def test_a_new_run_is_never_known_better_than_the_law() -> None:
    # Their own degrees of freedom (least squares) and their own draws (bootstrap) made intervals that crossed.
    groups, _ = saturating(6, 6, noise=0.05)
    options = FitOptions(predict=(1e7, np.inf))
    fits = {law: fit_groups(groups, law, options) for law in ("power", "saturating", "exp-decay")}
    drawn = bootstrap_groups(groups[:2], "saturating", options, replicates=100, seed=0)
    mixed = forecasts(groups, options, fits, mixed=True)
    whole = (*(one for law in fits.values() for one in law), *drawn, *mixed)
    for one in (p for fit in whole for p in fit.predictions):
        assert one.low is None or (one.mean_low is not None and one.low <= one.mean_low)
        assert one.high is None or (one.mean_high is not None and one.high >= one.mean_high)


def test_it_stands_first_in_every_format() -> None:
    groups, _ = saturating(6, 2)
    study = run_study(groups, Request(options=FitOptions(predict=(1e8,))))
    text = to_text(study)
    assert text.index("Forecast") < text.index("0: power")
    shape = json.loads(to_json(study))
    assert [one["config"] for one in shape["forecasts"]] == ["0", "1"]
    assert shape["forecasts"][0]["predictions"][0]["distance"] > 0
    rows = list(csv.DictReader(io.StringIO(to_csv(study))))
    mixture = [row for row in rows if row["law"] == "mixture"]
    assert {row["kind"] for row in mixture} == {"prediction", "law", "derived"}
    run, law = (next(row for row in mixture if row["kind"] == kind) for kind in ("prediction", "law"))
    assert (
        float(run["low"])
        <= float(law["low"])
        <= float(law["value"])
        <= float(law["high"])
        <= float(run["high"])
    )


def test_a_named_law_without_a_question_has_the_test_of_curvature_alone() -> None:
    groups, _ = saturating(8, 1)
    study = run_study(groups, Request(laws=("power",)))
    assert study.forecasts[0].weights == {}
    assert study.forecasts[0].curvature.verdict == "curved"
    assert "Is the log-log line straight?" in to_text(study)
    # Asked for a prediction, it gets the mixture's too, and its own as it is.
    asked = run_study(groups, Request(laws=("power",), options=FitOptions(predict=(1e8,))))
    assert len(asked.forecasts[0].weights) == 3
    assert asked.fits[0].predictions == fit_groups(groups, "power", FitOptions(predict=(1e8,)))[0].predictions


def test_sizes_too_few_for_a_test_of_curvature_are_said_to_be() -> None:
    short = [replace(one, label="short") for one in saturating(3, 1)[0]]
    text = " ".join(to_text(run_study(short, Request())).split())
    assert (
        "Is the log-log line straight? ============================= Not told: a test of a bend needs four"
        in text
    )
    assert "meets any three; here are 3 sizes." in text
    both = " ".join(to_text(run_study([*short, *saturating(6, 1)[0]], Request())).split())
    assert "bends Not told for short: a test of a bend" in both
    assert "there are 3 sizes." in both
    assert "Not told" not in to_text(run_study(saturating(6, 1)[0], Request()))


def test_what_is_fixed_is_fixed_in_the_forecast() -> None:
    """The mixture's weights are AIC's by the parameters that are estimated, of the fits that stand below it."""
    groups, _ = saturating(7, 2)
    options = FitOptions(predict=(1e9,))
    constraint = Constraint(fixed=(("a", 0.5),))
    request = Request(laws=("power", "saturating"), options=options, constraint=constraint)
    study = run_study(groups, request)
    for points, one in zip(groups, study.forecasts, strict=True):
        own = {fit.law: fit for fit in study.fits if fit.config == points.label}
        ratio = one.weights["saturating"] / one.weights["power"]
        m = len(points)
        aic = {
            law: m * np.log(fit.rss_log / m) + 2 * k
            for (law, fit), k in zip(own.items(), (2, 2), strict=True)
        }
        assert ratio == pytest.approx(np.exp(0.5 * (aic["power"] - aic["saturating"])))


def test_a_fixed_asymptote_is_the_forecasts_and_leaves_no_weight_to_a_law_without() -> None:
    groups, _ = saturating(7, 1)
    constraint = Constraint(fixed=(("ppl_min", 80.0),))
    (one,) = run_study(groups, Request(options=FitOptions(predict=(1e9,)), constraint=constraint)).forecasts
    assert one.asymptote is not None
    assert (one.asymptote.low, one.asymptote.value, one.asymptote.high) == pytest.approx((80.0, 80.0, 80.0))
    assert one.weights["power"] == 0.0


def test_what_is_shared_does_not_enter_the_forecast_and_that_is_said() -> None:
    groups, _ = saturating(7, 3)
    shared = run_study(groups, Request(laws=("saturating",), constraint=Constraint(shared=("a",))))
    assert "forecast-unshared" in {note.code for note in shared.notes}
    alone = run_study(groups, Request(laws=("saturating",)))
    assert "forecast-unshared" not in {note.code for note in alone.notes}


@pytest.mark.parametrize("objective", ["log", "ppl"])
def test_seeds_of_a_size_do_not_vote_for_a_law(objective: str) -> None:
    """With every row three and ten times, 0.01 % apart, a run each would decide for a law that one row leaves open."""
    rng = np.random.default_rng(4)
    (points,), _ = saturating(6, 1, seed=4)
    options = FitOptions(objective=objective)
    (once,) = forecasts([points], options, {}, mixed=True)
    assert max(once.weights.values()) < 0.9
    for seeds in (3, 10):
        x, y = np.repeat(points.x, seeds), np.repeat(points.y, seeds)
        again = Points(x=x, y=y * np.exp(1e-4 * rng.standard_normal(len(y))), label="0")
        (many,) = forecasts([again], options, {}, mixed=True)
        assert many.weights == pytest.approx(once.weights, abs=0.02)


def test_unequal_numbers_of_seeds_weigh_sizes_as_the_fit_does() -> None:
    (points,), _ = saturating(6, 1, seed=2)
    counts = np.array([5, 3, 1, 1, 2, 1])
    weighed = Points(x=points.x, y=points.y, weights=counts.astype(float), label="0")
    repeated = Points(x=np.repeat(points.x, counts), y=np.repeat(points.y, counts), label="0")
    one, other = (forecasts([each], FitOptions(), {}, mixed=True)[0] for each in (weighed, repeated))
    assert other.weights == pytest.approx(one.weights, rel=1e-5)


@pytest.mark.parametrize("law", ["power", ""])
def test_a_bootstrap_leaves_targets_to_the_laws_that_reach_them(law: str) -> None:
    x = 1e3 * 2.0 ** np.arange(6)
    points = Points(x, np.array([63.105, 50.993, 42.061, 33.798, 27.113, 22.420]), label="p")
    options = FitOptions(targets=(20.0, 10.0))
    request = Request((law,) if law else ("all",), options, bootstrap=200)
    plain = run_study([points], Request(options=options)).forecasts[0].targets
    drawn = run_study([points], request).forecasts[0].targets
    for ours, theirs in zip(drawn, plain, strict=True):
        assert ours.x == pytest.approx(theirs.x, rel=0.05)
        assert ours.low is not None
        assert ours.low < ours.x  # type: ignore[operator]
        assert ours.reason == ""


@pytest.mark.parametrize("constraint", [FREE, Constraint(fixed=(("alpha", -0.3),))])
def test_points_on_a_line_reach_a_target_at_one_size(constraint: Constraint) -> None:
    x = 1e3 * 2.0 ** np.arange(6)
    points = Points(x, 500.0 * x**-0.3, label="p")
    options = FitOptions(targets=(10.0,))
    study = run_study([points], Request(("power", "saturating"), options, constraint))
    for target in (*study.forecasts[0].targets, *(fit.targets[0] for fit in study.fits)):
        for end in (target.x, target.low, target.high):
            assert end == pytest.approx(50.0 ** (1 / 0.3), rel=1e-3)


def test_a_target_has_no_size_between_those_that_laws_reach_and_never() -> None:
    """Exp-decay never reaches it and has most of the weight; the mixture once named 8e27 for it."""
    for seed in range(6):
        x = np.repeat(100.0 * 2.0 ** np.arange(6), 3)
        y = (1.65 + 8.0 * x**-0.55) * np.exp(0.004 * np.random.default_rng(seed).standard_normal(18))
        (found,) = forecasts([Points(x, y, label="p")], FitOptions(targets=(1.75, 1.7, 1.66)), {}, mixed=True)
        for target in found.targets:
            for end in (target.x, target.low, target.high):
                assert end is None or end < 1e13
            assert (target.x is None) == bool(target.reason)
