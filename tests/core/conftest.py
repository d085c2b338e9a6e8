"""Makes ``core_cases`` importable and offers the golden cases as fixtures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from core_cases import CASES, Golden, load_golden


@pytest.fixture(params=CASES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


@pytest.fixture(params=CASES[:3])
def golden_trained(request: pytest.FixtureRequest) -> Golden:
    """The cases that go on to training."""
    return load_golden(request.param)
