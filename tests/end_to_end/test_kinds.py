"""``--kind``: the baselines through every command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.cli import choices
from cvfp_cli.learners import learners

Cvfp = Callable[..., Any]
SMALL: dict[str, tuple[str, ...]] = {
    "gru": ("gru.width=8", "gru.epochs=2"),
    "lstm": ("lstm.width=8", "lstm.epochs=2"),
    "transformer": (
        "transformer.width=8",
        "transformer.layers=1",
        "transformer.heads=2",
        "transformer.epochs=2",
    ),
}


def small(*kinds: str) -> list[str]:
    """The options that choose kinds and make them small."""
    settings = [word for kind in kinds for setting in SMALL.get(kind, ()) for word in ("--set", setting)]
    return ["--kind", ",".join(kinds), *settings, "--device", "cpu"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def runs(out: Path) -> list[dict[str, Any]]:
    return list(json.loads((out / "summary.json").read_text())["runs"])


def test_the_shell_is_offered_every_kind() -> None:
    assert tuple(learners()) == choices.KINDS


def test_every_kind_in_one_folder(cvfp: Cvfp, study: Path, out: Path) -> None:
    kinds = small("ngram", "gru", "lstm", "transformer")
    planned = cvfp("sweep", "--recipe", study, *kinds, "--out", out, "--dry-run")
    assert planned.code == 0, planned.err
    assert [line.split()[0] for line in planned.out.splitlines() if "_s4_" in line] == [
        "5gram_s4_seed42",
        "gru_1L_8d_s4_seed42",
        "lstm_1L_8d_s4_seed42",
        "transformer_1L_8d_s4_seed42",
    ]
    assert "Not used by kind ngram, gru, lstm, transformer: head, phase1, phase2" in planned.err
    done = cvfp("sweep", "--recipe", study, *kinds, "--out", out)
    assert done.code == 0, done.err
    found = runs(out)
    assert [run["kind"] for run in found[::3]] == ["gru", "lstm", "ngram", "transformer"]
    absent = (
        "phase1_iterations",
        "phase1_rate",
        "phase1_converged",
        "train_effective_rank",
        "val_effective_rank",
    )
    assert {run[key] for run in found for key in absent} == {None}
    assert {run["parameters"]["context_block"] for run in found} == {None}
    assert all(run["parameters"]["total"] > 0 and run["val_ppl"] and run["val_accuracy"] for run in found)
    for run in found:
        counted = run["kind"] == "ngram"
        own = (
            run["parameters"]["body"],
            run["epochs"],
            run["best_epoch"],
            run["stopped_by"],
            run["train_ppl"],
        )
        assert (own == (None,) * 5) is counted
        assert [stage["name"] for stage in run["stages"]] == ["count" if counted else "training"]
        assert run["stages"][0]["seconds"] > 0
    assert found[0]["axes"] == {"gru_width": 8, "gru_layers": 1}
    fitted = cvfp("fit", out, "--format", "json")
    assert fitted.code == 0, fitted.err
    labels = {"5gram", "gru_1L_8d", "lstm_1L_8d", "transformer_1L_8d"}
    assert {fit["config"] for fit in json.loads(fitted.out)["fits"]} == labels
    compared = cvfp("compare", out)
    assert compared.code == 0, compared.err
    by = cvfp("compare", out, "--by", "kind")
    assert by.code == 0, by.err
    for language in ("en", "ja"):
        report = cvfp("report", out, "--lang", language)
        assert report.code == 0, report.err
        assert all(label in report.out for label in labels)


def test_kinds_join_a_folder_one_after_the_other(cvfp: Cvfp, study: Path, out: Path) -> None:
    common = ("--recipe", study, "--out", out, "--samples", "4,8,16")
    assert cvfp("sweep", "--layers", "1", "--tokens", "1", "--device", "cpu", *common).code == 0
    for kind in ("ngram", "gru"):
        joined = cvfp("sweep", *small(kind), *common)
        assert joined.code == 0, joined.err
    assert [run["config"] for run in runs(out)[::3]] == ["1L_8d_1tok", "gru_1L_8d", "5gram"]
    assert cvfp("report", out).code == 0


def test_the_same_seed_is_the_same_figures(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    figures = []
    for name in ("a", "b"):
        out = tmp_path / name
        arguments = (*small("gru", "transformer"), "--samples", "8", "--out", out, "-q")
        assert cvfp("sweep", "--recipe", study, *arguments).code == 0
        figures.append([(run["val_loss"], run["sample_losses"], run["run_id"]) for run in runs(out)])
    assert figures[0] == figures[1]


def test_train_one_and_how_to_go_on(cvfp: Cvfp, study: Path, out: Path) -> None:
    several = cvfp("train", "--recipe", study, "--kind", "gru,ngram", "--out", out)
    assert (several.code, "--kind: train takes one value." in several.err) == (2, True)
    wrong = cvfp("train", "--recipe", study, "--kind", "grru", "--out", out)
    assert (wrong.code, "Did you mean gru?" in wrong.err) == (2, True)
    one = cvfp("train", "--recipe", study, "--kind", "ngram", "--samples", 8, "--out", out)
    assert one.code == 0, one.err
    assert "5gram" in one.out
    assert "phase" not in one.out
    assert "effective rank" not in one.out
    assert (
        f"cvfp sweep --recipe {study} --kind ngram --out {out} --set ngram.order=5 --samples 4,8,16"
        in one.err
    )
    gru = cvfp("train", "--recipe", study, *small("gru"), "--samples", 8, "--out", out)
    assert gru.code == 0, gru.err
    assert "best of 2 epochs" in gru.out
    assert "--set gru.width=8 --set gru.layers=1 --samples 4,8,16" in gru.err
    again = cvfp("train", "--recipe", study, *small("gru"), "--samples", 8, "--out", out)
    assert "is done already" in again.err
    weights = out / "runs" / "gru_1L_8d_s8_seed42" / "model.safetensors"
    assert weights.is_file()
    assert (out / "runs" / "5gram_s8_seed42" / "model.safetensors").is_file()
