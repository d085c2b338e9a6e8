"""The coupled law and that of repeated data: known parameters, what holds them, and which law predicts best."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cvfp_cli.cli.app import app
from cvfp_cli.errors import InputError
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.study.points import Points

TRUTH = {"E": 1.7, "A": 30.0, "alpha": 0.3, "B": 120.0, "beta": 0.35}
ADDED = {"joint-coupled": ("k", 0.4), "joint-epochs": ("R", 12.0)}


def runs(law: str, noise: float = 0.0, seed: int = 0) -> Points:
    """A grid of models by data sizes, and of passes where the law reads them."""
    passes = [1.0, 3.0, 12.0] if law == "joint-epochs" else [1.0]
    n, d, p = (
        part.ravel() for part in np.meshgrid(np.geomspace(1e5, 1e7, 5), np.geomspace(1e5, 3e6, 5), passes)
    )
    t, (_, more) = TRUTH, ADDED[law]
    reach = d * (1 + more * (1 - np.exp(-(p - 1) / more))) if law == "joint-epochs" else d
    a, b, k = t["A"] * n ** -t["alpha"], t["B"] * reach ** -t["beta"], more if law == "joint-coupled" else 1.0
    y = t["E"] + (a ** (1 / k) + b ** (1 / k)) ** k
    y = y * np.exp(noise * np.random.default_rng(seed).standard_normal(len(y)))
    return Points(x=d, y=y, label="grid", parameters=n, passes=p, y_name="loss")


@pytest.mark.parametrize("law", ADDED)
def test_known_parameters_are_found_again_and_questions_answered_by_them(law: str) -> None:
    options = FitOptions(pairs=((2e6, 2e6),), targets=(2.5,))
    fit = fit_joint_groups([runs(law)], options, law=law)
    name, more = ADDED[law]
    assert {key: value.value for key, value in fit.parameters.items()} == pytest.approx(
        {**TRUTH, name: more}, rel=1e-4
    )
    assert fit.k == 6
    predicted = fit.predictions[0].value
    a, b = 30.0 * 2e6**-0.3, 120.0 * 2e6**-0.35
    if law == "joint-coupled":
        assert predicted == pytest.approx(1.7 + (a**2.5 + b**2.5) ** 0.4)
    else:
        assert predicted == pytest.approx(1.7 + a + b * (1 + 12 * (1 - np.exp(-2 / 12))) ** -0.35)
        assert any("3 passes" in note.message for note in fit.warnings)
    reached = next(target for target in fit.targets if target.model_size == pytest.approx(1e7))
    again = fit_joint_groups([runs(law)], replace(options, pairs=((1e7, reached.x or 0.0),)), law=law)
    assert again.predictions[0].value == pytest.approx(2.5)


@pytest.mark.parametrize("law", ADDED)
def test_what_a_law_adds_is_told_from_nothing_with_an_interval(law: str) -> None:
    name, more = ADDED[law]
    held = []
    for seed in range(8):
        found = fit_joint_groups([runs(law, 0.003, seed)], FitOptions(hold_out=False), law=law).parameters[
            name
        ]
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= more <= found.high)
        assert found.high < 0.8 if law == "joint-coupled" else found.low > 4.0
    assert sum(held) >= 5


def test_the_added_parameter_can_be_fixed_and_then_the_additive_law_is_the_same() -> None:
    points = runs("joint-coupled", 0.01)
    plain = fit_joint_groups([points], law="joint")
    held = fit_joint_groups([points], law="joint-coupled", constraint=Constraint(fixed=(("k", 1.0),)))
    assert held.k == 5
    for name, value in plain.parameters.items():
        assert held.parameters[name].value == pytest.approx(value.value, rel=1e-4), name
        assert held.parameters[name].low == pytest.approx(value.low, rel=1e-3), name
    with pytest.raises(InputError, match="k=100: joint-coupled has no such law"):
        fit_joint_groups([points], law="joint-coupled", constraint=Constraint(fixed=(("k", 100.0),)))


def test_passes_that_do_not_differ_or_are_not_known_tell_nothing_of_repetition() -> None:
    points = runs("joint-epochs", 0.01)
    once = points.only(points.passes == 3.0)
    fit = fit_joint_groups([once], law="joint-epochs")
    assert fit.parameters["R"].value is None
    assert fit.parameters["R"].reason == "all runs passed over the data equally often"
    assert "joint-same-passes" in {note.code for note in fit.warnings}
    with pytest.raises(InputError, match="needs to know how often each run passed over its data"):
        fit_joint_groups([replace(points, passes=None)], law="joint-epochs")
    with pytest.raises(InputError, match=r"Epochs in grid are 0\.5"):
        replace(points, passes=np.full(len(points), 0.5))


def test_the_joint_laws_are_ranked_by_larger_data_sizes_held_out() -> None:
    study = run_study([runs("joint-coupled", 0.001)], Request(laws=("joint", "joint-coupled")))
    made = study.joint_selection
    assert made is not None
    assert [score.law for score in made.laws] == ["joint-coupled", "joint"]
    first, second = (score.mean_error or 0.0 for score in made.laws)
    assert first < 0.6 * second
    assert made.laws[0].held_out_sizes == 2
    assert run_study([runs("joint-coupled", 0.001)], Request(laws=("joint",))).joint_selection is None


def test_a_table_names_its_epochs_and_the_command_says_which_law_predicts_best(tmp_path: Path) -> None:
    points = runs("joint-epochs", 0.002)
    table = tmp_path / "runs.csv"
    rows = zip(points.parameters, points.x, points.passes, points.y, strict=True)
    table.write_text("params,tokens,read,loss\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    words = ["fit", str(table), "--x", "tokens", "--y", "loss", "--group", "none", "--parameters", "params"]
    words += ["--model", "joint,joint-coupled,joint-epochs", "--epochs", "read"]
    found = CliRunner().invoke(app, [*words, "--format", "json", "-q"])
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["joint_selection"][0]["law"] == "joint-epochs"
    shown = CliRunner().invoke(app, [*words, "-q"])
    assert "Selection of the joint laws" in shown.stdout
    assert "joint-epochs predicts larger sizes best" in shown.stdout or "Not decided" in shown.stdout
    missing = CliRunner().invoke(app, words[:-2])
    assert missing.exit_code == 0
    assert "joint-epochs" in missing.output


def test_unasked_all_joint_laws_are_fitted_that_the_runs_can_tell_and_a_note_says_which_to_go_by() -> None:
    points = runs("joint-epochs", 0.001)
    study = run_study([points], Request())
    laws = [fit.law for fit in study.fits if fit.law.startswith("joint")]
    assert laws == ["joint", "joint-coupled", "joint-epochs"]
    (note,) = [note for note in study.notes if note.code == "joint-choice"]
    assert "joint-epochs" in note.message
    assert study.joint_selection
    assert study.joint_selection.laws[0].law == "joint-epochs"
    # Data that were read equally often tell nothing of repetition.
    assert points.passes is not None
    once = points.only(points.passes == 1.0)
    assert "joint-epochs" not in [fit.law for fit in run_study([once], Request()).fits]
