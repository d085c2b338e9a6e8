"""Fuzz the readers of lists, sizes and settings with atheris (``pip install atheris``; no part of the test run)::

    python tests/cli/fuzz.py -timeout=5 -runs=1000000 WORK_FOLDER tests/cli/corpus

Any exception but InputError, a refusal that is no one printable line, a list of more than 1,000 values, or an
input that takes over 5 s stops it.
"""

import sys

import atheris

with atheris.instrument_imports(include=["cvfp_cli.cli.options"]):
    from cvfp_cli.cli.options import MOST_VALUES, assignments, byte_count, integers, one_of
    from cvfp_cli.errors import InputError


def one_input(data: bytes) -> None:
    """Read the bytes as each kind of option."""
    text = data.decode("utf-8", "replace")
    for read in (
        lambda: integers(text.split("|"), "--layers"),
        lambda: byte_count(text, "--memory"),
        lambda: assignments([text]),
        lambda: one_of(text, ("auto", "cpu"), "--device"),
    ):
        try:
            found = read()
        except InputError as refusal:
            if not str(refusal).isprintable():
                raise RuntimeError(f"a refusal that is no printable line: {refusal!r}") from refusal
        else:
            if isinstance(found, tuple) and not 0 < len(found) <= MOST_VALUES:
                raise RuntimeError(f"{len(found)} values")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
