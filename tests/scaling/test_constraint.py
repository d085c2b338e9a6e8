"""Fixed and tied parameters: against scipy with the parameter held, free fits, and truths that intervals cover."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from cvfp_cli.cli import app
from cvfp_cli.errors import InputError
from cvfp_cli.laws.registry import get_law
from cvfp_cli.scaling.constraint import Constraint, parse_fixed, parse_tied
from cvfp_cli.scaling.fits import FitOptions, figure_quantities, fit_groups, fit_law
from cvfp_cli.scaling.profiles import intervals
from cvfp_cli.scaling.rendering import to_text
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.shared import fit_shared
from cvfp_cli.scaling.shared_fits import constrained_origins, fit_constrained, shared_batch
from cvfp_cli.scaling.shared_quantities import lifted, measured_instead
from cvfp_cli.scaling.study import Request, Study, run_study
from cvfp_cli.stats.regression import least_squares
from cvfp_cli.study.points import Points

X = 6e4 * 2.0 ** np.arange(8)


def fixed(**values: float) -> Constraint:
    return Constraint(fixed=tuple(values.items()))


def saturating(seed: int, noise: float = 0.01, level: float = 0.0) -> Points:
    rng = np.random.default_rng(seed)
    y = (60.0 + level + 9000.0 * X**-0.4) * np.exp(noise * rng.standard_normal(len(X)))
    return Points(X, y, label="one")


def broken(seed: int, c0: float = 0.3, c1: float = 0.3) -> Points:
    rng = np.random.default_rng(seed)
    x = 1e4 * 2.0 ** np.arange(12)
    y = 5.0 + 4000.0 * x**-c0 * (1.0 + (x / 3e5) ** (1.0 / 0.2)) ** (-c1 * 0.2)
    return Points(x, y * np.exp(0.003 * rng.standard_normal(12)), label="one")


def decay(seed: int) -> Points:
    rng = np.random.default_rng(seed)
    y = (90.0 + 2500.0 * np.exp(-0.0145 * X**0.42)) * np.exp(0.01 * rng.standard_normal(len(X)))
    return Points(X, y, label="one")


def value(fit: Fit, name: str) -> float:
    return fit.parameters[name].known


LN = {
    "power": lambda x, p: p["A"] * x ** p["alpha"],
    "saturating": lambda x, p: p["ppl_min"] + p["A"] * x ** -p["a"],
    "exp-decay": lambda x, p: p["ppl_min"] + p["A"] * np.exp(-p["b"] * x ** p["c"]),
    "bnsl": lambda x, p: (
        p["E"] + p["A"] * x ** -p["c0"] * (1.0 + (x / p["d"]) ** (1.0 / p["f"])) ** (-p["c1"] * p["f"])
    ),
}
# Free parameters with a start for scipy; all are positive but alpha, and scipy works on their logarithms.
CASES: list[tuple[str, Points, dict[str, float], dict[str, float]]] = [
    ("power", saturating(1), {"alpha": -0.3}, {"A": 2e4}),
    ("saturating", saturating(2), {"ppl_min": 58.0}, {"A": 9e3, "a": 0.4}),
    ("saturating", saturating(3), {"a": 0.45}, {"ppl_min": 60.0, "A": 9e3}),
    ("saturating", saturating(3), {"a": 0.42, "ppl_min": 62.0}, {"A": 9e3}),
    ("exp-decay", decay(4), {"c": 0.4}, {"ppl_min": 90.0, "A": 2500.0, "b": 0.018}),
    ("exp-decay", decay(4), {"ppl_min": 85.0, "c": 0.4}, {"A": 2500.0, "b": 0.018}),
    ("exp-decay", decay(5), {"b": 0.0145, "c": 0.42}, {"ppl_min": 90.0, "A": 2500.0}),
    ("bnsl", broken(6), {"c0": 0.32, "f": 0.2}, {"E": 5.0, "A": 4000.0, "c1": 0.3, "d": 3e5}),
    ("bnsl", broken(6), {"E": 4.0, "d": 3e5, "f": 0.2}, {"A": 4000.0, "c0": 0.3, "c1": 0.3}),
]


@pytest.mark.parametrize("objective", ["log", "ppl"])
@pytest.mark.parametrize(("law", "points", "held", "start"), CASES)
def test_it_is_the_optimum_that_scipy_finds_with_the_parameter_held(
    law: str, points: Points, held: dict[str, float], start: dict[str, float], objective: str
) -> None:
    fit = fit_constrained([points], law, fixed(**held), FitOptions(objective=objective, hold_out=False))[0]

    def residuals(logs: np.ndarray) -> np.ndarray:
        p = held | dict(zip(start, np.exp(logs), strict=True))
        y = LN[law](points.x, p)
        return np.log(y / points.y) if objective == "log" else y - points.y

    found = optimize.least_squares(
        residuals,
        np.log(list(start.values())),
        x_scale="jac",
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
        max_nfev=4000,
    )
    ours = residuals(np.log([value(fit, name) for name in start]))
    assert ours @ ours <= 2.0 * found.cost * (1.0 + 1e-7)
    if law != "bnsl":
        for name, expected in zip(start, np.exp(found.x), strict=True):
            assert value(fit, name) == pytest.approx(expected, rel=1e-4), name
    assert fit.k == len(start)
    for name, given in held.items():
        estimate = fit.parameters[name]
        assert (estimate.value, estimate.low, estimate.high) == (given, None, None)
        assert estimate.fixed
    m, k = len(points), len(start)
    assert fit.bic == pytest.approx(m * np.log(2.0 * found.cost / m) + k * np.log(m), abs=1e-4)


@pytest.mark.parametrize("law", ["power", "saturating", "exp-decay"])
def test_fixed_at_the_fits_own_value_changes_no_other_estimate_and_narrows_what_it_was_traded_for(
    law: str,
) -> None:
    points = decay(4) if law == "exp-decay" else saturating(7)
    options = FitOptions(predict=(1e7,), targets=(100.0,), hold_out=False)
    free = fit_groups([points], law, options)[0]
    name = {"power": "alpha", "saturating": "a", "exp-decay": "c"}[law]
    fit = fit_constrained([points], law, fixed(**{name: value(free, name)}), options)[0]
    assert fit.rss_log == pytest.approx(free.rss_log, rel=1e-8)
    for other in fit.parameters:
        assert value(fit, other) == pytest.approx(value(free, other), rel=2e-4)
    assert fit.predictions[0].value == pytest.approx(free.predictions[0].value, rel=1e-5)
    assert fit.k == free.k - 1

    def width(one: Any) -> float:
        return float(np.log(one.high / one.low))

    assert width(fit.parameters["A"]) < width(free.parameters["A"])
    assert fit.predictions[0].mean_high - fit.predictions[0].mean_low < (  # type: ignore[operator]
        free.predictions[0].mean_high - free.predictions[0].mean_low  # type: ignore[operator]
    )
    assert fit.targets[0].x == pytest.approx(free.targets[0].x, rel=1e-5)
    assert width(fit.targets[0]) < width(free.targets[0])


def test_with_the_slope_held_the_level_has_the_t_interval_of_a_mean() -> None:
    points = saturating(1)
    four = Points(points.x[:4], points.y[:4], label="one")
    fit = fit_constrained([four], "power", fixed(alpha=-0.3), FitOptions(predict=(1e6,)))[0]
    mean = least_squares(np.ones((4, 1)), np.log(four.y) + 0.3 * np.log(four.x)).coefficients[0]
    a = fit.parameters["A"]
    assert np.log([a.known, a.low, a.high]) == pytest.approx([mean.known, mean.low, mean.high], rel=1e-4)
    there = fit.predictions[0]
    assert np.log([there.mean_low, there.mean_high]) == pytest.approx(
        np.array([mean.low, mean.high]) - 0.3 * np.log(1e6), rel=1e-4
    )


def test_an_asymptote_that_is_held_is_the_forecast_at_infinity() -> None:
    fit = fit_constrained([saturating(2)], "saturating", fixed(ppl_min=58.0), FitOptions(predict=(np.inf,)))[
        0
    ]
    there = fit.predictions[0]
    assert (there.value, there.mean_low, there.mean_high) == pytest.approx((58.0, 58.0, 58.0))
    assert there.low < 58.0 < there.high  # type: ignore[operator]
    assert fit.asymptote is not None
    assert fit.asymptote.fixed


def test_intervals_at_a_true_value_cover_the_others() -> None:
    held, runs = 0, 80
    for seed in range(runs):
        fit = fit_constrained(
            [saturating(100 + seed)], "saturating", fixed(ppl_min=60.0), FitOptions(hold_out=False)
        )
        a = fit[0].parameters["a"]
        held += a.low < 0.4 < a.high  # type: ignore[operator]
    # 95 % of 80 are 76; 69 or fewer once in 300 draws.
    assert held >= 70


def test_a_tied_pair_is_what_scipy_finds_with_one_slope() -> None:
    points = broken(8, 0.25, 0.25)
    fit = fit_constrained([points], "bnsl", Constraint(tied=(("c0", "c1"),)), FitOptions(hold_out=False))[0]
    assert value(fit, "c0") == pytest.approx(value(fit, "c1"), rel=1e-9)
    assert fit.k == 5

    def residuals(logs: np.ndarray) -> np.ndarray:
        e, a, c, d, f = np.exp(logs)
        return np.log(LN["bnsl"](points.x, {"E": e, "A": a, "c0": c, "c1": c, "d": d, "f": f}) / points.y)

    start = [5.0, 4000.0, 0.25, 3e5, 0.2]
    found = optimize.least_squares(
        residuals, np.log(start), x_scale="jac", xtol=1e-13, ftol=1e-13, max_nfev=4000
    )
    assert fit.rss_log <= 2.0 * found.cost * (1.0 + 1e-6)
    c0, c1 = fit.parameters["c0"], fit.parameters["c1"]
    assert (c0.low, c0.high) == pytest.approx((c1.low, c1.high), rel=1e-3)


def test_groups_share_one_parameter_and_have_another_fixed() -> None:
    groups = [saturating(20 + g, level=10.0 * g) for g in range(3)]
    for g, points in enumerate(groups):
        object.__setattr__(points, "label", f"c{g}")
    constraint = Constraint(shared=("a",), fixed=(("ppl_min", 62.0),))
    fits = fit_constrained(groups, "saturating", constraint)
    assert [fit.k for fit in fits] == [4, 4, 4]
    assert len({value(fit, "a") for fit in fits}) == 1

    def residuals(p: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [np.log((62.0 + np.exp(p[g]) * X ** -p[3]) / points.y) for g, points in enumerate(groups)]
        )

    found = optimize.least_squares(residuals, [9.0, 9.0, 9.0, 0.4], x_scale="jac", xtol=1e-14, ftol=1e-14)
    assert value(fits[0], "a") == pytest.approx(found.x[3], rel=1e-5)
    # Apart from one another without --share: each group as it is alone.
    alone = [fit_constrained([points], "saturating", fixed(ppl_min=62.0))[0] for points in groups]
    together = fit_constrained(groups, "saturating", fixed(ppl_min=62.0))
    assert [fit.to_json() for fit in alone] == [fit.to_json() for fit in together]


def test_held_out_errors_are_of_fits_with_the_parameter_held() -> None:
    points = saturating(1)
    fit = fit_constrained([points], "power", fixed(alpha=-0.3))[0]
    level = np.log(points.y) + 0.3 * np.log(points.x)
    left = [abs(np.delete(level, i).mean() - level[i]) for i in range(len(level))]
    assert fit.loo_error == pytest.approx(np.mean(left), rel=1e-6)
    assert fit.forward_error == pytest.approx(left[-1], rel=1e-6)
    origins = constrained_origins([points, points], "power", fixed(alpha=-0.3), "log")
    for one in origins:
        assert one.error == pytest.approx(abs(level[: one.sizes].mean() - level[one.sizes]), rel=1e-6)
    assert {one.group for one in origins} == {0, 1}


@pytest.mark.parametrize(
    ("law", "constraint", "words"),
    [
        ("power", fixed(A=3.0), "A of power cannot be fixed"),
        ("power", fixed(beta=3.0), "none of power has a parameter 'beta'"),
        ("power", fixed(alpha=80.0), "alpha=80: power has no such curve"),
        ("saturating", fixed(a=-1.0), "a=-1: saturating has no such curve"),
        ("saturating", fixed(ppl_min=-1.0), "ppl_min=-1: saturating has no such curve"),
        ("saturating", fixed(ppl_min=1e4), "nothing measured lies above this asymptote"),
        ("exp-decay", fixed(b=0.1), "--fix b alone means nothing"),
        ("saturating", Constraint(("a",), (("a", 0.4),)), "say the same thing twice"),
        ("saturating", Constraint(fixed=(("a", 0.4), ("a", 0.5))), "a has two values"),
        ("saturating", Constraint(tied=(("ppl_min", "a"),)), "not of one kind"),
        ("bnsl", Constraint(fixed=(("c0", 0.3),), tied=(("c0", "c1"),)), "c0 is named by --fix, too"),
        ("power", Constraint(tied=(("alpha", "c0"),)), "has a parameter 'c0'"),
    ],
)
def test_what_cannot_be_held_is_refused_by_name(law: str, constraint: Constraint, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_study([saturating(1)], Request(laws=(law,), constraint=constraint))


def test_a_bootstrap_and_words_that_are_no_values_are_refused() -> None:
    with pytest.raises(InputError, match="--bootstrap cannot be combined with --fix"):
        run_study([saturating(1)], Request(laws=("power",), constraint=fixed(alpha=-0.3), bootstrap=200))
    for word in ("alpha", "alpha=", "=3", "alpha=nan", "alpha=x", "a=b=1"):
        with pytest.raises(InputError, match="--fix"):
            parse_fixed([word])
    for word in ("alpha", "alpha=", "=beta", "c0=c0", "a=b=c"):
        with pytest.raises(InputError, match="--tie"):
            parse_tied([word])


def test_laws_without_the_parameter_are_fitted_freely_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = saturating(1)
    path = tmp_path / "runs.csv"
    rows = "".join(f"{x:.0f},{y:.8f}\n" for x, y in zip(points.x, points.y, strict=True))
    path.write_text("train_tokens,val_ppl\n" + rows)
    assert app.run(["fit", str(path), "--fix", "ppl_min=58", "--format", "json"]) == 0
    captured = capsys.readouterr()
    fits = {fit["law"]: fit for fit in json.loads(captured.out)["fits"]}
    assert fits["saturating"]["parameters"]["ppl_min"]["fixed"] is True
    assert fits["saturating"]["k"] == 2
    assert fits["power"]["k"] == 2
    assert "power" in captured.err
    assert app.run(["fit", str(path), "--fix", "ppl_min=58", "--model", "saturating"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "ppl_min" in line and "58" in line)
    assert line.rstrip().endswith("fixed")


@pytest.mark.parametrize("law", ["power", "saturating", "exp-decay"])
def test_a_figure_held_by_a_heavy_measurement_has_the_interval_of_one_that_is_solved_for(law: str) -> None:
    # The fits with nothing fixed can do both.
    points = decay(4)
    options = FitOptions(predict=(1e7,))
    batch = shared_batch([points], "log")
    fit = fit_shared(get_law(law), batch, Constraint())
    exact = [lifted(q, fit.law, fit.layout, 0) for q in figure_quantities(fit.law, batch, options)]
    heavy, still = measured_instead(fit, exact, held=True)
    assert not still.any()
    delta = np.full(1, 5.0 * fit.rss[0] / (len(points) - fit.law.k))
    for one, two, quantity in zip(
        intervals(fit, delta, exact), intervals(fit, delta, heavy), exact, strict=True
    ):
        for end, other in ((one.low, two.low), (one.high, two.high)):
            assert other[0] == pytest.approx(end[0], rel=3e-3, nan_ok=True), quantity.name


def test_falls_under_a_constraint_that_makes_a_line_are_those_of_the_line() -> None:
    # Without its asymptote saturating is power, whose falls are 1 - 2^alpha and 1 - 10^alpha.
    rng = np.random.default_rng(1)
    x = np.geomspace(1e4, 1e6, 7)
    points = Points(x, 5e4 * x**-0.5 * np.exp(0.02 * rng.standard_normal(7)))
    alpha = fit_law(points, "power").parameters["alpha"]
    (held,) = fit_constrained([points], "saturating", Constraint(fixed=(("ppl_min", 0.0),)))
    for fall, factor in ((held.per_doubling, 2.0), (held.per_tenfold, 10.0)):
        assert fall is not None
        for end, slope in ((fall.low, alpha.high), (fall.value, alpha.value), (fall.high, alpha.low)):
            assert slope is not None
            assert end == pytest.approx(100.0 * (1.0 - factor**slope), rel=1e-3)


def joint_table() -> Points:
    """Runs of four model sizes, each on five data sizes, so that joint is fitted unasked."""
    n, d = (part.ravel() for part in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e8, 1e10, 5)))
    y = 1.8 + 480.0 / n**0.35 + 2000.0 / d**0.37
    y = y * np.exp(0.01 * np.random.default_rng(0).standard_normal(len(n)))
    return Points(x=d, y=y, parameters=n, y_name="loss", label="grid")


def taken(points: Points, **values: float) -> tuple[set[str], dict[str, str], Study]:
    """The laws that are fitted by default with these values held, the notes on those left out, and everything."""
    study = run_study([points], Request(options=FitOptions(predict=(1e9,)), constraint=fixed(**values)))
    notes = {str(note.values["law"]): note.message for note in study.notes if note.code == "fix-left-out"}
    return {fit.law for fit in study.fits}, notes, study


def test_a_law_that_takes_part_by_default_alone_is_left_out_where_it_does_not_allow_a_value() -> None:
    # A power law's exponent is negative as it is written, joint's is positive.
    laws, notes, _ = taken(saturating(1), alpha=-0.3)
    assert "power" in laws
    assert notes == {}  # no joint law would be fitted to this table
    laws, notes, _ = taken(joint_table(), alpha=-0.3)
    assert "power" in laws
    assert "joint" not in laws
    assert "It allows alpha above 0 to 5" in notes["joint"]


def test_the_forecast_leaves_a_law_out_that_does_not_allow_a_value() -> None:
    laws, notes, study = taken(joint_table(), alpha=0.35)
    assert "joint" in laws
    assert "power" not in laws
    assert "below 0" in notes["power"]
    (forecast,) = study.forecasts
    assert "power" not in forecast.weights
    assert forecast.predictions
    assert "Where the sizes are too few" not in to_text(study)


@pytest.mark.parametrize(
    ("points", "values", "words"),
    [
        (saturating(1), {"alpha": 5.0}, "alpha=5: power has no such curve"),
        (saturating(1), {"alpha": 0.0}, "alpha=0: power has no such curve"),
        (joint_table(), {"alpha": 7.0}, "alpha=7: power has no such curve"),
        (joint_table(), {"beta": -1.0}, "beta=-1: joint has no such law"),
        (saturating(1), {"ppl_min": 1e4}, "nothing measured lies above this asymptote"),
    ],
)
def test_a_value_that_no_law_allows_is_refused_with_the_range(
    points: Points, values: dict[str, float], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        run_study([points], Request(constraint=fixed(**values)))
    assert caught.value.hint


def test_a_value_that_no_law_allows_is_refused_with_every_range() -> None:
    with pytest.raises(InputError, match="alpha=0: power has no such curve") as caught:
        run_study([joint_table()], Request(constraint=fixed(alpha=0.0)))
    assert "It allows alpha above -50 and below 0." in caught.value.hint
    assert "joint, joint-coupled, joint-epochs allow alpha above 0 to 5." in caught.value.hint
    with pytest.raises(InputError) as caught:
        run_study([joint_table()], Request(constraint=fixed(beta=-1.0)))
    assert caught.value.hint == "It allows beta above 0 to 5."


def test_a_law_that_is_named_has_to_allow_the_value() -> None:
    for laws, value in ((("power", "joint"), -0.3), (("power", "joint"), 0.3), (("power",), 0.3)):
        with pytest.raises(InputError, match="has no such"):
            run_study([joint_table()], Request(laws=laws, constraint=fixed(alpha=value)))
