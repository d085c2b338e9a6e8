"""Settings for all tests: hypothesis never judges by time, since a slow machine is no defect."""

from hypothesis import settings

settings.register_profile("project", deadline=None)
settings.load_profile("project")
