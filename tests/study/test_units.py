"""The unit of y: by name, by value, by option, and what the joint law makes of it."""

import numpy as np
import pytest

from cvfp_cli.cli import choices
from cvfp_cli.errors import InputError
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.study.points import Points
from cvfp_cli.study.units import UNITS, YUnit, loss_of, unit_of, y_of

TRUTH = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
LOSS = TRUTH["E"] + TRUTH["A"] * N ** -TRUTH["alpha"] + TRUTH["B"] * D ** -TRUTH["beta"]


@pytest.mark.parametrize(
    ("unit", "names"),
    [
        ("nats", ["loss", "val_loss", "final_loss", "Loss", "valid/loss", "eval/loss", "validation.nll", "nll",
                  "cross_entropy", "Cross-Entropy", "crossEntropy", "evalLoss", "testloss", "CE", "log_ppl"]),
        ("ppl", ["ppl", "val_ppl", "perplexity", "eval/perplexity", "Word Perplexity", "valPPL", "unigram_ppl"]),
        ("bpb", ["bpb", "c4_en_bpb", "bits_per_byte", "eval/bits-per-byte"]),
        ("bits", ["bits_per_token", "loss_bits", "log2_ppl"]),
        ("other", ["val_accuracy", "error_rate"]),  # shares that are in percent
        ("", ["y", "score", "seconds", "process", "glossary"]),
    ],
)  # fmt: skip
def test_a_unit_by_its_name_in_any_case_and_path(unit: str, names: list[str]) -> None:
    between = np.array([2.0, 5.0])  # a perplexity or a loss, as far as the values go
    assert {name: unit_of(name, between).name for name in names} == dict.fromkeys(names, unit)


def test_a_name_that_says_nothing_leaves_it_to_the_values() -> None:
    assert unit_of("y", np.array([0.9, 3.0])) == YUnit("other", "values")
    assert unit_of("y", np.array([24.0, 300.0])) == YUnit("ppl", "values")
    assert unit_of("y", np.array([2.0, 300.0])).name == ""
    assert unit_of("loss", np.array([2.0]), "bits") == YUnit("bits", "option")
    with pytest.raises(InputError, match="Choose ppl"):
        unit_of("y", np.array([2.0]), "nat")
    assert choices.Y_UNITS == UNITS


@pytest.mark.parametrize("unit", UNITS)
def test_a_loss_and_back(unit: str) -> None:
    y = np.array([1.5, 3.0, 40.0])
    np.testing.assert_allclose(y_of(loss_of(y, YUnit(unit, "option")), YUnit(unit, "option")), y, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "y"),
    [
        ("final_loss", LOSS),
        ("eval/loss", LOSS),
        ("perplexity", np.exp(LOSS)),
        ("bits_per_token", LOSS / np.log(2.0)),
    ],
)
def test_every_unit_gives_the_joint_law_of_the_loss_in_nats(name: str, y: np.ndarray) -> None:
    fit = fit_joint_groups([Points(x=D, y=y, parameters=N, y_name=name)])
    for parameter, value in TRUTH.items():
        assert fit.parameters[parameter].value == pytest.approx(value, rel=1e-4)
    predicted = [point.predicted for point in fit.fitted]
    np.testing.assert_allclose(predicted, [point.y for point in fit.fitted], rtol=1e-6)


def test_bits_per_byte_below_one_are_figures_like_others() -> None:
    fit = fit_joint_groups([Points(x=D, y=LOSS / 3.0, parameters=N, y_name="c4_bpb")])
    assert min(point.y for point in fit.fitted) < 1.0
    assert fit.parameters["E"].value == pytest.approx(TRUTH["E"] / 3.0, rel=1e-4)
    assert fit.y_unit == "bpb"


def test_what_is_not_known_is_asked_and_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"perplexity or a loss\?.*--y-unit"):
        fit_joint_groups([Points(x=D, y=LOSS, parameters=N, y_name="y")])
    with pytest.raises(InputError, match=r"14 of 16 values of ppl are perplexities of 1 or less.*--y-unit"):
        fit_joint_groups([Points(x=D, y=LOSS / 4.0, parameters=N, y_name="ppl")])
