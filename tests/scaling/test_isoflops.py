"""Runs of equal compute: known laws, how often the interval of the least holds, and what has none."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cvfp_cli.cli.app import app
from cvfp_cli.scaling.isoflops import IsoFlops, isoflops
from cvfp_cli.study.points import Points

E, A, ALPHA, B, BETA = 1.82, 482.0, 0.3478, 2085.4, 0.3658
BUDGETS = (1e19, 1e20, 1e21)


def best(c: float) -> float:
    """The model size with the least loss, Hoffmann et al. 2022, eq. 4."""
    return float((ALPHA * A / (BETA * B) * (c / 6.0) ** BETA) ** (1.0 / (ALPHA + BETA)))


def profile(
    c: float, noise: float, rng: np.random.Generator, *, sizes: int = 9, off: float = 1.0, span: float = 4.0
) -> np.ndarray:
    """Columns N, D, y, C of models within a factor ``span`` of ``off`` times the best."""
    n = off * best(c) * np.geomspace(1.0 / span, span, sizes)
    d = c / (6.0 * n)
    y = (E + A * n**-ALPHA + B * d**-BETA) * np.exp(noise * rng.standard_normal(sizes))
    return np.stack([n, d, y, np.full(sizes, c)])


def found(columns: np.ndarray, budgets: tuple[float, ...] = ()) -> IsoFlops:
    n, d, y, c = columns
    answer = isoflops([Points(x=d, y=y, parameters=n, flops=c, y_name="loss")], "", budgets, 0.95)
    assert answer is not None
    return answer


def test_a_law_without_noise_is_found_again_at_each_budget_and_over_them() -> None:
    rng = np.random.default_rng(0)
    answer = found(np.hstack([profile(c, 0.0, rng) for c in BUDGETS]), (1e23,))
    for one in answer.profiles:
        assert one.model_size
        assert one.x
        assert one.model_size.value == pytest.approx(best(one.budget), rel=0.01)
        assert 6.0 * one.model_size.known * one.x.known == pytest.approx(one.budget)
    assert answer.model_size
    assert answer.model_size.value == pytest.approx(BETA / (ALPHA + BETA), abs=1e-3)
    assert answer.budgets[0].model_size.value == pytest.approx(best(1e23), rel=0.02)


def test_the_interval_of_the_least_holds_where_a_parabolas_does_not() -> None:
    """200 profiles with models up to 12 times too large: 95 % of the cubic's hold, as they should."""
    rng = np.random.default_rng(1)
    held = parabola = 0
    for _ in range(200):
        columns = profile(1e20, 0.0005, rng, off=1.5, span=8.0)
        (one,) = found(columns).profiles
        size = one.model_size
        assert size is not None
        held += (size.low or 0.0) <= best(1e20) <= (size.high or np.inf)
        z, y = np.log(columns[0] / best(1e20)), np.log(columns[2])
        (curve, slope, _), covariance = np.polyfit(z, y, 2, cov=True)
        gradient = np.array([slope / (2.0 * curve**2), -1.0 / (2.0 * curve), 0.0])
        error = np.sqrt(gradient @ covariance @ gradient)
        parabola += abs(-slope / (2.0 * curve)) <= 2.447 * error  # t with 6 degrees of freedom
    assert 183 <= held <= 198  # the 99.9 % interval of 200 draws at 95 %
    assert parabola < 165


def test_a_least_outside_the_runs_has_a_reason() -> None:
    rng = np.random.default_rng(0)
    columns = np.hstack(
        [profile(c, 0.0, rng, off=off) for c, off in zip(BUDGETS, (10.0, 0.1, 1.0), strict=True)]
    )
    answer = found(columns)
    assert [one.reason[-30:] for one in answer.profiles] == [
        "falling towards the smallest model"[-30:],
        "falling towards the largest model"[-30:],
        "",
    ]
    assert answer.model_size is None  # one budget tells no growth


def test_too_few_model_sizes_or_unequal_operations_are_no_profile() -> None:
    rng = np.random.default_rng(0)
    n, d, y, c = profile(1e20, 0.0, rng, sizes=4)
    assert isoflops([Points(x=d, y=y, parameters=n, flops=c, y_name="loss")], "", (), 0.95) is None
    n, d, y, c = profile(1e20, 0.0, rng)
    spread = c * np.geomspace(1.0, 3.0, len(c))
    assert isoflops([Points(x=d, y=y, parameters=n, flops=spread, y_name="loss")], "", (), 0.95) is None


def test_the_command_shows_profiles_where_operations_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = np.hstack([profile(c, 0.001, rng) for c in BUDGETS])
    file = tmp_path / "runs.csv"
    file.write_text("n,d,loss,c\n" + "".join(",".join(map(str, row)) + "\n" for row in columns.T))
    command = [
        "fit",
        str(file),
        "--x",
        "d",
        "--y",
        "loss",
        "--parameters",
        "n",
        "--flops",
        "c",
        "--model",
        "joint",
    ]
    text = CliRunner().invoke(app, [*command, "--budget", "1e22"]).output
    assert "runs of equal compute" in text
    assert "Over these budgets model size grows as C^0.5" in text
    data = json.loads(CliRunner().invoke(app, [*command, "-q", "--format", "json"]).output)
    (profiles,) = data["isoflops"]
    assert [one["budget"] for one in profiles["profiles"]] == pytest.approx(BUDGETS)
    rows = CliRunner().invoke(app, [*command, "-q", "--format", "csv"]).output
    assert "isoflops,profile_model_size,C=1e+20" in rows
    file.write_text("n,d,loss,c\n" + "".join(",".join(map(str, row)) + "\n" for row in columns.T[::3]))
    assert "No budget of operations was spent on 5 model sizes" in CliRunner().invoke(app, command).output
