"""Accuracies and error rates: laws of their odds, told as shares."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import expit, logit
from typer.testing import CliRunner

from cvfp_cli.cli.app import app
from cvfp_cli.errors import InputError
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.study import Request, Study, run_study
from cvfp_cli.study.points import Points
from cvfp_cli.study.units import ACCURACY, ERROR, OTHER, YUnit, unit_of

X = 1e5 * 2.0 ** np.arange(6)
FLOOR, A, EXPONENT = 0.4, 300.0, 0.6


def odds(n: np.ndarray) -> np.ndarray:
    return FLOOR + A * n**-EXPONENT


def accuracies(seed: int, noise: float = 0.03, label: str = "") -> Points:
    noisy = odds(X) * np.exp(noise * np.random.default_rng(seed).standard_normal(len(X)))
    return Points(x=X, y=1.0 / (1.0 + noisy), label=label, y_name="val_accuracy")


def study(points: Points, *laws: str, **options: object) -> Study:
    return run_study([points], Request(laws=laws, options=FitOptions(**options)))  # type: ignore[arg-type]


def test_a_power_law_is_a_line_of_the_logit_as_numpy_draws_it() -> None:
    points = accuracies(0)
    (fit,) = study(points, "power", predict=(1e8,)).fits
    slope, level = np.polyfit(np.log(X), logit(points.y), 1)
    assert fit.y_unit == ACCURACY
    assert fit.parameters["alpha"].value == pytest.approx(-slope)
    assert fit.predictions[0].value == pytest.approx(expit(level + slope * np.log(1e8)))
    assert [p.y for p in fit.fitted] == pytest.approx(list(points.y))
    assert [p.predicted for p in fit.fitted] == pytest.approx(list(expit(level + slope * np.log(X))))


def test_an_upper_asymptote_is_scipys_and_a_target_is_reached_where_the_law_says() -> None:
    points = accuracies(1)
    (fit,) = study(points, "saturating", targets=(0.65,)).fits

    def law(z: np.ndarray, floor: float, level: float, a: float) -> np.ndarray:
        return np.asarray(-np.log(floor + np.exp(level - a * z)))

    found, _ = curve_fit(law, np.log(X / X[0]), logit(points.y), (0.4, -1.0, 0.6))
    assert fit.asymptote
    assert fit.asymptote.value == pytest.approx(1.0 / (1.0 + found[0]), rel=1e-4)
    (target,) = fit.targets
    assert target.ppl == pytest.approx(0.65)
    assert law(np.log(np.array(target.x) / X[0]), *found) == pytest.approx(logit(0.65), rel=1e-4)


def test_intervals_lie_between_0_and_1_and_hold() -> None:
    groups = [accuracies(seed, label=str(seed)) for seed in range(60)]
    options = FitOptions(predict=(10 * X[-1], np.inf), hold_out=False)
    fits = run_study(groups, Request(laws=("saturating",), options=options)).fits
    held = 0
    for fit in fits:
        for p in fit.predictions:
            ends = [0.0 if p.low is None else p.low, 1.0 if p.high is None else p.high]
            assert 0.0 <= ends[0] <= (p.value or 0.5) <= ends[1] <= 1.0
        ahead = fit.predictions[0]
        truth = 1.0 / (1.0 + odds(10 * X[-1:])[0])
        held += (ahead.mean_low or 0.0) <= truth <= (ahead.mean_high or 1.0)
    assert held >= 52  # of 60; fewer happen once in 10,000 at 95 %


def test_an_error_rate_is_the_accuracy_turned_over() -> None:
    points = accuracies(2)
    wrong = Points(x=X, y=1.0 - points.y, y_name="test_error_rate")
    (right,), (falls,) = (study(each, "saturating", predict=(1e8,)).fits for each in (points, wrong))
    assert falls.y_unit == ERROR
    one, other = right.predictions[0], falls.predictions[0]
    assert one.low is not None
    assert other.high is not None
    assert other.value == pytest.approx(1.0 - (one.value or 0.0))
    assert other.high == pytest.approx(1.0 - one.low)


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("val_accuracy", [0.2, 0.5], ACCURACY),
        ("eval/acc", [0.2, 0.5], ACCURACY),
        ("error_rate", [0.2, 0.1], ERROR),
        ("val_accuracy", [20.0, 50.0], OTHER),  # percent
        ("val_accuracy", [0.2, 1.0], OTHER),  # no odds
        ("accurate_loss", [0.2, 0.5], "nats"),
    ],
)
def test_a_name_says_that_a_figure_is_a_share_where_its_values_allow_it(
    name: str, values: list[float], unit: str
) -> None:
    assert unit_of(name, np.array(values)).name == unit


def test_what_cannot_be_on_the_logit_scale_is_refused() -> None:
    points = accuracies(0)
    percent = Points(x=X, y=100.0 * points.y, unit=YUnit(ACCURACY, "option"))
    for asked, options, words in (
        (percent, {}, "between 0 and 1"),
        (points, {"targets": (60.0,)}, "between 0 and 1"),
        (points, {"objective": "ppl"}, "logit"),
    ):
        with pytest.raises(InputError, match=words):
            study(asked, "power", **options)


def test_the_command_fits_a_tables_accuracy_and_keeps_the_best_setting(tmp_path: Path) -> None:
    points = accuracies(3, noise=0.0)
    rows = [f"{n},{y},{lr}" for n, y in zip(X, points.y, strict=True) for lr, y in ((1, y), (2, 0.5 * y))]
    table = tmp_path / "runs.csv"
    table.write_text("n,acc,lr\n" + "\n".join(rows) + "\n")
    words = ["fit", str(table), "--x", "n", "--y", "acc", "--best-of", "lr", "--model", "saturating,power"]
    found = CliRunner().invoke(
        app, [*words, "--format", "json", "-q", "--target-ppl", "0.6", "--sensitivity"]
    )
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["fits"][0]["asymptote"]["value"] == pytest.approx(1.0 / (1.0 + FLOOR), rel=1e-3)
    assert answer["fits"][0]["y_unit"] == ACCURACY
    assert "size for acc 0.6" in answer["sensitivity"][0]["choices"][0]["figures"]
    text = CliRunner().invoke(app, words).output
    assert "(1 - acc) / acc = ppl_min + A n^(-a)" in text
    assert "(1 - acc) / acc falls by" in text
