"""``cvfp train`` as a process, killed in both phases: ``--resume`` ends with the figures of a run that never stopped.

What is not killed runs in the tests' own process, which has torch loaded.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.pinned_only(
    "what a kill leaves is the project's own; tests/sweeps/test_resume.py goes on from checkpoints"
)

Cvfp = Callable[..., Any]
NAME = "2L_8d_2tok_s16_seed42"
LONGEST_WAIT = 300.0

# A checkpoint after every iteration and epoch, however short they are.
COMMAND = """
from cvfp_cli.sweeps import checkpoint
checkpoint.SECONDS_BETWEEN = 0.0
save = checkpoint.CheckpointFile.save
def at_once(self, state):
    self._cost = 0.0
    save(self, state)
checkpoint.CheckpointFile.save = at_once
from cvfp_cli.cli.app import main
main()
"""


def command(study: Path, out: Path, *more: str) -> list[str]:
    settings = [
        "phase1.max_iterations=30",
        "phase1.min_iterations=30",
        "phase2.epochs=12",
        "phase2.patience=0",
    ]
    words = ["train", "--recipe", study, "--out", out, "--layers", "2", "--tokens", "2", "--samples", "16"]
    words += ["--device", "cpu", "--threads", "1", *(word for text in settings for word in ("--set", text))]
    return [*map(str, words), *more]


def started(study: Path, out: Path, *more: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "CVFP_CACHE_DIR": str(study.parent / "cache")}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *command(study, out, *more)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def lines(out: Path) -> list[dict[str, Any]]:
    """The run's whole metrics lines so far, without times."""
    path = out / "runs" / NAME / "metrics.jsonl"
    found = []
    for line in path.read_text().splitlines(keepends=True) if path.exists() else []:
        if line.endswith("\n"):
            found.append(json.loads(line))
            del found[-1]["seconds"]
    return found


def killed_when(process: "subprocess.Popen[bytes]", out: Path, count: int) -> None:
    """Kill a process once its run has told of so many iterations and epochs."""
    end = time.monotonic() + LONGEST_WAIT
    while len(lines(out)) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


def ended(done: Any, out: Path, *, went_on: bool = False) -> tuple[Any, bytes, list[dict[str, Any]]]:
    """The figures, weights and metrics that a command ends with, without times."""
    assert done.code == 0, done.err
    assert ("untrained start" in done.err) != went_on
    folder = out / "runs" / NAME
    run = json.loads((folder / "result.json").read_text())["run"]
    del run["seconds"], run["stages"], run["peak_memory_bytes"]
    return run, (folder / "model.safetensors").read_bytes(), lines(out)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_killed_in_both_phases_and_resumed_to_the_last_bit(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    whole = ended(cvfp(*command(study, tmp_path / "whole")), tmp_path / "whole")
    assert len(whole[2]) == 42
    out = tmp_path / "broken"
    killed_when(started(study, out), out, 7)
    for count in (20, 35):  # phase 1 and phase 2
        before = len(lines(out))
        process = started(study, out, "--resume")
        killed_when(process, out, max(count, before + 1))
        assert (out / "runs" / NAME / "checkpoint.pt").exists()
        assert not (out / "runs" / NAME / "result.json").exists()
    assert ended(cvfp(*command(study, out, "--resume")), out, went_on=True) == whole
    assert not (out / "runs" / NAME / "checkpoint.pt").exists()


def test_without_resume_the_checkpoint_is_not_used_and_that_is_said(
    cvfp: Cvfp, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killed_when(started(study, out), out, 5)
    done = cvfp(*command(study, out))
    assert done.code == 0
    assert "phase 1 1/30 untrained start" in done.err
    assert "--resume goes on from it" in done.err
