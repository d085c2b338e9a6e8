"""Rows of local files: JSON lines, JSON, Parquet, CSV and plain text."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cvfp_cli.errors import InputError

Row = tuple[str, object]  # where it stands, and a string or a mapping

SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".txt")

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_LONGEST_CSV_FIELD = 2**31 - 1
_LONGEST_LINE = 2**28
_LARGEST_WHOLE = 2**30  # for the kinds of file that can only be read as a whole


def first_line(error: BaseException) -> str:
    """The first line of an error from a library, to stand inside one of ours."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def existing(name: str) -> Path | None:
    """The local file or folder of this name, ``~`` expanded; None if there is none or no path can be so called."""
    try:
        path = Path(name).expanduser()
        return path if name and path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def read_whole(path: Path, largest: int = _LARGEST_WHOLE) -> bytes:
    """The content of a file that has to be held in memory.

    Raises:
        InputError: it is larger than ``largest`` bytes.
    """
    with path.open("rb") as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise InputError(
            f"{path}: larger than {largest >> 20} MiB.", hint="Split it, or write one sample a line."
        )
    return content


def data_files(path: Path) -> list[Path]:
    """The file itself, or every readable file below a folder in the order of their paths.

    Raises:
        InputError: the file is of another kind, or the folder holds none.
    """
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{path}: cannot read '{path.suffix}' files.", hint=f"Known: {', '.join(SUFFIXES)}."
            )
        return [path]
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not files:
        raise InputError(f"{path}: the folder holds no {', '.join(SUFFIXES)} file.")
    return files


def fingerprint(files: Sequence[Path], base: Path) -> str:
    """Hash of the files' paths below ``base`` and of all their bytes."""
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(base).as_posix() if file != base else file.suffix
        with _reading(file), file.open("rb") as stream:
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def rows(files: Sequence[Path], *, folder: bool) -> Iterator[Row]:
    """Rows of all files in order.

    Args:
        files: what :func:`data_files` gave.
        folder: whether they came from a folder: then a text file is one row, otherwise each of its paragraphs
            (parted by blank lines) is.
    """
    for file in files:
        with _reading(file):
            match file.suffix.lower():
                case ".jsonl":
                    yield from _json_lines(file)
                case ".json":
                    yield from _json(file)
                case ".parquet":
                    yield from _parquet(file)
                case ".csv":
                    yield from _csv(file)
                case ".txt":
                    yield from _text(file, whole=folder)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """What goes wrong with a file's bytes becomes an InputError that names the file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or first_line(error)}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}).") from error


def _json_lines(file: Path) -> Iterator[Row]:
    with file.open("rb") as stream:
        for number, line in enumerate(iter(partial(stream.readline, _LONGEST_LINE), b""), start=1):
            where = f"{file}, line {number}"
            if len(line) == _LONGEST_LINE:
                raise InputError(
                    f"{where}: longer than {_LONGEST_LINE >> 20} MiB.", hint="Is it one sample a line?"
                )
            if line.strip():
                yield where, _parse_json(line, where)


def _json(file: Path) -> Iterator[Row]:
    content = _parse_json(read_whole(file), str(file))
    if not isinstance(content, list):
        raise InputError(f"{file}: expected a list of samples.", hint="One sample a line belongs in .jsonl.")
    for number, row in enumerate(content):
        yield f"{file}, sample {number}", row


def _parse_json(content: bytes, where: str) -> object:
    try:
        return json.loads(content)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 text ({error.reason} at byte {error.start}).") from error
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: not valid JSON ({error.msg}, {place}).") from error
    except (RecursionError, ValueError) as error:  # nested too deep; a number of too many digits
        raise InputError(f"{where}: not readable JSON ({error}).") from error


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            number = 0
            for batch in parquet.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    yield f"{file}, row {number}", row
                    number += 1
    except pa.ArrowException as error:
        raise InputError(f"{file}: not a readable Parquet file ({first_line(error)}).") from error


def _csv(file: Path) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CSV_FIELD)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            for row in reader:
                yield f"{file}, line {reader.line_num}", row
        except csv.Error as error:
            raise InputError(f"{file}, line {reader.line_num}: not readable CSV ({error}).") from error


def _text(file: Path, *, whole: bool) -> Iterator[Row]:
    content = read_whole(file).decode("utf-8-sig").replace("\r\n", "\n")
    if whole:
        yield str(file), content
        return
    paragraphs = (part.strip("\n") for part in _BLANK_LINES.split(content) if part.strip())
    for number, paragraph in enumerate(paragraphs):
        yield f"{file}, paragraph {number}", paragraph
