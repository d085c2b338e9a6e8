"""A run of each trained kind, broken off and taken up from its file: the same figures to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvfp_cli.core.baselines.config import BaselineConfig
from cvfp_cli.core.config import Execution
from cvfp_cli.core.result import Advance, Event, ExperimentData, TrainEpoch
from cvfp_cli.learners import get_learner
from cvfp_cli.sweeps.checkpoint import CheckpointFile


class Broken(Exception):
    """Stands for a kill."""


def made_data() -> ExperimentData:
    draw = np.random.default_rng(1)
    ids = (np.cumsum(draw.choice([1, 1, 2], 400)) % 40).astype(np.int64)
    table = draw.standard_normal((40, 16)).astype(np.float32)
    return ExperimentData(ids[:300], ids[300:], np.array([0, 50, 100]), 300, table)


def run(kind: str, data: ExperimentData, file: Path, break_after: tuple[int, int] = (99, 0)) -> Any:
    """Train with a checkpoint; broken off ``break_after`` (epochs, windows of the next one)."""
    learner = get_learner(kind)
    more = {"heads": 2} if kind == "transformer" else {}
    settings = learner.tables[kind](layers=2, width=8, streams=4, window=10, epochs=4, patience=0, **more)
    done = [0, 0]

    def progress(event: Event) -> None:
        if isinstance(event, TrainEpoch):
            done[0], done[1] = event.epoch, 0
        elif isinstance(event, Advance):
            done[1] += 1
        if tuple(done) == break_after:
            raise Broken

    checkpoint = CheckpointFile(file, {"run": "x"}, warn=pytest.fail, seconds_between=0.0)
    return learner.train(BaselineConfig(settings, 7), data, Execution(), progress, checkpoint, pytest.fail)


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_a_broken_run_goes_on(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_cli.sweeps.checkpoint.time.monotonic", iter(range(0, 10**9, 1000)).__next__)
    data = made_data()
    whole = run(kind, data, tmp_path / "whole.pt").result
    with pytest.raises(Broken):
        run(kind, data, tmp_path / "broken.pt", break_after=(2, 3))
    assert (tmp_path / "broken.pt").is_file()
    resumed = run(kind, data, tmp_path / "broken.pt").result
    for name in ("val_loss", "sample_losses", "train_ppl_by_epoch", "val_ppl_by_epoch", "best_epoch"):
        assert getattr(resumed, name) == getattr(whole, name)
    assert len(resumed.val_ppl_by_epoch) == 4
