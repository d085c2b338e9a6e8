"""What runs leave behind: the schema of ``summary.json``, the reader of old and new files, the store."""

from cvfp_cli.results.identity import OtherStudyError
from cvfp_cli.results.reader import Results, parse_results, read_results
from cvfp_cli.results.schema import SCHEMA, Parameters, Run, Seconds, StageRecord, Summary
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
