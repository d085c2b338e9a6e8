"""Rows of local files: JSON lines, JSON, Parquet, CSV, TSV and plain text, compressed or not."""

import csv
import glob
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

from cvfp_cli.data import opening
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.opening import reading
from cvfp_cli.errors import InputError, first_line, one_line
from cvfp_cli.tabular import check_cells, check_names, is_index, separator_of

Row = tuple[str, object]  # where it stands, and a string or a mapping

KINDS = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt", ".md")
SUFFIXES = (*KINDS, *(kind + packed for kind in KINDS for packed in opening.COMPRESSED))

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_LONGEST_CELL = 2**28
_EXCELS_FIRST_LINE = re.compile(r"sep=(.)\r?\n?")
_KNOWN = f"{', '.join(KINDS)}, each also as {' and '.join(opening.COMPRESSED)}"
# What lies in a folder beside its data, and describes them.
_BESIDE = re.compile(
    r"(readme|license|licence|citation|changelog)(\..*)?"
    r"|(dataset_infos?|dataset_dict|state|config|package)\.json|requirements\.txt",
    re.IGNORECASE,
)
_PROSE_WORDS = 6
_LONGEST_NAME = 80


def existing(name: str) -> Path | None:
    """The local file or folder of this name, ``~`` expanded; None if there is none or no path can be so called.

    Raises:
        InputError: the name is no UTF-8, so that no record of a study could hold it.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{one_line(name)}: a name that is no UTF-8.", hint="Rename it.") from error
    try:
        path = Path(name).expanduser()
        return path if name and path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def matching(pattern: str) -> list[Path]:
    """The local files and folders that a pattern with ``*``, ``?`` or ``[`` names, in order; ``**`` goes deeper."""
    if not glob.has_magic(pattern) or "\0" in pattern:
        return []
    found = glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207  (may be absolute)
    return [Path(name) for name in sorted(found)]


def kind_of(path: Path) -> str:
    """The suffix that says what a file holds, without the one of its compression; empty for an unknown kind."""
    name = path.name.lower()
    for packed in opening.COMPRESSED:
        name = name.removesuffix(packed)
    suffix = Path(name).suffix
    return suffix if suffix in KINDS else ""


def data_files(path: Path) -> list[Path]:
    """The file itself, or every readable file below a folder in the order of their paths.

    What describes a folder's data (a README, a licence, ``dataset_infos.json``) is left out, and so are notes in
    ``.md`` beside files of another kind.

    Raises:
        InputError: the file is of another kind, or the folder holds none.
    """
    if path.is_file():
        if not kind_of(path):
            raise InputError(f"{path}: cannot read '{path.suffix}' files.", hint=f"Known: {_KNOWN}.")
        return [path]
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and kind_of(file) and not is_hidden(file, path)
    ]
    files = [file for file in found if not _BESIDE.fullmatch(file.name)] or found
    files = [file for file in files if kind_of(file) != ".md"] or files
    if not files:
        raise InputError(f"{path}: the folder holds no {', '.join(KINDS)} file.")
    return files


def is_hidden(file: Path, base: Path) -> bool:
    """Whether a file or a folder on the way to it, below ``base``, has a name that begins with a dot."""
    return any(part.startswith(".") for part in file.relative_to(base).parts)


def fingerprint(files: Sequence[Path], base: Path) -> str:
    """Hash of the files' paths below ``base`` and of all their bytes."""
    digest = hashlib.sha256()
    for file in files:
        own = kind_of(file) + file.suffix if file.suffix.lower() in opening.COMPRESSED else file.suffix
        name = file.relative_to(base).as_posix() if file != base else own
        with reading(file), file.open("rb") as stream:
            header = f"{name}\0{file.stat().st_size}\0"
            digest.update(header.encode("utf-8", "surrogateescape"))  # a name may be no UTF-8
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def rows(files: Sequence[Path], *, folder: bool, config: DataConfig | None = None) -> Iterator[Row]:
    """Rows of all files in order.

    Args:
        files: what :func:`data_files` gave.
        folder: whether they came from a folder: then a text file is one row, otherwise each of its paragraphs
            (parted by blank lines) is.
        config: ``lines`` makes each line of a text file a row; ``text_field`` names a column of a CSV's header.
    """
    config = config or DataConfig()
    for file in files:
        with reading(file):
            match kind_of(file):
                case ".jsonl" | ".ndjson":
                    yield from _json_lines(file)
                case ".json":
                    yield from _json(file)
                case ".parquet":
                    yield from _parquet(file)
                case ".csv" | ".tsv":
                    yield from _csv(file, config.text_field)
                case _ if config.lines:
                    yield from _text_lines(file)
                case _:
                    yield from _text(file, whole=folder)


def _json_lines(file: Path) -> Iterator[Row]:
    for where, line in opening.lines(file):
        if line.strip():
            yield where, _parse_json(line, where)


def _json(file: Path) -> Iterator[Row]:
    if _holds_lines(file):
        yield from _json_lines(file)
        return
    content = _parse_json(opening.read_text(file), str(file))
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        content = content["data"]
    if not isinstance(content, list):
        raise InputError(
            f"{file}: expected a list of samples, or one under 'data'.",
            hint="One sample a line belongs in .jsonl.",
        )
    for number, row in enumerate(content):
        yield f"{file}, sample {number}", row


def _holds_lines(file: Path) -> bool:
    """Whether a file holds JSON lines: its first line is an object or a string by itself, and another follows."""
    with opening.open_utf8(file) as stream:
        first = stream.read(1)
        while first.isspace():
            first = stream.read(1)
    if first not in (b"{", b'"'):
        return False
    filled = ((where, line) for where, line in opening.lines(file) if line.strip())
    where, line = next(filled)
    try:
        _parse_json(line, where)
    except InputError:
        return False
    return next(filled, None) is not None


def _parse_json(content: bytes | str, where: str) -> object:
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

    packed = file.suffix.lower() in opening.COMPRESSED
    content: Any = pa.BufferReader(opening.read_whole(file)) if packed else file
    try:
        with pq.ParquetFile(content) as parquet:
            number = 0
            for batch in parquet.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    kept = {name: cell for name, cell in row.items() if not is_index(name, 1)}
                    yield f"{file}, row {number}", kept
                    number += 1
    except pa.ArrowException as error:
        raise InputError(f"{file}: not a readable Parquet file ({first_line(error)}).") from error


def _csv(file: Path, text_field: str) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    with opening.open_utf8(file) as stream:
        text = io.TextIOWrapper(cast(Any, stream), "utf-8", newline="")
        lines = _bounded_lines(text, file)
        passed, separator = 0, ""
        for first in lines:
            said = _EXCELS_FIRST_LINE.fullmatch(first)
            if said is not None:
                separator = said[1]
            elif first.strip():
                break
            passed += 1
        else:
            return
        separator = separator or separator_of(first, "\t" if kind_of(file) == ".tsv" else ",")
        reader = csv.reader(chain([first], lines), delimiter=separator, strict=True)
        try:
            names = _header(next(reader), f"{file}, line {passed + 1}", text_field)
            for cells in reader:
                if cells:
                    where = f"{file}, line {passed + reader.line_num}"
                    check_cells(len(cells), len(names), where, separator)
                    yield where, _named(names, cells, where)
        except csv.Error as error:
            where = f"{file}, line {passed + reader.line_num}"
            raise InputError(
                f"{where}: not readable CSV ({error}).", hint='A quote inside a quoted cell is written "".'
            ) from error


def _bounded_lines(text: io.TextIOWrapper, file: Path) -> Iterator[str]:
    for number, line in enumerate(iter(partial(text.readline, _LONGEST_CELL), ""), start=1):
        if len(line) == _LONGEST_CELL:
            raise InputError(f"{file}, line {number}: longer than {_LONGEST_CELL >> 20} Mi characters.")
        yield line


def _header(cells: list[str], where: str, text_field: str) -> list[str]:
    """The columns' names.

    Raises:
        InputError: two are alike, or the line looks like a sample (unless ``text_field`` is one of its names).
    """
    names = [cell.strip() for cell in cells]
    check_names(names, where)
    sample = next((name for name in names if _reads_like_text(name)), None)
    numbered = [name for name in names if name.isdecimal()]
    if sample is None and numbered != [str(number) for number in range(len(numbered))]:
        sample = numbered[0]
    if sample is not None and text_field not in names:
        raise InputError(
            f"{where}: '{one_line(sample, 60)}' looks like a sample, and the first line must name the columns.",
            hint="Put a line such as text before it; or, if it is a name, say --text-field with the column to read.",
        )
    return names


def _reads_like_text(name: str) -> bool:
    ends = name.endswith((".", "!", "?", "。", "！", "？")) and len(name.split()) > 1
    return ends or "\n" in name or len(name) > _LONGEST_NAME or len(name.split()) >= _PROSE_WORDS


def _named(names: Sequence[str], cells: Sequence[str], where: str) -> dict[str, str]:
    """A row by its columns' names, an index left out.

    Raises:
        InputError: text in a column without a name.
    """
    row = {}
    for place, (name, cell) in enumerate(zip(names, cells, strict=True)):
        if name and not is_index(name, place):
            row[name] = cell
        elif place and not name and cell.strip():
            raise InputError(f"{where}: text in column {place + 1}, which the header gives no name.")
    return row


def _text_lines(file: Path) -> Iterator[Row]:
    for where, line in opening.lines(file):
        if line.strip():
            try:
                yield where, line.decode()
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{where}: not UTF-8 text ({error.reason} at byte {error.start})."
                ) from error


def _text(file: Path, *, whole: bool) -> Iterator[Row]:
    content = opening.read_text(file)
    if whole:
        yield str(file), content
        return
    paragraphs = (part.strip("\n") for part in _BLANK_LINES.split(content) if part.strip())
    for number, paragraph in enumerate(paragraphs):
        yield f"{file}, paragraph {number}", paragraph
