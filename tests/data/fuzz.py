"""Fuzz the readers of tables, models, tokenizers, cache entries and text with atheris (``pip install atheris``;
no part of the test run)::

    python tests/data/fuzz.py -timeout=5 -max_total_time=3600 WORK_FOLDER tests/data/corpus

An input's first byte says which reader gets the rest. Any exception but InputError, a refusal that is not one
line, a table or text that is not what the reader promises, or an input that takes over 5 s stops it.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cvfp_cli.data", "json", "csv"]):
    from data_readers import KINDS, Readers

    from cvfp_cli.errors import InputError

MEMORY = Path("/dev/shm")  # a file a run: where there is one, a file system in memory
FOLDER = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
READERS = Readers(Path(FOLDER.name))


def one_input(data: bytes) -> None:
    """Give the bytes after the first to the reader that the first names."""
    kind = KINDS[data[0] % len(KINDS)] if data else KINDS[0]
    try:
        READERS.read(kind, data[1:])
    except InputError as refusal:
        if "\n" in str(refusal):
            raise RuntimeError(f"a refusal of two lines: {refusal!r}") from refusal


if __name__ == "__main__":
    # What the readers import when they first need it is there before the clock runs.
    for seed in sorted((Path(__file__).parent / "corpus").iterdir()):
        one_input(seed.read_bytes())
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
