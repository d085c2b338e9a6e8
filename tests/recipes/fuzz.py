"""Fuzz the recipe loader with atheris (``pip install atheris``; no part of the test run)::

    python tests/recipes/fuzz.py -timeout=5 -max_total_time=3600 WORK_FOLDER tests/recipes/corpus

Any exception but InputError, a refusal of more than one line, or an input that takes over 5 s stops it.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cvfp_cli.recipes", "tomllib"]):
    from cvfp_cli.errors import InputError
    from cvfp_cli.recipes import load_recipe

MEMORY = Path("/dev/shm")  # a file a run: where there is one, a file system in memory
FILE = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None)) / "fuzz.toml"


def one_input(data: bytes) -> None:
    """Load the bytes as a recipe file, and as a setting on top of one."""
    FILE.write_bytes(data)
    key, _, value = data.decode("utf-8", "replace").partition("=")
    for overrides in (None, {key: value, "data.samples": value}):
        try:
            load_recipe(FILE, overrides=overrides).resolved()
        except InputError as refusal:
            if "\n" in str(refusal):
                raise RuntimeError(f"a refusal of two lines: {refusal!r}") from refusal


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
