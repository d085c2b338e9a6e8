"""A sweep on a Ray cluster of two nodes, killed at five moments: each ends with the serial sweep's summary.

``python tests/end_to_end/ray_kills.py 20`` does it twenty times, with real training.
"""

import random
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ray_kills import Trials

pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytestmark = [
    pytest.mark.pinned_only("a cluster takes its time to start, and what is asked of Ray is little"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Trials]":
    from ray_kills import Trials

    found = Trials(tmp_path_factory.mktemp("kills"), real=False)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("victim", "share"),
    [("worker", 0.4), ("worker", 0.8), ("lost_node", 0.5), ("lost_node", 0.9), ("parent", 0.7)],
)
def test_killed_at_a_moment(trials: "Trials", victim: str, share: float) -> None:
    before = trials.kills
    getattr(trials, victim)(share, random.Random(victim + str(share)))
    assert trials.kills == before + 1
