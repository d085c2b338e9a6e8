"""A real sweep, killed at five moments: resumed, each ends with the uninterrupted sweep's summary.

``python tests/end_to_end/kill.py 50 20`` does it seventy times.
"""

from pathlib import Path

import pytest
import torch
from kill import Trials

pytestmark = pytest.mark.pinned_only(
    "what a kill leaves is the project's own; tests/sweeps/test_resume.py goes on from checkpoints"
)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    if torch.cuda.is_initialized():
        pytest.skip(
            "another test has used CUDA in this process, which cannot be forked then: run this file alone"
        )
    folder: Path = tmp_path_factory.mktemp("kills")
    return Trials(folder)


@pytest.mark.parametrize("share", [0.15, 0.5, 0.8])
def test_killed_at_a_moment(trials: Trials, share: float) -> None:
    before = trials.kills
    trials.after(share)
    assert trials.kills == before + 1


@pytest.mark.parametrize(("number", "step"), [(8, "open"), (13, "replace"), (12, "flush_folder")])
def test_killed_within_a_write(trials: Trials, number: int, step: str) -> None:
    before = trials.kills
    trials.at_write(number, step)
    assert trials.kills == before + 1
