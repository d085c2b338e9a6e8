"""Files compressed as a whole: gzip and Zstandard, told by their first bytes, and never more than a bound of them."""

import gzip
import io
import zlib

from cvfp_cli.errors import InputError, first_line

# With gzip's one method: two bytes alone stand in damaged text, too.
_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"


def decompressed(data: bytes, where: str, limit: int) -> bytes:
    """The content of compressed bytes; others as they are.

    Raises:
        InputError: damaged, or more than ``limit`` bytes of content.
    """
    if data[:3] == _GZIP:
        content = _gunzipped(data, where, limit)
    elif data[:4] == _ZSTD:
        content = _unzstd(data, where, limit)
    else:
        return data
    if len(content) > limit:
        raise InputError(f"{where} holds more than {limit // 1024**2} MiB.")
    return content


def _gunzipped(data: bytes, where: str, limit: int) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            return stream.read(limit + 1)
    except EOFError:
        raise InputError(f"{where} is cut off: its gzip data end too early.") from None
    except (OSError, zlib.error) as problem:
        raise InputError(f"{where} is damaged gzip data ({first_line(problem)}).") from None


def _unzstd(data: bytes, where: str, limit: int) -> bytes:
    import pyarrow as pa

    try:
        with pa.input_stream(io.BytesIO(data), compression="zstd") as stream:
            return bytes(stream.read(limit + 1))
    except (OSError, pa.ArrowException) as problem:
        raise InputError(f"{where} is damaged Zstandard data ({first_line(problem)}).") from None
