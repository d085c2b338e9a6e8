"""A law of the tests goes through every command; nothing but its own file knows it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from logarithmic import LAW

from cvfp_cli.cli import app
from cvfp_cli.laws import registry
from cvfp_cli.reports.scaling_chart import scaling_chart
from cvfp_cli.reports.scope import fit_family
from cvfp_cli.results import read_results
from cvfp_cli.results.codec import dump_json
from cvfp_cli.results.schema import Run, Summary
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.shared_fits import fit_constrained
from cvfp_cli.stats.regression import least_squares
from cvfp_cli.study.families import families_of
from cvfp_cli.study.points import Points

SIZES = 6e4 * 2.0 ** np.arange(7)


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    registry.register(LAW)
    yield
    registry.unregister(LAW.name)


def groups(noise: float = 4.0) -> list[Points]:
    rng = np.random.default_rng(8)
    return [
        Points(
            SIZES,
            900.0 + 60.0 * g - 50.0 * np.log(SIZES) + noise * rng.standard_normal(7),
            label=f"c{g}",
            x_name="train_tokens",
            y_name="val_ppl",
        )
        for g in range(3)
    ]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    rows = [
        f"{points.label},{x:.0f},{y:.6f}\n"
        for points in groups()
        for x, y in zip(points.x, points.y, strict=True)
    ]
    path.write_text("config,train_tokens,val_ppl\n" + "".join(rows))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    code = app.run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_its_fit_of_y_is_the_line_over_ln_n_and_its_t_intervals() -> None:
    # Four sizes: with more, errors may differ by size, and the intervals are not those of a plain regression.
    four = [Points(x=points.x[:4], y=points.y[:4], label=points.label) for points in groups()]
    options = FitOptions(objective="ppl", predict=(1e7,))
    for fit, points in zip(fit_groups(four, LAW.name, options), four, strict=True):
        line = least_squares(np.column_stack([np.ones(4), -np.log(points.x)]), points.y)
        for name, expected in zip(("a", "b"), line.coefficients, strict=True):
            found = fit.parameters[name]
            assert found.value == pytest.approx(expected.value, rel=1e-7)
            assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-3)
        assert fit.predictions[0].value == pytest.approx(line.values[0] - line.values[1] * np.log(1e7))
        assert fit.per_doubling is not None
        assert fit.per_doubling.value == pytest.approx(
            100.0 * line.values[1] * np.log(2.0) / fit.fitted[-1].predicted
        )


def test_a_shared_slope_is_the_covariance_model() -> None:
    fits = fit_constrained(groups(), LAW.name, Constraint(shared=("b",)), FitOptions(objective="ppl"))
    rows = [(g, np.log(x), y) for g, p in enumerate(groups()) for x, y in zip(p.x, p.y, strict=True)]
    columns = np.array([[*(g == i for i in range(3)), -x] for g, x, _ in rows], dtype=float)
    line = least_squares(columns, [y for _, _, y in rows])
    for g, fit in enumerate(fits):
        assert fit.parameters["b"].shared
        assert fit.parameters["b"].value == pytest.approx(line.values[3], rel=1e-6)
        assert fit.parameters["a"].value == pytest.approx(line.values[g], rel=1e-6)


def test_a_fixed_slope_leaves_a_mean() -> None:
    fits = fit_constrained(
        groups(), LAW.name, Constraint(fixed=(("b", 48.0),)), FitOptions(objective="ppl", predict=(1e7,))
    )
    for fit, points in zip(fits, groups(), strict=True):
        levels = points.y + 48.0 * np.log(points.x)
        assert fit.k == 1
        assert fit.parameters["b"].value == 48.0
        assert fit.parameters["b"].fixed
        assert fit.parameters["a"].value == pytest.approx(levels.mean(), rel=1e-7)
        assert fit.predictions[0].value == pytest.approx(levels.mean() - 48.0 * np.log(1e7), rel=1e-6)


@pytest.mark.parametrize("objective", ["log", "ppl"])
def test_fit_share_and_plot(
    objective: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = ("fit", table, "--model", LAW.name, "--objective", objective)
    text = run(capsys, *answer, "--predict", "1e6,1e7,inf", "--target-ppl", "150")
    assert LAW.formula in text
    assert "val_ppl falls by" in text
    shared = json.loads(run(capsys, *answer, "--share", "b", "--format", "json"))
    assert len({round(fit["parameters"]["b"]["value"], 6) for fit in shared["fits"]}) == 1
    assert all(fit["k"] == 4 for fit in shared["fits"])
    pytest.importorskip("matplotlib")
    plot = tmp_path / "laws.svg"
    run(capsys, "fit", table, "--model", "all", "--objective", objective, "--plot", plot)
    assert plot.stat().st_size > 10_000


def test_all_ranks_it_among_the_others(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = json.loads(run(capsys, "fit", table, "--objective", "ppl", "--format", "json"))
    assert study["selection"][0]["law"] == LAW.name


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results file of the same points, as a sweep leaves it."""
    runs = tuple(
        Run(
            config=points.label, layers=1, context_dim=8 * (g + 1), tokens=1, samples=int(x) // 20,
            train_tokens=int(x), val_ppl=float(y), seed=1, run_id=f"{points.label}-{x:.0f}", study="demo",
        )
        for g, points in enumerate(groups())
        for x, y in zip(points.x, points.y, strict=True)
    )  # fmt: skip
    recipe = {"name": "demo", "overrides": {}, "resolved": {"runs": {"seeds": [1]}}}
    path = tmp_path / "summary.json"
    path.write_bytes(
        dump_json(Summary("2026-01-01T00:00:00+00:00", "cvfp sweep", True, recipe, (), {}, runs))
    )
    return path


@pytest.mark.parametrize("language", ["en", "ja"])
def test_report(language: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "report", results, "--laws", LAW.name, "--lang", language)
    assert f"| {LAW.name} |" in text
    # Its two parameters of each of three configurations.
    assert (
        len(
            [row for row in text.splitlines() if f"| {LAW.name} | a |" in row or f"| {LAW.name} | b |" in row]
        )
        == 6
    )


def test_compare(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert LAW.name in run(capsys, "compare", results, "--model", LAW.name)


def test_the_reports_chart_draws_its_curve(results: Path) -> None:
    scope = fit_family(families_of([read_results(results)], ["demo"])[0], (LAW.name,), 0.95)
    chart = scaling_chart([(scope, group) for group in scope.groups])
    assert chart is not None
    assert len(chart.series) == 3
    for series, group in zip(chart.series, scope.groups, strict=True):
        a, b = (scope.fits[group.label, LAW.name].parameters[name].value for name in ("a", "b"))
        assert len(series.curve) > 20
        x, y = np.array(series.curve).T
        np.testing.assert_allclose(y, a - b * np.log(x))  # type: ignore[operator]
