"""``--jobs``, ``--devices``, ``--threads`` through the command: the same figures, and what is wrong is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cvfp = Callable[..., Any]
GRID = ("--layers", 1, "--tokens", 1, "--samples", "4,8", "--device", "cpu")


def figures(out: Path) -> dict[str, Any]:
    """``summary.json`` less what says when, how fast, with how much memory, and by which command."""
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    del summary["created"], summary["command"]
    for run in summary["runs"]:
        del run["seconds"], run["stages"], run["peak_memory_bytes"]
    return summary


@pytest.mark.pinned_only("processes take their time to start, and bits are compared within one version alone")
def test_two_processes_give_the_serial_figures_to_the_last_bit(
    cvfp: Cvfp, study: Path, tmp_path: Path
) -> None:
    serial, two = tmp_path / "serial", tmp_path / "two"
    sweep = ("sweep", "--recipe", study, *GRID)
    assert cvfp(*sweep, "--threads", 1, "--out", serial, "-q").code == 0
    done = cvfp(*sweep, "--threads", 1, "--jobs", 2, "--out", two)
    assert done.code == 0, done.err
    assert "on cpu #" in done.err  # one of the two, or each: who starts late may find nothing left to do
    assert "CPU thread" not in done.err
    assert figures(two) == figures(serial)
    # What the folder says of threads counts for later commands, whoever runs their jobs.
    assert json.loads((two / "study.json").read_text())["threads"] == 1
    more = cvfp(*sweep, "--samples", "4,8,16", "--threads", 2, "--out", serial)
    assert "--threads 1; those of --threads 2 can differ" in more.err
    assert cvfp(*sweep, "--samples", "4,8,16", "--out", two, "-q").code == 0
    [environment] = figures(two)["environments"]
    assert environment["threads"] == 1
    assert len(figures(serial)["environments"]) == 2


def test_a_dry_run_counts_the_processes(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    planned = cvfp("sweep", "--recipe", study, *GRID, "--jobs", 2, "--out", tmp_path / "out", "--dry-run")
    assert planned.code == 0, planned.err
    assert "on cpu, float32, 2 at a time" in planned.out
    assert "differ in the last digits from those of runs with another number" in planned.err


def test_a_shard_is_planned_and_trained_alone(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    sweep = ("sweep", "--recipe", study, "--kind", "ngram", "--samples", "4,8,16", "--device", "cpu")
    out = tmp_path / "out"
    counts = []
    for shard in ("1/2", "2/2"):
        planned = cvfp(*sweep, "--out", out, "--shard", shard, "--dry-run")
        rows = planned.out.count("to do")
        done = cvfp(*sweep, "--out", out, "--shard", shard)
        assert done.code == 0, done.err
        assert f"[{rows}/{rows}]" in done.err
        assert (out / f"sweep-{shard.replace('/', 'of')}.log").is_file()
        counts.append(rows)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["complete"]
    assert len(summary["runs"]) == sum(counts)
    assert min(counts) > 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--jobs", "0"], "--jobs: '0' is no number of runs."),
        (["--jobs", "many"], "Write 2, or auto."),
        (["--jobs", "auto", "--device", "cpu"], "there is none. Give a number, or --threads."),
        (
            ["--jobs", "2", "--devices", "cpu", "--device", "cpu"],
            "--device and --devices exclude each other.",
        ),
        (["--devices", "cuda:0,cpu"], "not of one kind"),
        (["--devices", "cuda:x"], "'cuda:x' has no device number"),
        (["--devices", "gpu"], "Did you mean cuda?"),
        (["--run-timeout", "5"], "--run-timeout is for --executor processes or ray."),
        (["--jobs", "2", "--executor", "serial"], "--jobs is for --executor processes or ray."),
        (["--jobs", "2", "--run-timeout", "0"], "--run-timeout: 0 is no time"),
        (["--jobs", "2", "--executor", "slurm"], "--executor: no 'slurm'."),
        (["--shard", "0/4"], "--shard: '0/4' is no part of a grid. Write 1/4 to 4/4."),
        (["--shard", "5/4"], "Write 1/4 to 4/4."),
        (["--shard", "2"], "Write 1/4 to 4/4."),
        (["--shard", "1/2", "--fresh", "--yes"], "--shard and --fresh exclude each other."),
        (["--workers", "2"], "Did you mean --jobs?"),
    ],
)
def test_what_is_wrong_is_said(
    cvfp: Cvfp, study: Path, tmp_path: Path, options: list[str], named: str
) -> None:
    wrong = cvfp("sweep", "--recipe", study, *options, "--out", tmp_path / "out")
    assert (wrong.code, named in wrong.err) == (2, True), wrong.err
    assert not (tmp_path / "out").exists()
