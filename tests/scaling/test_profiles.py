"""Profile intervals against brute force, and coverage on simulated data."""

import numpy as np
import pytest
from scipy import optimize, stats

from cvfp_cli.laws.registry import LAWS
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.derived import observation_quantity, value_quantity
from cvfp_cli.scaling.fits import allowed_rises, errors_of, fit_law
from cvfp_cli.scaling.global_fit import fit_curves
from cvfp_cli.scaling.profiles import intervals, linear_intervals, profile_rise
from cvfp_cli.study.points import Points

X = 6e4 * 2.0 ** np.arange(6)
Y = np.array([612.0, 455.0, 331.0, 266.0, 208.0, 183.0])


def least_rss(law: str, held: str, value: float) -> float:
    """Smallest RSS of ln y with one of the user's parameters held, by a general optimiser from many starts."""
    names = {"saturating": ("ppl_min", "A", "a"), "exp-decay": ("ppl_min", "A", "b", "c")}[law]
    free = [name for name in names if name != held]

    def rss(u: np.ndarray) -> float:
        p = {held: value}
        for name, v in zip(free, u, strict=True):
            p[name] = (
                200.0 / (1.0 + np.exp(-v)) if name == "ppl_min" else float(np.exp(np.clip(v, -200, 200)))
            )
        if law == "saturating":
            log_excess = np.log(p["A"]) - p["a"] * np.log(X)
        else:
            log_excess = np.log(p["A"]) - p["b"] * np.exp(np.clip(p["c"] * np.log(X), -50, 50))
        f = p["ppl_min"] + np.exp(np.clip(log_excess, -300, 300))
        return float(np.sum((np.log(Y) - np.log(f)) ** 2))

    best = np.inf
    rng = np.random.default_rng(0)
    for _ in range(30):
        start = {
            "ppl_min": rng.uniform(-3, 3),
            "a": np.log(rng.uniform(0.2, 2)),
            "c": np.log(rng.uniform(0.1, 1.5)),
        }
        a, c = np.exp(start["a"]), np.exp(start["c"])
        if law == "saturating":
            start["A"] = np.log(600.0) + a * np.log(X[0])
        else:
            start["b"] = np.log(a / c) - c * np.log(X[0])
            start["A"] = np.log(600.0) + a / c
        got = optimize.minimize(
            rss,
            [start[name] for name in free],
            method="Nelder-Mead",
            options={"maxiter": 4000, "maxfev": 4000, "xatol": 1e-10, "fatol": 1e-15},
        )
        best = min(best, got.fun)
    return best


def allowed(law: str, name: str) -> float:
    """By how much the sum of squares may rise; tests/stats/test_size_errors.py has what that is."""
    batch = make_batch([Points(X, Y)], "log")
    fits = fit_curves(LAWS[law], batch.data, starts=24)
    named = [q for q in LAWS[law].parameter_quantities(batch.scale) if q.name == name]
    return float(allowed_rises(fits, errors_of(fits, batch), named, 0.95)[0, 0])


@pytest.mark.parametrize(
    ("law", "name"), [("saturating", "ppl_min"), ("saturating", "A"), ("saturating", "a")]
)
def test_ends_lie_where_brute_force_reaches_the_threshold(law: str, name: str) -> None:
    fit = fit_law(Points(X, Y), law)
    estimate = fit.parameters[name]
    ends = [end for end in (estimate.low, estimate.high) if end is not None and end > 0]
    assert ends
    for end in ends:
        assert least_rss(law, name, end) == pytest.approx(fit.rss_log + allowed(law, name), rel=1e-3)


def test_an_exp_decay_end_lies_where_brute_force_reaches_the_threshold() -> None:
    fit = fit_law(Points(X, Y), "exp-decay")
    threshold = fit.rss_log + allowed("exp-decay", "ppl_min")
    high = fit.parameters["ppl_min"].high
    assert high is not None
    assert least_rss("exp-decay", "ppl_min", high) == pytest.approx(threshold, rel=2e-3)


def test_an_open_end_is_open() -> None:
    # exp-decay's b and A have no upper end exactly where the saturating law is not ruled out.
    fit, simple = fit_law(Points(X, Y), "exp-decay"), fit_law(Points(X, Y), "saturating")
    threshold = fit.rss_log * (1.0 + stats.f.ppf(0.95, 1, 2) / 2)
    assert simple.rss_log < threshold
    assert fit.parameters["A"].high is None
    assert fit.parameters["b"].high is None
    assert fit.parameters["c"].low == 0.0
    # ... and at a level at which it is ruled out, they are closed.
    narrow = fit_law(Points(X, Y), "exp-decay", level=0.05)
    assert narrow.parameters["b"].high is not None
    assert narrow.parameters["c"].low is not None
    assert narrow.parameters["c"].low > 0.0


def test_the_walk_gives_the_t_interval_where_the_law_is_a_line() -> None:
    law = LAWS["power"]
    batch = make_batch([Points(X, Y), Points(X[:4], Y[:4])], "log")
    fits = fit_curves(law, batch.data, starts=1)
    df = batch.counts - 2
    delta = stats.f.ppf(0.95, 1, df) * fits.rss / df
    z = np.array([6.0, 5.0])
    quantities = [
        *law.parameter_quantities(batch.scale),
        value_quantity(law, batch.scale, z),
        observation_quantity(law, batch.scale, z, "log"),
    ]
    walked, exact = intervals(fits, delta, quantities), linear_intervals(fits, delta, quantities)
    for one, other in zip(walked, exact, strict=True):
        np.testing.assert_allclose(one.low, other.low, rtol=1e-3)
        np.testing.assert_allclose(one.high, other.high, rtol=1e-3)
    line = stats.linregress(np.log(X), np.log(Y))
    half = stats.t.ppf(0.975, 4) * line.stderr
    assert exact[1].low[0] == pytest.approx(line.slope - half)
    assert exact[1].high[0] == pytest.approx(line.slope + half)


def test_rise_is_zero_at_the_optimum_and_grows_away_from_it() -> None:
    law = LAWS["saturating"]
    batch = make_batch([Points(X, Y)], "log")
    fits = fit_curves(law, batch.data, starts=12)
    exponent = law.parameter_quantities(batch.scale)[2]
    t = fits.theta[0, 2]
    rises = [profile_rise(fits, exponent, np.array([t + step]))[0] for step in (0.0, 0.1, 0.2, 0.4)]
    assert rises[0] == pytest.approx(0.0, abs=1e-12)
    assert rises == sorted(rises)


@pytest.mark.pinned_only("many data sets for what other tests do with one")
@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("saturating", {"ppl_min": 90.0, "A": 600.0 * 6e4**0.55, "a": 0.55}),
        ("exp-decay", {"ppl_min": 110.0, "A": 2500.0, "b": 0.0145, "c": 0.42}),
    ],
)
def test_coverage(name: str, truth: dict[str, float]) -> None:
    """400 data sets: the share of intervals that hold the truth lies within 4.5 standard errors of 95 %."""
    law, rng, sets = LAWS[name], np.random.default_rng(7), 400
    x = 6e4 * 2.0 ** np.arange(7)
    if name == "saturating":
        curve = truth["ppl_min"] + truth["A"] * x ** -truth["a"]
    else:
        curve = truth["ppl_min"] + truth["A"] * np.exp(-truth["b"] * x ** truth["c"])
    groups = [Points(x, curve * np.exp(0.02 * rng.standard_normal(7))) for _ in range(sets)]
    batch = make_batch(groups, "log")
    fits = fit_curves(law, batch.data, starts=4)
    quantities = law.parameter_quantities(batch.scale)
    delta = allowed_rises(fits, errors_of(fits, batch), quantities, 0.95)
    for q, interval in zip(quantities, intervals(fits, delta, quantities), strict=True):
        low = np.where(np.isnan(interval.low), -np.inf, interval.low)
        high = np.where(np.isnan(interval.high), np.inf, interval.high)
        held = np.mean((low <= truth[q.name]) & (truth[q.name] <= high))
        assert 0.90 < held < 0.995, q.name
