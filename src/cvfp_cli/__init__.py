"""cvfp-cli: train context-vector fixed-point language models, sweep them, fit scaling laws, report.

The Python interface stands here, as ``cvfp_cli.sweep`` and so on; :mod:`cvfp_cli.api` holds it, and is imported when
the first of its names is asked for. No module directly in this package may have one of these names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvfp_cli.api import (
        Answer,
        CvfpError,
        InputError,
        Run,
        StudyResults,
        WorkError,
        compare,
        fit,
        load_model,
        load_results,
        report,
        run,
        sweep,
    )

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "CvfpError",
    "InputError",
    "Run",
    "StudyResults",
    "WorkError",
    "compare",
    "fit",
    "load_model",
    "load_results",
    "report",
    "run",
    "sweep",
]

if not TYPE_CHECKING:  # type checkers see the imports above, and what is not there

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # By its name, so that import-linter does not take every module for one that imports the interface.
        return getattr(import_module("cvfp_cli.api"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
