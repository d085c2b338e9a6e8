"""The same command in two processes gives the same figures; another number of threads moves their last digits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def trained(study: Path, out: Path, threads: int) -> tuple[dict[str, Any], bytes]:
    """The run's figures and its weights, from a process of its own."""
    command = ["train", "--recipe", study, "--out", out, "--layers", 2, "--tokens", 2, "--device", "cpu"]
    environment = {
        **os.environ,
        "CVFP_CACHE_DIR": str(study.parent / "cache"),
        "PYTHONHASHSEED": out.name,
    }
    subprocess.run(
        [sys.executable, "-m", "cvfp_cli", *map(str, command), "--threads", str(threads), "--quiet"],
        env=environment,
        check=True,
        capture_output=True,
    )
    [folder] = (out / "runs").iterdir()
    run = json.loads((folder / "result.json").read_text())["run"]
    del run["seconds"], run["peak_memory_bytes"]
    return run, (folder / "model.safetensors").read_bytes()


def test_two_processes_agree_to_the_last_bit_and_threads_move_only_last_digits(
    study: Path, tmp_path: Path
) -> None:
    first, again, threaded = (
        trained(study, tmp_path / str(index), threads) for index, threads in enumerate((1, 1, 2))
    )
    assert first == again
    one, two = first[0], threaded[0]
    assert one["run_id"] == two["run_id"]
    assert one["phase1_iterations"] == two["phase1_iterations"]
    assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)
    assert two["train_effective_rank"] == pytest.approx(one["train_effective_rank"], rel=1e-5)
