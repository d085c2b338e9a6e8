"""Fuzz the readers of results with atheris (``pip install atheris``; no part of the test run)::

    python tests/results/fuzz.py -timeout=5 -max_total_time=3600 WORK_FOLDER tests/results/corpus

Any exception but InputError, a refusal of more than one line, or an input that takes over 5 s stops it.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cvfp_cli.results", "json", "csv"]):
    from cvfp_cli.errors import InputError
    from cvfp_cli.results import parse_results

PATHS = (Path("summary.json"), Path("runs.csv"), Path("detailed_results.json"))


def one_input(data: bytes) -> None:
    """Read the same bytes under each name, as they are and recovering."""
    for path in PATHS:
        for recover in (False, True):
            try:
                parse_results(data, path, recover=recover)
            except InputError as refusal:
                if "\n" in str(refusal):
                    raise RuntimeError(f"a refusal of two lines: {refusal!r}") from refusal


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
