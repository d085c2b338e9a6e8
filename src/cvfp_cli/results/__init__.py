"""What runs leave behind: the schema of ``summary.json``, the reader of old and new files, the store.

The store is imported when one of its names is asked for: commands that read results start without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cvfp_cli.results.reader import Results, parse_results, read_results
from cvfp_cli.results.schema import SCHEMA, Parameters, Run, Seconds, StageRecord, Summary

if TYPE_CHECKING:
    from cvfp_cli.results.identity import OtherStudyError
    from cvfp_cli.results.store import ResultsStore, run_id

__all__ = [
    "SCHEMA",
    "OtherStudyError",
    "Parameters",
    "Results",
    "ResultsStore",
    "Run",
    "Seconds",
    "StageRecord",
    "Summary",
    "parse_results",
    "read_results",
    "run_id",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("cvfp_cli.results.store"), name)
