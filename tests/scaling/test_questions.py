"""Every law with every option: an answer, or a refusal that names the option; nothing is dropped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.cli import app
from cvfp_cli.laws.names import JOINTS

LAWS = ("power", "saturating", "exp-decay", "bnsl", "joint", "all", "power,joint")
ROWS = [(n, d) for n in (5e7, 1e8, 4e8, 1e9) for d in (1e9, 2e9, 4e9, 8e9, 1.6e10, 3.2e10, 6.4e10, 1.28e11)]


def _loss(i: int, n: float, d: float) -> float:
    return float((1.82 + 482 / n**0.3478 + 2085.4 / d**0.3658) * (1 + 0.002 * ((i * 7919) % 13 - 6) / 6))


# What shows in a fit that an option was answered: for laws of x, and for the joint law (None: it must be refused).
Seen = Callable[[dict[str, Any]], object]
OPTIONS: dict[str, tuple[list[str], Seen | None, Seen | None]] = {
    "target": (["--target-ppl", "2.7"], lambda fit: fit["targets"], lambda fit: fit["targets"] and fit["cheapest"]),
    "window": (["--window", "4"], lambda fit: fit["local_exponents"], None),
    "objective": (["--objective", "ppl"], lambda fit: fit["objective"] == "ppl", None),
    "predict": (["--predict", "1e12"], lambda fit: fit["predictions"], lambda fit: fit["predictions"][0]["model_size"]),
    "pair": (["--predict", "2e9:1e12"], None, lambda fit: fit["predictions"][0]["model_size"] == 2e9),
    "bootstrap": (["--bootstrap", "100"], lambda fit: "bootstrap" in fit["interval_method"], lambda fit: fit["interval_method"] == "case bootstrap"),
    "residual": (["--bootstrap", "100", "--bootstrap-kind", "residual"], lambda fit: fit["interval_method"] == "residual bootstrap", None),
    "parametric": (["--bootstrap", "100", "--bootstrap-kind", "parametric"], lambda fit: fit["interval_method"] == "parametric bootstrap", None),
    "case": (["--bootstrap", "100", "--bootstrap-kind", "case"], lambda fit: fit["interval_method"] == "case bootstrap", lambda fit: fit["interval_method"] == "case bootstrap"),
    "holdout": (["--holdout", "2"], lambda fit: len({p["x"] for p in fit["held_out"]}) == 2, lambda fit: len({p["x"] for p in fit["held_out"]}) == 2),
    "level": (["--level", "0.9"], lambda fit: fit["level"] == 0.9, lambda fit: fit["level"] == 0.9),
    "plot": (["--plot"], lambda fit: True, lambda fit: True),
}  # fmt: skip
NAMES = {"pair": "--predict", "residual": "--bootstrap-kind", "parametric": "--bootstrap-kind"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    lines = [f"{n},{d},{_loss(i, n, d)},c{n:g}" for i, (n, d) in enumerate(ROWS)]
    path.write_text("params,tokens,loss,config\n" + "\n".join(lines) + "\n")
    return path


def ask(table: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any], str]:
    arguments = [
        "fit",
        str(table),
        "--x",
        "tokens",
        "--y",
        "loss",
        "--parameters",
        "params",
        "--format",
        "json",
    ]
    code = app.run([*arguments, *more])
    shown = capsys.readouterr()
    return code, json.loads(shown.out) if shown.out else {}, shown.err


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("law", LAWS)
def test_every_option_is_answered_or_refused_by_name(
    law: str, option: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "bootstrap" in OPTIONS[option][0][0] and law in ("all", "bnsl", "exp-decay"):
        pytest.skip("slow, and one path with saturating")
    if option in ("plot", "target") and law in ("all", "bnsl"):
        pytest.skip("slow, and one path with exp-decay")
    words, of_x, of_joint = OPTIONS[option]
    picture = tmp_path / "laws.png"
    if option == "plot":
        pytest.importorskip("matplotlib")
        words = [*words, str(picture)]
    code, answer, err = ask(table, capsys, "--model", law, *words)
    name = NAMES.get(option, words[0])
    alone = (
        of_joint if law == "joint" else of_x if law in ("power", "saturating", "exp-decay", "bnsl") else True
    )
    if alone is None:
        assert code == 2
        assert name in err
        return
    assert code == 0, err
    assert picture.exists() is (option == "plot")
    for fit in answer["fits"]:
        seen = of_joint if fit["law"] in JOINTS else of_x
        if seen is not None:
            assert seen(fit), (fit["law"], option)
        elif option != "pair":
            assert any(name in note["message"] for note in answer["notes"]), err


def test_sharing_is_answered_or_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for law, share in (("power", "alpha"), ("saturating", "a"), ("exp-decay", "b,c")):
        answer = ask(table, capsys, "--model", law, "--share", share)[1]
        assert all(fit["parameters"][name]["shared"] for fit in answer["fits"] for name in share.split(","))
    code, _, err = ask(table, capsys, "--model", "joint", "--share", "alpha")
    assert code == 2
    assert "--share" in err
    both = ask(table, capsys, "--model", "power,saturating,joint", "--share", "alpha")[1]
    codes = [note["code"] for note in both["notes"]]
    assert "not-shared" in codes
    assert "joint-unanswered" in codes


def test_pooling_without_a_joint_law_is_refused_or_named(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = ask(table, capsys, "--model", "power", "--pool")
    assert code == 2
    assert "--pool: only the joint law" in err
    flat = table.with_name("flat.csv")
    flat.write_text(
        "params,tokens,loss\n" + "".join(f"1e8,{d},{_loss(0, 1e8, d)}\n" for d in (1e9, 2e9, 4e9))
    )
    answer = ask(flat, capsys, "--pool")[1]
    codes = {note["code"] for note in answer["notes"]}
    assert "nothing-pooled" in codes
    assert "model-sizes-unused" not in codes  # there is one, so that no law takes several together


def test_model_sizes_that_no_law_takes_are_named(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "model-sizes-unused" in {
        note["code"] for note in ask(table, capsys, "--model", "power", "--group", "none")[1]["notes"]
    }
    # Where a group has one model size, no others are taken together with it.
    assert "model-sizes-unused" not in {
        note["code"] for note in ask(table, capsys, "--model", "power")[1]["notes"]
    }
    assert "model-sizes-unused" not in {
        note["code"] for note in ask(table, capsys, "--model", "power,joint")[1]["notes"]
    }


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        (["--predict", "1e9,2e12"], [(1e9, 2e12)]),
        (["--predict", "1e9:2e12"], [(1e9, 2e12)]),
        (["--predict", "1e9,2e12;5e7,4e12"], [(1e9, 2e12), (5e7, 4e12)]),
        (["--predict", "1e9,2e12", "--predict", "5e7:inf"], [(1e9, 2e12), (5e7, "inf")]),
        (["--predict", "4e12"], [(1e9, 4e12)]),
    ],
)
def test_pairs_of_sizes(
    words: list[str], pairs: list[object], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fit,) = ask(table, capsys, "--model", "joint", *words)[1]["fits"]
    assert [(p["model_size"], p["x"]) for p in fit["predictions"]] == pairs
    assert all(p["low"] < p["value"] < p["high"] for p in fit["predictions"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "joint", "--predict", "1e9,2e9,4e9"], "no pair"),
        (["--model", "joint", "--predict", "1e9:2e9:3"], "no pair"),
        (["--model", "joint", "--predict", "1e9:x"], "--predict: 'x' is not a number"),
        (["--model", "joint", "--predict", "0:1e9"], "above 0"),
        (["--bootstrap-kind", "case"], "--bootstrap-kind has no effect without --bootstrap"),
        (["--model", "joint", "--bootstrap", "5"], "--bootstrap 5: too few"),
        (["--model", "joint", "--group", "params"], "--pool"),
    ],
)
def test_what_has_no_answer_is_refused(
    words: list[str], said: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = ask(table, capsys, *words)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) - err.count("cvfp: note") == 1


def test_a_pair_needs_a_joint_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(
        "params,tokens,loss\n" + "".join(f"1e8,{d},{_loss(0, 1e8, d)}\n" for d in (1e9, 2e9, 4e9, 8e9))
    )
    code, _, err = ask(path, capsys, "--predict", "1e9:1e12")
    assert code == 2
    assert "--predict: a pair N:D asks the joint law, which is not fitted" in err


def test_what_reaches_a_target(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fit,) = ask(table, capsys, "--model", "joint", "--target-ppl", "2.5,1.5")[1]["fits"]
    reached = {target["model_size"]: target for target in fit["targets"] if target["ppl"] == 2.5}
    for n, target in reached.items():
        at = {name: estimate["value"] for name, estimate in fit["parameters"].items()}
        if target["x"] is not None:
            assert at["E"] + at["A"] / n ** at["alpha"] + at["B"] / target["x"] ** at[
                "beta"
            ] == pytest.approx(2.5)
            assert target["low"] < target["x"] < target["high"]
    assert reached[1e9]["x"] < reached[4e8]["x"]
    assert reached[5e7]["x"] is None
    assert "out of reach at" not in reached[5e7]["reason"]
    least, never = fit["cheapest"]
    assert least["product"]["value"] <= min(n * t["x"] for n, t in reached.items() if t["x"])
    assert least["product"]["low"] < least["product"]["value"] < least["product"]["high"]
    assert never["product"] is None
    assert "out of reach" in never["reason"]
