"""How a budget is split: by known laws, by published ones, and with intervals of each kind."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cvfp_cli.cli.app import app
from cvfp_cli.errors import InputError
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint_budget import relation_of
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.result import Compute, Estimate, Fit
from cvfp_cli.study.points import Points

TRUTH = {"E": 1.82, "A": 482.0, "alpha": 0.3478, "B": 2085.4, "beta": 0.3658}
# Besiroglu et al. 2024: Chinchilla's 5.76e23 operations are 70e9 parameters read 1.4e12 tokens, to within a third.
CHINCHILLA = 5.76e23


def grid(noise: float, seed: int = 0, *, models: int = 6, sizes: int = 6, floor: float = 1.82) -> Points:
    n, d = (
        part.ravel() for part in np.meshgrid(np.geomspace(1e7, 1e9, models), np.geomspace(1e8, 1e11, sizes))
    )
    y = floor + TRUTH["A"] * n ** -TRUTH["alpha"] + TRUTH["B"] * d ** -TRUTH["beta"]
    y = y * np.exp(noise * np.random.default_rng(seed).standard_normal(len(y)))
    return Points(x=d, y=y, label="grid", parameters=n, y_name="loss")


def split_of(fit: Fit) -> Compute:
    assert fit.compute is not None
    return fit.compute


def told(estimate: Estimate | None) -> tuple[float, float, float]:
    """Value and ends, NaN for one that is not there."""
    ends = (estimate.value, estimate.low, estimate.high) if estimate else (None,) * 3
    value, low, high = (np.nan if end is None else end for end in ends)
    return value, low, high


def test_the_published_law_splits_its_budget_as_published() -> None:
    found = split_of(fit_joint_groups([grid(0.0)], FitOptions(budgets=(CHINCHILLA,))))
    a = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    assert told(found.model_size)[0] == pytest.approx(a, abs=1e-4)  # 0.513, as Besiroglu et al. have it
    assert told(found.x)[0] == pytest.approx(1.0 - a, abs=1e-4)
    (split,) = found.splits
    size, tokens = told(split.model_size)[0], told(split.x)[0]
    assert 6.0 * size * tokens == pytest.approx(CHINCHILLA)
    assert size == pytest.approx(70e9, rel=0.33)
    assert split.there
    assert split.there.extrapolated


@pytest.mark.parametrize(
    ("points", "options", "kind"),
    [
        (grid(0.01, 1), {}, "error components"),
        (grid(0.01, 1), {"replicates": 200}, "bootstrap"),
        (grid(0.01, 0, models=4, sizes=4), {}, "profile"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_of_interval_holds_the_truth_and_the_estimate(
    points: Points, options: dict[str, int], kind: str
) -> None:
    fit = fit_joint_groups([points], FitOptions(budgets=(1e21,), hold_out=False), **options)
    assert kind in fit.interval_method
    found = split_of(fit)
    a = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    ratio = TRUTH["alpha"] * TRUTH["A"] / (TRUTH["beta"] * TRUTH["B"])
    best = (ratio * (1e21 / 6.0) ** TRUTH["beta"]) ** (1.0 / (TRUTH["alpha"] + TRUTH["beta"]))
    (split,) = found.splits
    for estimate, true in ((found.model_size, a), (split.model_size, best)):
        value, low, high = told(estimate)
        assert low < true < high
        assert low < value < high
    # D is what is left of the budget, so its interval is N's turned over.
    assert 6.0 * told(split.model_size)[2] * told(split.x)[1] == pytest.approx(1e21)


def test_operations_that_are_counted_say_what_training_costs() -> None:
    n, d = (part.ravel() for part in np.meshgrid(np.geomspace(1e5, 1e7, 4), np.geomspace(1e5, 1e7, 4)))
    once = np.ones_like(n)
    assert relation_of(n, d, once, None).factor == 6.0
    assert relation_of(n, d, 4.0 * once, None).factor == 24.0  # each pass costs as much again
    assert relation_of(n, d, once, 7.5 * n * d).factor == pytest.approx(7.5)
    head = relation_of(n, d, once, 30.0 * n**0.25 * d)  # most of the work does not grow with the blocks
    assert (head.factor, head.by_n, head.by_d) == pytest.approx((30.0, 0.25, 1.0))


def test_runs_that_do_not_tell_the_law_split_no_budget() -> None:
    line = grid(0.01)
    assert line.parameters is not None
    same = line.only(np.isclose(line.x, 100.0 * line.parameters, rtol=0.9))
    fit = fit_joint_groups(
        [Points(x=1e3 * same.parameters, y=same.y, parameters=same.parameters, y_name="loss")]
    )
    found = split_of(fit)
    assert found.model_size is None
    assert "undetermined" in found.reason


def test_a_table_with_operations_and_no_data_sizes(tmp_path: Path) -> None:
    points = grid(0.0)
    assert points.parameters is not None
    columns = (points.parameters, 6.0 * points.parameters * points.x, points.y)
    file = tmp_path / "runs.csv"
    file.write_text(
        "size,ops,loss\n" + "".join(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))
    )
    command = ["fit", str(file), "--y", "loss", "--parameters", "size", "--flops", "ops", "--model", "joint"]
    answer = CliRunner().invoke(app, [*command, "--budget", "1e21", "--format", "json", "-q"])
    assert answer.exit_code == 0, answer.output
    (fit,) = json.loads(answer.output)["fits"]
    assert fit["parameters"]["beta"]["value"] == pytest.approx(TRUTH["beta"], rel=1e-3)
    assert fit["compute"]["counted"]
    assert (
        fit["compute"]["budgets"][0]["there"]["model_size"]
        == fit["compute"]["budgets"][0]["model_size"]["value"]
    )
    text = CliRunner().invoke(app, [*command, "--budget", "1e21,2e21"]).output
    assert "it is ops / (6 size)" in text
    assert "C = 6 x model size x train_tokens operations (as the runs' operations are)" in text
    table = CliRunner().invoke(app, [*command, "--budget", "1e21", "--format", "csv", "-q"]).output
    assert "budget_model_size,C=1e+21" in table


def test_a_budget_needs_a_law_with_model_sizes(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("x,loss\n1,5\n2,4\n4,3.5\n8,3.2\n")
    for model in ("power", "all"):
        command = ["fit", str(file), "--x", "x", "--y", "loss", "--budget", "1e21", "--model", model]
        problem = CliRunner().invoke(app, command).exception
        assert isinstance(problem, InputError)
        assert "--budget" in problem.message
        assert "joint" in problem.hint
