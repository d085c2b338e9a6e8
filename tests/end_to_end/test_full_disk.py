"""A disk that is full: the sweep says what, where and what to do, keeps what is finished, and goes on afterwards."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cvfp = Callable[..., Any]
FULL = Path("/dev/full")

# In a mount of this process's own, which ends with it: 1 MB, filled so that some runs have room and others not.
IN_ONE_MEGABYTE = """
import json, sys
from pathlib import Path
from cvfp_cli.cli.app import run
from cvfp_cli.results import store
from cvfp_cli.sweeps import checkpoint
# A slow machine writes no more than a fast one.
checkpoint.SECONDS_BETWEEN = store._LEAST_SECONDS_BETWEEN = float("inf")
disk, study = Path(sys.argv[1]), sys.argv[2]
filler = disk / ".filler"
out = disk / "out"
command = ["sweep", "--recipe", study, "--layers", "1", "--out", str(out), "--device", "cpu", "--save-models"]
for free in (0, 8, 400):
    filler.write_bytes(bytes(1024 * (1020 - free)))
    code = run([*command, "--quiet"])
    kept = {path.parent.name: path.read_bytes() for path in out.glob("runs/*/result.json")}
    filler.unlink()
    print("full", free, code, len(kept))
    assert code == 1
code = run([*command, "--quiet"])
assert all((out / "runs" / name / "result.json").read_bytes() == data for name, data in kept.items())
print("room", 0, code, len(list(out.glob("runs/*/result.json"))))
Path(sys.argv[3]).write_bytes((out / "summary.json").read_bytes())
"""


def figures(summary: Path) -> Any:
    """``summary.json`` less what says when, where, how fast, and with how much memory."""
    value = json.loads(summary.read_text())
    for key in ("created", "command"):
        del value[key]
    for run in value["runs"]:
        del run["seconds"], run["stages"], run["peak_memory_bytes"]
    return value


def mounted(folder: Path) -> list[str]:
    """The words that run a program with 1 MB of memory mounted at the folder; skips where that is not allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("mounting needs unshare, which is not installed")
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder)]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this system lets nobody mount: {tried.stderr.strip()}")
    return words


@pytest.mark.pinned_only("what a full disk leaves is the project's own")
def test_a_disk_of_one_megabyte(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    disk, summary = tmp_path / "disk", tmp_path / "summary.json"
    disk.mkdir()
    done = subprocess.run(
        [*mounted(disk), sys.executable, "-c", IN_ONE_MEGABYTE, str(disk), str(study), str(summary)],
        capture_output=True,
        text=True,
        env={**os.environ, "CVFP_CACHE_DIR": str(tmp_path / "cache")},
    )
    told = [line for line in done.stderr.splitlines() if line.startswith("cvfp: ")]
    assert done.returncode == 0, done.stderr
    assert len(told) == 3
    for line in told:
        assert f"{disk}/out/" in line
        assert "the disk is full" in line
        assert "make room, then run the same command again" in line
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("full ", "room "))]
    kept = [int(row[3]) for row in rows]
    assert kept == sorted(kept)
    assert 0 < kept[2] < kept[3] == 6
    assert rows[3][2] == "0"
    assert (
        cvfp("sweep", "--recipe", study, "--layers", 1, "--out", tmp_path / "out", "--device", "cpu").code
        == 0
    )
    assert figures(summary) == figures(tmp_path / "out" / "summary.json")


def test_metrics_that_cannot_be_written_end_the_sweep_and_fail_no_run(
    cvfp: Cvfp, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("sweep", "--recipe", study, "--layers", 1, "--tokens", 1, "--out", out, "--device", "cpu")
    assert cvfp(*command, "--samples", 8).code == 0
    blocked = out / "runs" / "1L_8d_1tok_s4_seed42" / "metrics.jsonl"
    blocked.mkdir(parents=True)
    stopped = cvfp(*command, "--samples", "4,8")
    assert stopped.code == 1
    assert f"{blocked} could not be written: is a directory." in stopped.err
    assert [path.parent.name for path in out.glob("runs/*/result.json")] == ["1L_8d_1tok_s8_seed42"]
    blocked.rmdir()
    assert cvfp(*command, "--samples", "4,8").code == 0
    assert len(json.loads((out / "summary.json").read_text())["runs"]) == 2


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_log_on_a_full_disk_is_named(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("sweep", "--recipe", study, "--layers", 1, "--tokens", 1, "--out", out, "--samples", 4)
    assert cvfp(*command).code == 0
    (out / "sweep.log").unlink()
    (out / "sweep.log").symlink_to(FULL)
    stopped = cvfp(*command)
    assert stopped.code == 1
    assert f"{out / 'sweep.log'} could not be written: the disk is full." in stopped.err
    assert "make room" in stopped.err
