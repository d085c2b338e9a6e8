"""``cvfp train`` from the command line to the files, on real text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from cvfp_cli.core import experiment
from cvfp_cli.core.result import Advance

Cvfp = Callable[..., Any]
NAME = "2L_8d_1tok_s8_seed7"


@pytest.fixture
def arguments(study: Path, tmp_path: Path) -> tuple[object, ...]:
    grid = ("--layers", 2, "--samples", 8, "--seed", 7)
    return ("train", "--recipe", study, "--out", tmp_path / "out", "--device", "cpu", *grid)


def test_one_experiment_and_its_files(cvfp: Cvfp, arguments: tuple[object, ...], tmp_path: Path) -> None:
    done = cvfp(*arguments)
    assert done.code == 0, done.err
    figures = dict(line.split(maxsplit=1) for line in done.out.splitlines() if len(line.split()) > 1)
    assert figures["configuration"].strip() == "2L_8d_1tok"
    folder = tmp_path / "out" / "runs" / NAME
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "config.toml",
        "generation_config.json",
        "losses.npy",
        "metrics.jsonl",
        "model.safetensors",
        "modeling_cvfp.py",
        "result.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    run = json.loads((folder / "result.json").read_text())["run"]
    assert f"{run['val_ppl']:#.4g}" in done.out
    weights = load_file(folder / "model.safetensors")
    blocks = sum(array.size for name, array in weights.items() if name.startswith(("context.", "token.")))
    assert blocks == run["parameters"]["context_block"] + run["parameters"]["token_block"]
    assert [name for name, array in weights.items() if array.shape == (300, 8)] == ["embedding.weight"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["phase"] for line in lines] == [1] * run["phase1_iterations"] + [2] * run["epochs"]
    assert [line["val_ppl"] for line in lines if line["phase"] == 2] == run["val_ppl_by_epoch"]
    assert done.err.count("\n  phase 1 ") == run["phase1_iterations"]


def test_a_finished_run_is_shown_and_not_repeated(
    cvfp: Cvfp, arguments: tuple[object, ...], tmp_path: Path
) -> None:
    first = cvfp(*arguments)
    result = tmp_path / "out" / "runs" / NAME / "result.json"
    written = result.read_bytes()
    again = cvfp(*arguments)
    assert again.code == 0
    assert again.out == first.out
    assert "\n  phase 1 " not in again.err
    assert result.read_bytes() == written
    fresh = cvfp(*arguments, "--fresh", "--yes")
    assert fresh.err.count("\n  phase 1 ") == first.err.count("\n  phase 1 ")
    assert result.read_bytes() != written  # other times
    assert (tmp_path / "out" / "old-1" / "runs" / NAME / "result.json").read_bytes() == written
    same = [line for line in fresh.out.splitlines() if "PPL" in line]
    assert same == [line for line in first.out.splitlines() if "PPL" in line]


@pytest.mark.parametrize("events", [3, 5])
def test_resume_goes_on_where_it_stopped(
    cvfp: Cvfp, arguments: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    monkeypatch.setattr("cvfp_cli.sweeps.checkpoint.SECONDS_BETWEEN", 0.0)
    whole = cvfp(*arguments)
    weights = (tmp_path / "out" / "runs" / NAME / "model.safetensors").read_bytes()
    real = experiment.run_experiment

    def breaking(config: Any, data: Any, execution: Any, progress: Any, *rest: Any) -> Any:
        left = events

        def counting(event: Any) -> None:
            nonlocal left
            progress(event)
            left -= not isinstance(event, Advance)
            if left == 0:
                raise KeyboardInterrupt

        return real(config, data, execution, counting, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(experiment, "run_experiment", breaking)
        stopped = cvfp(*arguments, "--fresh", "--yes")
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1].endswith("--resume")
    assert "--fresh" not in stopped.err.splitlines()[-1]
    resumed = cvfp(*arguments, "--resume")
    assert resumed.code == 0
    assert "phase 1 1/" not in resumed.err
    assert [line for line in resumed.out.splitlines() if "time" not in line and "memory" not in line] == [
        line for line in whole.out.splitlines() if "time" not in line and "memory" not in line
    ]
    assert (tmp_path / "out" / "runs" / NAME / "model.safetensors").read_bytes() == weights


def test_without_options_it_takes_the_first_of_the_recipe(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    assert cvfp("train", "--recipe", study, "--out", tmp_path / "out").code == 0
    assert [path.name for path in (tmp_path / "out" / "runs").iterdir()] == ["1L_8d_1tok_s4_seed42"]


def test_a_run_s_config_trains_the_same_again(
    cvfp: Cvfp, arguments: tuple[object, ...], tmp_path: Path
) -> None:
    first = cvfp(*arguments)
    again = cvfp(
        "train",
        "--recipe",
        tmp_path / "out" / "runs" / NAME / "config.toml",
        "--out",
        tmp_path / "b",
        "--device",
        "cpu",
    )
    assert [line for line in again.out.splitlines() if "PPL" in line] == [
        line for line in first.out.splitlines() if "PPL" in line
    ]
    assert [path.name for path in (tmp_path / "b" / "runs").iterdir()] == [NAME]


def test_sizes_beyond_the_recipe_s_list_and_data_seeds(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    done = cvfp("train", "--recipe", study, "--out", tmp_path / "out", "--samples", 30, "--data-seed", 3)
    assert done.code == 0, done.err
    [folder] = (tmp_path / "out" / "runs").iterdir()
    assert folder.name == "1L_8d_1tok_s30_seed42_data3"
    assert (
        cvfp("train", "--recipe", folder / "config.toml", "--out", tmp_path / "out").err.count("done already")
        == 1
    )


def test_a_dry_run_trains_nothing(cvfp: Cvfp, arguments: tuple[object, ...], tmp_path: Path) -> None:
    planned = cvfp(*arguments, "--dry-run")
    assert planned.code == 0
    assert NAME in planned.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--layers", "1-3"], "For several use cvfp sweep"),
        (["--samples", "1,2"], "For several use cvfp sweep"),
        (["--seed", "-1"], "--seed"),
        (["--resume", "--fresh"], "exclude each other"),
    ],
)
def test_train_takes_one_of_each(cvfp: Cvfp, study: Path, tmp_path: Path, more: list[str], said: str) -> None:
    refused = cvfp("train", "--recipe", study, "--out", tmp_path / "out", *more)
    assert refused.code == 2
    assert said in refused.err
    assert len(refused.err.splitlines()) == 1


def test_a_diverged_run_fails_with_its_reason(cvfp: Cvfp, arguments: tuple[object, ...]) -> None:
    done = cvfp(*arguments, "--set", "phase1.learning_rate=1e38")
    assert done.code == 1
    assert "diverged" in done.out
    assert "phase 1 was not finite in iteration" in done.out
    again = cvfp(*arguments, "--set", "phase1.learning_rate=1e38")
    assert again.code == 1


def test_text_of_several_files_one_sample_a_line(
    cvfp: Cvfp, arguments: tuple[object, ...], study: Path, tmp_path: Path
) -> None:
    """The options decide what is read, a note says what is skipped, and the run's own recipe keeps both."""
    texts = [json.loads(line)["text"] for line in (study.parent / "text.jsonl").read_text().splitlines()]
    (tmp_path / "a.txt").write_text("\n".join(texts[:20]))
    (tmp_path / "b.csv").write_text(
        "text\n" + "\n".join(texts[20:25]) + '\n""\n' + "\n".join(texts[25:]) + "\n"
    )
    whole = cvfp(*arguments)
    data = ("--data", tmp_path / "a.txt", "--data", tmp_path / "b.csv", "--lines")
    parts = cvfp(*arguments, *data, "--out", tmp_path / "parts")
    assert parts.code == 0, parts.err
    assert "note: " in parts.err
    assert (
        f"{tmp_path / 'a.txt'}, {tmp_path / 'b.csv'}: 1 empty sample is skipped ({tmp_path / 'b.csv'}, line 7)"
        in (parts.err)
    )
    results = [
        json.loads((tmp_path / out / "runs" / NAME / "result.json").read_text())["run"]
        for out in ("out", "parts")
    ]
    assert results[0]["val_ppl"] == results[1]["val_ppl"]
    kept = (tmp_path / "parts" / "runs" / NAME / "config.toml").read_text()
    assert "lines = true" in kept
    assert "b.csv" in kept
    refused = cvfp(*arguments, *data, "--empty", "refuse", "--out", tmp_path / "refused")
    assert refused.code == 2
    assert "b.csv, line 7: the sample is empty" in refused.err
    wrong = cvfp(*arguments, *data, "--empty", "keep")
    assert wrong.code == 2
    assert "data.empty must be one of skip, refuse" in wrong.err
    assert whole.code == 0


def test_a_finite_loss_beyond_all_reason_has_diverged_too(cvfp: Cvfp, arguments: tuple[object, ...]) -> None:
    done = cvfp(*arguments, "--set", "phase2.learning_rate=1000")
    assert done.code == 1
    words = " ".join(done.out.split())
    assert "diverged: the best validation loss" in words
    assert "val PPL –" in words
    assert "the run ended without figures (diverged)" in done.err


def test_a_run_that_learned_nothing_is_told_what_would_help(
    cvfp: Cvfp, arguments: tuple[object, ...]
) -> None:
    done = cvfp(*arguments, "--set", "head.bias=none", "--set", "phase2.learning_rate=1e-4")
    assert done.code == 0
    assert "warning: the run is no better than the unigram model, so nothing was learned" in done.err
    assert "--set head.bias=unigram" in done.err
    assert "ended at its limit of epochs" in done.out


def test_validation_tokens_other_than_the_recipe_s_are_said_before_training(
    cvfp: Cvfp, arguments: tuple[object, ...]
) -> None:
    done = cvfp(*arguments, "--set", "validation.expected_tokens=31024", "--dry-run")
    assert done.code == 0
    assert "warning: The validation text has 156 tokens, and study expects 31,024" in done.err
    assert "validation: 156 tokens." in done.out
