"""The same command in two processes gives the same figures; another number of threads moves their last digits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.pinned_only("torch decides it, which is the same version in both environments")


TRAIN = """
import sys
from cvfp_cli.cli.app import run
for threads in sys.argv[2].split(","):
    words = [*sys.argv[3:], "--threads", threads, "--out", f"{sys.argv[1]}/{threads}", "--quiet"]
    assert run(words) == 0
"""


def trained(study: Path, out: Path, threads: str) -> list[tuple[dict[str, Any], bytes]]:
    """The run's figures and its weights with each number of threads, from a process of its own."""
    command = ["train", "--recipe", study, "--layers", 2, "--tokens", 2, "--device", "cpu"]
    environment = {
        **os.environ,
        "CVFP_CACHE_DIR": str(study.parent / "cache"),
        "PYTHONHASHSEED": out.name,
    }
    subprocess.run(
        [sys.executable, "-c", TRAIN, str(out), threads, *map(str, command)],
        env=environment,
        check=True,
        capture_output=True,
    )
    found = []
    for number in threads.split(","):
        [folder] = (out / number / "runs").iterdir()
        run = json.loads((folder / "result.json").read_text())["run"]
        del run["seconds"], run["stages"], run["peak_memory_bytes"]
        found.append((run, (folder / "model.safetensors").read_bytes()))
    return found


def test_two_processes_agree_to_the_last_bit_and_threads_move_only_last_digits(
    study: Path, tmp_path: Path
) -> None:
    [first] = trained(study, tmp_path / "0", "1")
    threaded, again = trained(study, tmp_path / "1", "2,1")
    assert first == again
    one, two = first[0], threaded[0]
    assert one["run_id"] == two["run_id"]
    assert one["phase1_iterations"] == two["phase1_iterations"]
    assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)
    assert two["train_effective_rank"] == pytest.approx(one["train_effective_rank"], rel=1e-5)
