"""For all tests: hypothesis never judges by time, since a slow machine is no defect; no mark without a reason."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that is left out with the lowest versions and does not say why."""
    for item in items:
        for mark in item.iter_markers("pinned_only"):
            if not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: pinned_only needs its reason")
