"""``cvfp sweep`` from the command line to the files, on real text."""

import csv
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cvfp = Callable[..., Any]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def names(out: Path) -> list[str]:
    return sorted(path.parent.name for path in out.glob("runs/*/result.json"))


def test_a_sweep_from_text_to_summary(cvfp: Cvfp, study: Path, out: Path) -> None:
    done = cvfp("sweep", "--recipe", study, "--out", out, "--device", "cpu")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines() if line[:1].isdigit()] == [
        "1L_8d_1tok",
        "2L_8d_1tok",
        "1L_8d_2tok",
        "2L_8d_2tok",
    ]
    assert "\x1b" not in done.out + done.err
    assert "[12/12]" in done.err
    summary = json.loads((out / "summary.json").read_text())
    assert summary["schema"] == "cvfp-results/2"
    assert summary["complete"] is True
    assert summary["command"].startswith("cvfp sweep --recipe")
    assert summary["recipe"]["name"] == "study"
    assert {"source", "fingerprint", "tokenizer", "embedding", "validation", "overlap"} <= set(
        summary["data"]
    )
    assert len(summary["environments"]) == 1
    assert {run["status"] for run in summary["runs"]} == {"done"}
    assert {(fit["config"], fit["law"]) for fit in summary["fits"]} == {
        (f"{layers}L_8d_{tokens}tok", "power") for layers in (1, 2) for tokens in (1, 2)
    }
    assert {"alpha", "alpha_low", "alpha_high", "A", "r_squared", "points"} <= set(summary["fits"][0])
    with (out / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12
    log = (out / "sweep.log").read_text()
    assert log.count("phase 1 iteration") == sum(run["phase1_iterations"] for run in summary["runs"])
    assert log.count("phase 2 epoch") == sum(run["epochs"] for run in summary["runs"])
    folder = out / "runs" / "2L_8d_2tok_s16_seed42"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.toml",
        "losses.npy",
        "metrics.jsonl",
        "result.json",
    ]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 4 + 2


def test_the_same_again_and_more(cvfp: Cvfp, study: Path, out: Path) -> None:
    small = ("sweep", "--recipe", study, "--out", out, "--layers", "1", "--tokens", "1")
    assert cvfp(*small, "--samples", "4").code == 0
    written = (out / "runs" / "1L_8d_1tok_s4_seed42" / "result.json").stat().st_mtime_ns
    again = cvfp(*small, "--samples", "4")
    assert again.code == 0
    assert "[1/" not in again.err
    more = cvfp(*small, "--samples", "4,8", "--seeds", "42-43", "--save-models")
    assert "[3/3]" in more.err
    assert names(out) == [f"1L_8d_1tok_s{samples}_seed{seed}" for samples in (4, 8) for seed in (42, 43)]
    assert (out / "runs" / "1L_8d_1tok_s4_seed42" / "result.json").stat().st_mtime_ns == written
    assert len(list(out.glob("runs/*/model.safetensors"))) == 3


def test_a_dry_run_shows_the_grid_and_writes_nothing(cvfp: Cvfp, study: Path, out: Path) -> None:
    planned = cvfp("sweep", "--recipe", study, "--out", out, "--dry-run")
    assert planned.code == 0
    assert not out.exists()
    rows = [line.split() for line in planned.out.splitlines() if "_s" in line]
    assert len(rows) == 12
    assert [row[0] for row in rows][:1] == ["1L_8d_1tok_s4_seed42"]
    assert {row[-2] + " " + row[-1] for row in rows} == {"to do"}
    # K=1, D=E=8: one layer of [8 + 8] -> 8 with bias and norm.
    assert rows[0][1] == rows[0][2] == str(16 * 8 + 8 + 16)
    cvfp("sweep", "--recipe", study, "--out", out, "--samples", "4")
    planned = cvfp("sweep", "--recipe", study, "--out", out, "--dry-run")
    rows = [line.split() for line in planned.out.splitlines() if "_s" in line]
    assert [row[-1] for row in rows] == ["done"] * 4 + ["do"] * 8
    assert "12 runs, 4 done already" in planned.out


def test_train_and_sweep_meet_in_the_same_run(cvfp: Cvfp, study: Path, out: Path, tmp_path: Path) -> None:
    cvfp("sweep", "--recipe", study, "--out", out, "--layers", "2", "--tokens", "2")
    done = cvfp(
        "train",
        "--recipe",
        study,
        "--out",
        tmp_path / "alone",
        "--layers",
        "2",
        "--tokens",
        "2",
        "--samples",
        4,
    )
    assert done.code == 0, done.err
    name = "2L_8d_2tok_s4_seed42"
    swept, alone = (
        json.loads((folder / "runs" / name / "result.json").read_text())["run"]
        for folder in (out, tmp_path / "alone")
    )
    for run in (swept, alone):
        del run["seconds"], run["stages"], run["peak_memory_bytes"]
    assert swept == alone
    shown = cvfp("train", "--recipe", study, "--out", out, "--layers", "2", "--tokens", "2", "--samples", 4)
    assert shown.code == 0
    assert "done already" in shown.err


def test_another_study_is_refused_and_nothing_is_lost(cvfp: Cvfp, study: Path, out: Path) -> None:
    cvfp("sweep", "--recipe", study, "--out", out, "--layers", "1", "--tokens", "1", "--samples", "4")
    before = (out / "summary.json").read_bytes()
    for arguments, named in (
        (["--set", "phase2.epochs=3"], "phase2.epochs is 2 there and 3 here"),
        (["--tokenizer", "bpe:280"], "tokenizer"),
        (["--embedding", "ppmi:4"], "embedding"),
        (["--validation", "last:3"], "validation"),
    ):
        refused = cvfp("sweep", "--recipe", study, "--out", out, *arguments)
        assert refused.code == 2
        assert named in refused.err
        assert len([line for line in refused.err.splitlines() if line.startswith("cvfp: ")]) == 1
    assert (out / "summary.json").read_bytes() == before
    fresh = cvfp(
        "sweep",
        "--recipe",
        study,
        "--out",
        out,
        "--set",
        "phase2.epochs=3",
        "--samples",
        "4",
        "--fresh",
        "--yes",
    )
    assert fresh.code == 0
    assert len(names(out)) == 4


def test_a_folder_with_other_files_is_refused(cvfp: Cvfp, study: Path, out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("all of it")
    refused = cvfp("sweep", "--recipe", study, "--out", out, "--fresh")
    assert refused.code == 2
    assert "thesis.tex" in refused.err
    assert (out / "thesis.tex").read_text() == "all of it"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "5-1"], "--samples: the range 5-1 runs downwards"),
        (["--layers", "0"], "--layers: 0 is too small"),
        (["--samples", "37"], "overlap"),
        (["--data", "missing.jsonl"], "missing.jsonl"),
        (["--set", "phase2.epoch=3"], "did you mean phase2.epochs?"),
        (["--set", "phase2_patience=3"], "phase2.patience"),
        (["--device", "cuda:99"], "--device cuda:99"),
        (["--device", "gpu"], "Did you mean cuda?"),
        (["--precision", "tf32", "--device", "cpu"], "tf32"),
        (["--memory", "lots"], "--memory"),
        (["--threads", "0"], "--threads"),
        (["--recipe", "nothing"], "no recipe and no file 'nothing'"),
    ],
)
def test_wrong_input_is_answered_in_one_line(
    cvfp: Cvfp, study: Path, out: Path, arguments: list[str], said: str
) -> None:
    recipe = [] if "--recipe" in arguments else ["--recipe", study]
    device = [] if "--device" in arguments else ["--device", "cpu"]
    refused = cvfp("sweep", *recipe, *device, "--out", out, *arguments)
    assert refused.code == 2
    assert refused.out == ""
    wrong = [line for line in refused.err.splitlines() if line.startswith("cvfp: ")]
    assert len(wrong) == 1
    assert said in wrong[0]
    assert "Traceback" not in refused.err
    assert not out.exists()


def test_all_problems_are_told_at_once(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    refused = cvfp(
        "sweep", "--recipe", study, "--layers", "0", "--samples", "x", "--set", "a", "--memory", "1"
    )
    assert refused.code == 2
    assert len([line for line in refused.err.splitlines() if line.startswith("cvfp: ")]) == 4
    (tmp_path / "file").write_text("")
    refused = cvfp(
        "sweep",
        "--recipe",
        study,
        "--device",
        "cuda:99",
        "--out",
        tmp_path / "file",
        "--data",
        tmp_path / "missing.jsonl",
        "--tensorboard",
        tmp_path / "file",
    )
    assert refused.code == 2
    assert all(word in refused.err for word in ("--out: ", "--tensorboard: ", "missing.jsonl"))
    assert "cuda" not in refused.err  # folders and text first: the device takes seconds


def test_broken_text_is_named_by_line(cvfp: Cvfp, study: Path, out: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.jsonl"
    lines = text.read_text().splitlines()
    lines[2] = '{"text": "cut'
    text.write_text("\n".join(lines))
    refused = cvfp("sweep", "--recipe", study, "--out", out)
    assert refused.code == 2
    assert "text.jsonl" in refused.err
    assert "3" in refused.err


def test_a_missing_extra_is_named(
    cvfp: Cvfp, study: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_cli.sweeps.tensorboard.find_spec", lambda name: None)
    refused = cvfp("sweep", "--recipe", study, "--out", out, "--tensorboard", out / "tb")
    assert refused.code == 2
    assert "cvfp-cli[tensorboard]" in refused.err


def test_ctrl_c_says_how_to_go_on(
    cvfp: Cvfp, study: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvfp_cli.core import experiment

    real, left = experiment.run_experiment, 3

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(experiment, "run_experiment", interrupted)
        stopped = cvfp("sweep", "--recipe", study, "--out", out, "--fresh")
    assert stopped.code == 130
    assert stopped.out == ""
    assert stopped.err.splitlines()[-1].strip() == f"cvfp sweep --recipe {study} --out {out}"
    assert json.loads((out / "summary.json").read_text())["complete"] is False
    assert len(names(out)) == 3
    assert "[9/9]" in cvfp("sweep", "--recipe", study, "--out", out).err


def test_a_run_that_diverges_makes_the_sweep_fail_at_its_end(cvfp: Cvfp, study: Path, out: Path) -> None:
    done = cvfp(
        "sweep",
        "--recipe",
        study,
        "--out",
        out,
        "--samples",
        "4",
        "--set",
        "phase1.learning_rate=1e38",
        "--quiet",
    )
    assert done.code == 1
    assert "diverged" in done.out
    assert "4 of 4 runs ended without figures" in done.err
    text = (out / "summary.json").read_text()
    assert "NaN" not in text
    assert {run["status"] for run in json.loads(text)["runs"]} == {"diverged"}


def test_a_first_layer_recipe_s_slope_is_in_the_table(cvfp: Cvfp, study: Path, out: Path) -> None:
    first = (
        "--set",
        "model.token_input=first_layer",
        "--samples",
        "4,8,16",
        "--layers",
        "1",
        "--tokens",
        "1",
    )
    done = cvfp("sweep", "--recipe", study, "--out", out, *first)
    assert done.code == 0
    (fit,) = json.loads((out / "summary.json").read_text())["fits"]
    (row,) = [line for line in done.out.splitlines() if line.startswith("1L_8d_1tok ")]
    assert row.split()[1] == f"{fit['alpha']:.4f}"


def test_quiet_says_nothing_but_the_answer(cvfp: Cvfp, study: Path, out: Path) -> None:
    done = cvfp("sweep", "--recipe", study, "--out", out, "--samples", "4", "--quiet", "--device", "cpu")
    assert done.code == 0
    assert [line.split(":")[0] for line in done.err.splitlines()] in ([], ["warning"])
    assert "1L_8d_1tok" in done.out


def test_recover_runs_again_what_is_damaged(cvfp: Cvfp, study: Path, out: Path) -> None:
    arguments = ("sweep", "--recipe", study, "--out", out, "--samples", "4", "--layers", "1")
    cvfp(*arguments)
    whole = json.loads((out / "summary.json").read_text())["runs"]
    damaged = out / "runs" / "1L_8d_1tok_s4_seed42" / "result.json"
    damaged.write_bytes(damaged.read_bytes()[:100])
    refused = cvfp(*arguments)
    assert refused.code == 2
    assert "--recover" in refused.err
    assert "result.json" in refused.err
    mended = cvfp(*arguments, "--recover")
    assert mended.code == 0
    assert "[1/1]" in mended.err
    assert [run["val_ppl"] for run in json.loads((out / "summary.json").read_text())["runs"]] == [
        run["val_ppl"] for run in whole
    ]


def test_recover_writes_a_damaged_study_file_anew(cvfp: Cvfp, study: Path, out: Path) -> None:
    arguments = ("sweep", "--recipe", study, "--out", out, "--samples", "4", "--layers", "1")
    cvfp(*arguments)
    whole = (out / "study.json").read_text()
    (out / "study.json").write_text(whole[:100])
    refused = cvfp(*arguments)
    assert refused.code == 2
    assert "study.json" in refused.err
    assert "--recover" in refused.err
    mended = cvfp(*arguments, "--recover")
    assert mended.code == 0
    assert "warning: Written anew" in mended.err
    assert "[1/" not in mended.err
    identity = json.loads((out / "study.json").read_text())["identity"]
    assert identity == json.loads(whole)["identity"]
    assert cvfp(*arguments).code == 0


def test_recipes_are_listed(cvfp: Cvfp) -> None:
    shown = cvfp("sweep", "--list-recipes")
    assert shown.code == 0
    assert "2025-11-30-matrix" in shown.out
    assert "demo" in shown.out


def test_a_read_only_folder_is_refused(
    cvfp: Cvfp, study: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused = cvfp("sweep", "--recipe", study, "--out", out / "deep")
    assert refused.code == 2
    assert f"{out.parent} cannot be written to" in refused.err


HEAVY_AFTER = """
import sys
from cvfp_cli.cli.app import run
code = run(sys.argv[1:])
print(code, *[name for name in ("torch", "transformers") if name in sys.modules])
"""


@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--data", "missing.jsonl"], "missing.jsonl: no such file or folder."),
        (["--data", "broken.jsonl"], "broken.jsonl, line 2: not valid JSON"),
        (["--data", "text.xyz"], "text.xyz: cannot read '.xyz' files."),
        (["--validation", "missing.jsonl"], "missing.jsonl"),
        (["--tokenizer", "./missing"], "--tokenizer ./missing: no such folder."),
        (["--embedding", "missing.npy"], "missing.npy"),
        (["--samples", "4000"], "40 samples, and 4,000 are asked for"),
        (["--out", "text.xyz"], "text.xyz is a file, not a folder."),
        (["--out", "foreign"], "foreign holds files that are not of a cvfp study (thesis.tex)."),
    ],
)
def test_what_is_wrong_with_files_is_told_before_the_device_is_looked_at(
    study: Path, tmp_path: Path, command: str, more: list[str], said: str
) -> None:
    (tmp_path / "broken.jsonl").write_text('{"text": "a b"}\n{"text": \n')
    (tmp_path / "text.xyz").write_text("a")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("all of it")
    words = [command, "--recipe", str(study), *more]
    done = subprocess.run(
        [sys.executable, "-c", HEAVY_AFTER, *words], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["2"]
    assert said in done.stderr
    assert "device" not in done.stderr


def typed(line: str) -> list[str]:
    """The words of a command line that was advised, up to where a shell would redirect its answer."""
    words = shlex.split(line)
    assert words[0] == "cvfp"
    return words[1 : words.index(">") if ">" in words else None]


def advised(err: str) -> list[str]:
    """The command lines after ``next:``."""
    before, _, after = err.partition("next:\n")
    assert before
    return [line.strip() for line in after.splitlines() if line.startswith("  cvfp ")]


def test_a_sweep_ends_with_the_next_two_commands_and_they_work(
    cvfp: Cvfp, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "two words"
    small = ("sweep", "--recipe", study, "--out", out, "--layers", 1, "--tokens", 1, "--device", "cpu")
    assert advised(cvfp(*small, "--samples", 4).err) == [
        f"cvfp report '{out}' > '{out}.md'"
    ]  # no law of one size
    commands = advised(cvfp(*small).err)
    assert commands == [f"cvfp fit '{out}'", f"cvfp report '{out}' > '{out}.md'"]
    for line in commands:
        assert cvfp(*typed(line)).code == 0
    diverged = cvfp(*small, "--out", tmp_path / "none", "--set", "phase1.learning_rate=1e38", "--samples", 4)
    assert "next:" not in diverged.err


def test_a_run_s_next_command_makes_its_law(
    cvfp: Cvfp, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = (
        "train",
        "--recipe",
        study,
        "--out",
        "train",
        "--layers=2",
        "--samples",
        4,
        "--seed=7",
        "--device",
        "cpu",
    )
    [line] = advised(cvfp(*words).err)
    assert line == (
        f"cvfp sweep --recipe {study} --out train --seeds=7 --device cpu "
        "--layers 2 --tokens 1 --context-dim 8 --samples 4,8,16"
    )
    more = cvfp(*typed(line))
    assert more.code == 0
    assert "[2/2]" in more.err  # the run itself is there
    assert advised(cvfp(*words).err) == ["cvfp fit train", "cvfp report train > train.md"]


def test_what_takes_long_is_said_first_with_what_that_is_known_from(
    cvfp: Cvfp, study: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("sweep", "--recipe", study, "--out", out, "--layers", 1, "--tokens", 1, "--device", "cpu")
    assert "may take" not in cvfp(*small, "--samples", 4).err
    (out / "runs" / "1L_8d_1tok_s4_seed42" / "result.json").unlink()
    monkeypatch.setattr("cvfp_cli.sweeps.rate.expected_rate", lambda execution: 100.0)  # operations a second
    first, *_ = (line for line in cvfp(*small).err.splitlines() if "may take" in line or "[1/3]" in line)
    assert first.startswith("note: 3 runs on cpu may take about ")
    assert " h " in first
    assert "(by how fast this device multiplies matrices now, which can be off by a factor of two)" in first
    assert "--dry-run shows them one by one and trains nothing." in first
    # Runs that are done tell more than any product: nothing is said of those that are expected to take seconds.
    assert "may take" not in cvfp(*small, "--seeds", "42-43").err
    assert (
        "Times are estimated by the time that 6 finished runs took."
        in cvfp(*small, "--seeds", "42-44", "--dry-run").out
    )
    quiet = cvfp(*small, "--seeds", "44", "--set", "phase2.epochs=3", "--fresh", "--yes", "--quiet").err
    assert "note: " not in quiet


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_recipe_is_printed_as_it_is_and_can_be_used(cvfp: Cvfp, tmp_path: Path, command: str) -> None:
    from cvfp_cli.recipes import load_recipe

    shown = cvfp(command, "--print-recipe", "demo")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("# A sweep that needs no download")
    (tmp_path / "mine.toml").write_text(shown.out, encoding="utf-8")
    assert load_recipe(tmp_path / "mine.toml").resolved() == load_recipe("demo").resolved()


def test_a_study_goes_on_to_larger_sizes_as_the_refusal_says(
    cvfp: Callable[..., Any], study: Path, tmp_path: Path
) -> None:
    """The words of the refusal, added to the command, meet the runs that are there and train the new ones."""
    out = tmp_path / "out"
    sweep = ("sweep", "--recipe", study, "--layers", "1", "--tokens", "1", "--out", out, "--device", "cpu")
    sweep = (*sweep, "--validation", "after-largest:4")
    assert cvfp(*sweep).code == 0
    more = (*sweep, "--samples", "4,8,16,24")
    refused = cvfp(*more)
    assert refused.code == 2
    assert (
        "tokenizer.samples is 16 there and 24 here; validation.after is 16 there and 24 here" in refused.err
    )
    added = refused.err.partition("add ")[2].partition(" to this command")[0].split()
    assert cvfp(*more, *added, "--dry-run").out.count("done") >= 3
    assert cvfp(*more, *added).code == 0
    runs = json.loads((out / "summary.json").read_text())["runs"]
    assert [run["samples"] for run in runs] == [4, 8, 16, 24]
    assert len({run["data_fingerprint"] for run in runs}) == 1
    assert len({run["val_tokens"] for run in runs}) == 1
