"""Settings for all tests: hypothesis never judges by time, since a slow machine is no defect."""

from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
