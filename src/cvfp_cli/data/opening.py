"""The bytes of a text file: decompressed, from UTF-16 too, and handed out in bounded pieces."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from cvfp_cli.errors import InputError, first_line

COMPRESSED = (".gz", ".zst")

_LARGEST_WHOLE = 2**30  # for the kinds of file that can only be read as a whole
_LONGEST_LINE = 2**28
_BLOCK = 2**16
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """What goes wrong with a file's bytes becomes an InputError that names the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        place = f"{error.reason} at byte {error.start}"
        known = "UTF-16" if "16" in error.encoding else "UTF-8"
        raise InputError(f"{file}: not {known} text ({place}).", hint="Save it as UTF-8.") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{file}: damaged gzip data ({first_line(error)}).") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or first_line(error)}).") from error


@contextmanager
def open_bytes(file: Path) -> Iterator[IO[bytes]]:
    """The content of a file, decompressed as it is read where the name ends in ``.gz`` or ``.zst``.

    Raises:
        OSError, EOFError, zlib.error: as :func:`reading` words them.
    """
    match file.suffix.lower():
        case ".gz":
            with gzip.open(file, "rb") as stream:
                yield cast(IO[bytes], stream)
        case ".zst":
            import pyarrow as pa

            with pa.OSFile(str(file)) as packed, pa.CompressedInputStream(packed, "zstd") as unpacked:
                yield io.BufferedReader(unpacked, _BLOCK)
        case _:
            with file.open("rb") as stream:
                yield stream


@contextmanager
def open_utf8(file: Path) -> Iterator[IO[bytes]]:
    """The content of a text file as UTF-8 without a byte order mark, also where it is UTF-16."""
    with open_bytes(file) as stream:
        buffered = stream if hasattr(stream, "peek") else io.BufferedReader(cast(Any, stream), _BLOCK)
        head = buffered.peek(_BLOCK)[:64]
        encoding = _encoding(head)
        if encoding is not None:
            text = io.TextIOWrapper(cast(Any, buffered), encoding, newline="")
            yield io.BufferedReader(cast(Any, _Recoded(text)), _BLOCK)
        else:
            if head.startswith(b"\xef\xbb\xbf"):
                buffered.read(3)
            yield buffered


def _encoding(head: bytes) -> str | None:
    """UTF-16, told by its mark or, without one, by the zero bytes of Latin letters; None for anything else."""
    if head[:2] in _BOMS:
        return _BOMS[head[:2]]
    pairs = head[: len(head) // 2 * 2]
    if len(pairs) >= 4 and not any(pairs[1::2]) and all(pairs[0::2]):
        return "utf-16-le"
    if len(pairs) >= 4 and not any(pairs[0::2]) and all(pairs[1::2]):
        return "utf-16-be"
    return None


class _Recoded(io.RawIOBase):
    """A text stream as UTF-8 bytes."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = self._text.read(_BLOCK).encode()
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def lines(file: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a text file, UTF-8, with file and number (from 1); a lone carriage return ends a line too.

    Raises:
        InputError: a line is longer than 256 MiB.
    """
    number = 0
    with open_utf8(file) as stream:
        for long_line in iter(partial(stream.readline, _LONGEST_LINE), b""):
            if len(long_line) == _LONGEST_LINE:
                raise InputError(
                    f"{file}, line {number + 1}: longer than {_LONGEST_LINE >> 20} MiB.",
                    hint="Is it one sample a line?",
                )
            body = long_line.removesuffix(b"\n").removesuffix(b"\r")
            for line in body.split(b"\r"):
                number += 1
                yield f"{file}, line {number}", line


def read_whole(path: Path, largest: int | None = None) -> bytes:
    """The content of a file that has to be held in memory, decompressed.

    Raises:
        InputError: it is larger than ``largest`` bytes (without it, than 1 GiB).
    """
    with open_bytes(path) as stream:
        return _bounded(stream, path, _LARGEST_WHOLE if largest is None else largest)


def read_text(path: Path) -> str:
    """The text of a file that has to be held in memory, its lines ended by line feeds.

    Raises:
        InputError: it is larger than 1 GiB.
    """
    with open_utf8(path) as stream:
        content = _bounded(stream, path, _LARGEST_WHOLE)
    return content.decode().replace("\r\n", "\n").replace("\r", "\n")


def _bounded(stream: IO[bytes], path: Path, largest: int) -> bytes:
    content = stream.read(largest + 1)
    if len(content) > largest:
        raise InputError(
            f"{path}: larger than {largest >> 20} MiB.", hint="Split it, or write one sample a line."
        )
    return content
