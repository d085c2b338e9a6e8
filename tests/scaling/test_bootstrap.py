"""Bootstrap intervals: repeatable, near the exact ones where these exist, and refused where they would mislead."""

import numpy as np
import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.bootstrap import bootstrap_groups
from cvfp_cli.scaling.fits import FitOptions, fit_law
from cvfp_cli.study.points import Points


def falling(m: int, seed: int = 0, floor: float = 0.0) -> Points:
    rng = np.random.default_rng(seed)
    x = 6e4 * 1.5 ** np.arange(m)
    return Points(x, (floor + 600 * (x / x[0]) ** -0.5) * np.exp(0.02 * rng.standard_normal(m)), label="c")


@pytest.mark.parametrize("kind", ["residual", "parametric", "case"])
def test_with_many_points_it_is_close_to_the_t_interval(kind: str) -> None:
    points = falling(30)
    options = FitOptions(predict=(1e7,))
    fit = bootstrap_groups([points], "power", options, replicates=2000, seed=1, kind=kind)[0]
    exact = fit_law(points, "power", predict=(1e7,))
    for name in ("A", "alpha"):
        ours, theirs = fit.parameters[name], exact.parameters[name]
        assert ours.value == theirs.value
        width = np.log(ours.high / ours.low) / np.log(theirs.high / theirs.low)  # type: ignore[operator]
        assert width == pytest.approx(1.0, abs=0.35)
    prediction, known = fit.predictions[0], exact.predictions[0]
    assert prediction.low == pytest.approx(known.low, rel=0.03)
    assert prediction.high == pytest.approx(known.high, rel=0.03)
    assert fit.interval_method == f"{kind} bootstrap"


def test_the_seed_decides_and_nothing_else() -> None:
    groups = [falling(6, floor=100.0), falling(8, seed=2, floor=80.0)]
    first, again, other = (
        bootstrap_groups(groups, "saturating", FitOptions(), replicates=200, seed=seed) for seed in (0, 0, 1)
    )
    assert [fit.to_json() for fit in first] == [fit.to_json() for fit in again]
    assert first[0].parameters["a"].low != other[0].parameters["a"].low


def test_residuals_are_scaled_to_the_errors_own_size() -> None:
    # Raw residuals of five points and three parameters are too small by sqrt(2 / 5).
    points = falling(5, floor=100.0)
    fit = bootstrap_groups([points], "saturating", FitOptions(), replicates=1500, seed=0)[0]
    normal = bootstrap_groups(
        [points], "saturating", FitOptions(), replicates=1500, seed=0, kind="parametric"
    )[0]
    widths = [np.log(f.parameters["a"].high / f.parameters["a"].low) for f in (fit, normal)]  # type: ignore[operator]
    assert widths[0] / widths[1] == pytest.approx(1.0, abs=0.35)


def test_no_freedom_gives_no_interval() -> None:
    fit = bootstrap_groups([falling(3)], "saturating", FitOptions(), replicates=100, seed=0)[0]
    assert fit.interval_method == "none"
    assert fit.parameters["a"].low is None


@pytest.mark.parametrize(
    ("replicates", "kind", "words"),
    [(50, "residual", "too few"), (200, "jackknife", "no bootstrap"), (200, "case", "fewer than 8 sizes")],
)
def test_what_would_mislead_is_refused(replicates: int, kind: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        bootstrap_groups([falling(6)], "power", FitOptions(), replicates=replicates, seed=0, kind=kind)


def test_cases_are_sizes_with_all_of_their_seeds() -> None:
    points = falling(12)
    again = Points(np.repeat(points.x, 4), np.repeat(points.y, 4), label="c")
    one, four = (
        bootstrap_groups([each], "power", FitOptions(), replicates=400, seed=0, kind="case")[0].parameters
        for each in (points, again)
    )
    assert (four["alpha"].low, four["alpha"].high) == pytest.approx((one["alpha"].low, one["alpha"].high))
    few = Points(np.repeat(points.x[:4], 3), np.repeat(points.y[:4], 3), label="c")
    with pytest.raises(InputError, match="fewer than 8 sizes"):
        bootstrap_groups([few], "power", FitOptions(), replicates=200, seed=0, kind="case")


def measured(sizes: int = 6, seed: int = 3) -> Points:
    """A power law from 1,000 on with 2 % noise."""
    rng = np.random.default_rng(seed)
    x = 1e3 * 2.0 ** np.arange(sizes)
    return Points(x, 500.0 * x**-0.3 * np.exp(0.02 * rng.standard_normal(sizes)), label="p")


def test_targets_have_percentile_intervals_over_the_refits() -> None:
    points = falling(30)
    asked = FitOptions(targets=(300.0, 10.0, 1000.0))
    fit = bootstrap_groups([points], "power", asked, replicates=1000, seed=0)[0]
    exact = fit_law(points, "power", targets=asked.targets)
    for ours, theirs in zip(fit.targets, exact.targets, strict=True):
        assert ours.x == theirs.x
        assert ours.low < ours.x < ours.high  # type: ignore[operator]
        width = np.log(ours.high / ours.low) / np.log(theirs.high / theirs.low)  # type: ignore[operator]
        assert width == pytest.approx(1.0, abs=0.35)
        assert ours.reason == ""


def test_refits_that_never_reach_a_target_open_its_end_and_say_from_where_on_it_is_allowed() -> None:
    x = 1e3 * 2.0 ** np.arange(6)
    points = Points(x, np.array([63.105, 50.993, 42.061, 33.798, 27.113, 22.420]), label="p")
    asked = FitOptions(targets=(30.0, 20.0, 10.0, 300.0))
    (fit,) = bootstrap_groups([points], "exp-decay", asked, replicates=400, seed=0)
    inside, far, below, above = fit.targets
    assert inside.low < inside.x < inside.high  # type: ignore[operator]
    assert far.x is not None
    assert far.low < far.x  # type: ignore[operator]
    assert far.high is None  # refits with an asymptote above it
    assert below.x is None
    assert "falls to" in below.reason
    assert below.low is not None
    assert below.low > x[-1]
    assert above.low == 0.0  # refits that are below it at every size
    plain = falling(12, floor=200.0)
    (fit,) = bootstrap_groups([plain], "saturating", FitOptions(targets=(50.0,)), replicates=200, seed=0)
    assert (fit.targets[0].x, fit.targets[0].low) == (None, None)
    assert "stays above 50 too" in fit.targets[0].reason


def test_a_fit_without_intervals_says_so_of_its_targets() -> None:
    asked = FitOptions(targets=(300.0,))
    alone = bootstrap_groups([falling(3)], "saturating", asked, replicates=100, seed=0)[0].targets[0]
    profiled = fit_law(falling(3), "saturating", targets=(300.0,)).targets[0]
    for target in (alone, profiled):
        assert target.x is not None
        assert (target.low, target.high) == (None, None)
        assert "nothing is left" in target.reason


def test_a_new_run_at_infinity_is_no_further_than_the_asymptote() -> None:
    points = measured(seed=3)
    fit = bootstrap_groups([points], "saturating", FitOptions(predict=(np.inf,)), replicates=400, seed=0)[0]
    (end,) = fit.predictions
    assert fit.parameters["ppl_min"].low == pytest.approx(0.0, abs=1e-6)
    assert end.high is not None
    assert end.mean_high is not None
    assert end.mean_high <= end.high < 1.2 * end.mean_high


@pytest.mark.parametrize("kind", ["residual", "parametric"])
def test_the_intervals_of_targets_hold(kind: str) -> None:
    held, sets = 0, 200
    for seed in range(sets):
        asked = FitOptions(targets=(float(500.0 * 320_000.0**-0.3),))
        fit = bootstrap_groups([measured(seed=seed)], "power", asked, replicates=100, seed=seed, kind=kind)[0]
        target = fit.targets[0]
        held += (target.low or 0.0) <= 320_000.0 <= (target.high or np.inf)
    assert 0.90 <= held / sets <= 0.99
