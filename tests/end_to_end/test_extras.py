"""An option whose extra is missing names it and exits 2, before any work; with it, the extra's own reader reads."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cvfp = Callable[..., Any]
PUBLISHED = Path(__file__).parents[1] / "published_results.json"
BLOCKED = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(name)
import importlib.util
real = importlib.util.find_spec
def find_spec(name, package=None):
    return None if name.partition(".")[0] == {missing!r} else real(name, package)
importlib.util.find_spec = find_spec
sys.meta_path.insert(0, Missing())
from cvfp_cli.cli.app import run
sys.argv = ["cvfp", *{arguments!r}]
raise SystemExit(run({arguments!r}))
"""


def without(missing: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command line in a fresh interpreter in which a package cannot be found."""
    code = BLOCKED.format(missing=missing, arguments=[str(argument) for argument in arguments])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("missing", "extra", "arguments"),
    [
        ("matplotlib", "plot", ["fit", PUBLISHED, "--plot", "a.png"]),
        ("matplotlib", "plot", ["compare", PUBLISHED, "--plot", "a.png"]),
        (
            "tensorboard",
            "tensorboard",
            ["sweep", "--recipe", "STUDY", "--tensorboard", "DIR", "--device", "cpu"],
        ),
        (
            "tensorboard",
            "tensorboard",
            ["train", "--recipe", "STUDY", "--tensorboard", "DIR", "--device", "cpu"],
        ),
    ],
)
def test_a_missing_extra_is_named(
    study: Path, tmp_path: Path, missing: str, extra: str, arguments: list[object]
) -> None:
    known = {"STUDY": study, "DIR": tmp_path / "curves"}
    words = [known.get(str(argument), argument) for argument in arguments]
    if extra == "tensorboard":
        words += ["--out", tmp_path / "out"]
    refused = without(missing, *words)
    assert refused.returncode == 2
    assert refused.stdout == ""
    [line] = [line for line in refused.stderr.splitlines() if line.startswith("cvfp: ")]
    assert f"the extra '{extra}'" in line
    assert f"pip install 'cvfp-cli[{extra}]'" in line
    assert f"pipx inject cvfp-cli {missing}" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_tensorboard_reads_the_curves(cvfp: Cvfp, study: Path, tmp_path: Path, command: str) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    grid = ["--layers", 1, "--tokens", 1, "--samples", 4]
    options = ["--out", tmp_path / "out", "--tensorboard", tmp_path / "curves"]
    assert cvfp(command, "--recipe", study, *grid, *options).code == 0
    [folder] = (tmp_path / "curves").iterdir()
    curves = reader.EventAccumulator(str(folder))
    curves.Reload()
    [run] = json.loads((tmp_path / "out" / "summary.json").read_text())["runs"]
    drawn = [event.value for event in curves.Scalars("phase2/val_ppl")]
    assert drawn == pytest.approx(run["val_ppl_by_epoch"], rel=1e-5)
    assert [event.step for event in curves.Scalars("phase1/loss")] == [2, 3, 4]
