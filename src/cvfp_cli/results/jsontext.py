"""JSON and text from anywhere, read safely: bounded in size, positions in every message, cut files salvaged."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cvfp_cli.errors import InputError, one_line
from cvfp_cli.results.compressed import decompressed

SIZE_LIMIT = 256 * 1024**2
_RESYNC_LIMIT = 1000  # damaged places that salvage looks past before it gives up
_REREAD_LIMIT = 4  # how often salvage reads as much as the whole text again, at damaged places together
_RUN_START = re.compile(r'\{\s*"(?:run_id|config|config_name|study|label)"\s*:')
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SPACE = re.compile(r"[ \t\r\n]*")
RECOVER_HINT = "What can be read of it is recovered with --recover."


def with_recovery(problem: InputError, *, possible: bool) -> InputError:
    """An error of a damaged file, with the advice to recover only where something can be recovered."""
    if possible:
        return InputError(problem.message, hint=problem.hint or RECOVER_HINT)
    return InputError(problem.message, hint="" if problem.hint == RECOVER_HINT else problem.hint)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or of the content of a gzip or Zstandard file, refused above ``SIZE_LIMIT``.

    Raises:
        InputError: the file is missing, cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not a file.") from None
    except (OSError, ValueError) as problem:  # ValueError: a null byte in the name
        reason = getattr(problem, "strerror", None) or str(problem)
        raise InputError(f"{one_line(str(path))} cannot be read: {reason}.") from None
    if len(data) > SIZE_LIMIT:
        raise InputError(
            f"{path} is larger than {SIZE_LIMIT // 1024**2} MiB, the most a results file can be."
        )
    return decompressed(data, str(path), SIZE_LIMIT)


def decode(data: bytes, where: str) -> str:
    """UTF-8 text, without a byte order mark.

    Raises:
        InputError: the bytes are not UTF-8, with the first bad byte's position.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{where} is UTF-16; results files are UTF-8.", hint="Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise InputError(
            f"{where}: byte {problem.start} (line {line}) is not UTF-8 text.", hint=RECOVER_HINT
        ) from None


def parse(text: str, where: str, *, line: int | None = None) -> Any:
    """The JSON value of a whole text. NaN and Infinity come back as floats for the schema to judge.

    ``line`` is its number where the text is one line of a file of JSON lines.

    Raises:
        InputError: not JSON, cut off, nested too deeply, or a key given twice; with byte, line and column.
    """
    repeated: list[str] = []
    if line is not None:
        where = f"{where}, line {line}"

    def as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            repeated.append(Counter(key for key, _ in pairs).most_common(1)[0][0])
        return result

    try:
        value = json.loads(text, object_pairs_hook=as_dict)
    except json.JSONDecodeError as problem:
        _refuse(problem, text, where, line)
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be a results file.") from None
    except ValueError:  # the interpreter's bound on the digits of an integer
        raise InputError(f"{where} holds a number of more than 4,300 digits.") from None
    if repeated:
        raise InputError(f"{where} gives the key {json.dumps(repeated[0])} twice in one object.")
    if _ESCAPED_SURROGATE.search(text):
        _refuse_half_characters(value, where)
    return value


def read_json(path: Path) -> Any:
    """The JSON value of a file.

    Raises:
        InputError: as ``read_bytes``, ``decode`` and ``parse``.
    """
    return parse(decode(read_bytes(path), str(path)), str(path))


def _refuse(problem: json.JSONDecodeError, text: str, where: str, line: int | None) -> NoReturn:
    position = f"column {problem.colno}"
    if line is None:
        byte = len(text[: problem.pos].encode("utf-8", "surrogatepass"))
        position = f"byte {byte} (line {problem.lineno}, {position})"
    if not text.strip():
        raise InputError(f"{where} is empty: there is no JSON at {position}.")
    if problem.pos >= len(text.rstrip()) or problem.msg.startswith("Unterminated string"):
        raise InputError(f"{where} is cut off at {position}.", hint=RECOVER_HINT)
    raise InputError(f"{where} is not JSON at {position}: {problem.msg}.", hint=RECOVER_HINT)


def _refuse_half_characters(value: Any, where: str) -> None:
    """Lone surrogates cannot be printed or written; complete pairs were joined by the parser."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError:
                raise InputError(f"{where} holds half a surrogate pair (\\ud800 to \\udfff).") from None


@dataclass(frozen=True)
class Salvage:
    """What could be read of a damaged file.

    Attributes:
        top: complete top-level keys other than ``runs``; empty for a bare list.
        rows: complete run objects, in the order of the file.
    """

    top: dict[str, Any]
    rows: list[dict[str, Any]]


def salvage(data: bytes) -> Salvage:
    """Read every complete run object of a damaged ``summary.json`` or list of runs. Never raises."""
    text = data.decode("utf-8-sig", errors="replace")
    scan = _Scanner(text)
    top: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    if scan.take("{"):
        for key in scan.top_keys():
            if key == "runs" and scan.take("["):
                rows.extend(scan.elements())
            else:
                value = scan.value()
                if value is not None:
                    top[key] = value
    elif scan.take("["):
        rows.extend(scan.elements())
    else:
        scan.failed = True
    if scan.failed or not rows:  # without rows, what stands before them or their own key is damaged
        rows.extend(_later_runs(text, scan.position if rows else 0))
    return Salvage(top, rows)


def _later_runs(text: str, start: int) -> Iterator[dict[str, Any]]:
    """Complete run objects after a damaged place: decoding starts again wherever one seems to begin."""
    misses = wasted = 0
    position = start
    while misses < _RESYNC_LIMIT and (found := _RUN_START.search(text, position)):
        value, end, read_to = _decode_at(text, found.start())
        if isinstance(value, dict) and ("samples" in value or "num_samples" in value):  # a fit has neither
            yield value
            position = end
        else:
            misses += 1
            wasted += read_to - found.start()
            position = found.start() + 1
            if wasted > _REREAD_LIMIT * len(text):
                return


def _decode_at(text: str, position: int) -> tuple[Any, int, int]:
    """The JSON value that starts here, its end, and how far was read; (None, position, …) where there is none."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, position)
    except json.JSONDecodeError as problem:
        return None, position, problem.pos
    except (ValueError, RecursionError):
        return None, position, position
    return value, end, end


class _Scanner:
    """Walks the top level of a JSON text one value at a time, until the first damage."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.failed = False

    def take(self, character: str) -> bool:
        """Step over this character (and white space before it) if it comes next."""
        self._skip_space()
        if self.text[self.position : self.position + 1] != character:
            return False
        self.position += 1
        return True

    def value(self) -> Any:
        """The next value; None (and ``failed``) where there is no complete one."""
        self._skip_space()
        value, end, _ = _decode_at(self.text, self.position)
        self.failed = end == self.position
        if self.failed:
            return None
        self.position = end
        return value

    def top_keys(self) -> Iterator[str]:
        """Keys of the object the scanner stands in; the caller consumes each value in between."""
        while not self.failed and not self.take("}"):
            key = self.value()
            if not isinstance(key, str) or not self.take(":"):
                self.failed = True
                return
            yield key
            self._separator("}")

    def elements(self) -> Iterator[dict[str, Any]]:
        """Complete objects of the list the scanner stands in."""
        while not self.failed and not self.take("]"):
            value = self.value()
            if self.failed:
                return
            if isinstance(value, dict):
                yield value
            self._separator("]")

    def _separator(self, closing: str) -> None:
        if self.failed or self.take(","):
            return
        self._skip_space()
        self.failed = self.text[self.position : self.position + 1] != closing

    def _skip_space(self) -> None:
        found = _SPACE.match(self.text, self.position)
        if found:
            self.position = found.end()
