"""Files compressed as a whole: gzip and Zstandard, told by their first bytes, and never more than a bound of them."""

import io
import zlib

from cvfp_cli.errors import InputError, first_line

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def decompressed(data: bytes, where: str, limit: int) -> bytes:
    """The content of compressed bytes; others as they are.

    Raises:
        InputError: damaged, or more than ``limit`` bytes of content.
    """
    if data[:2] == _GZIP:
        content = _gunzipped(data, where, limit)
    elif data[:4] == _ZSTD:
        content = _unzstd(data, where, limit)
    else:
        return data
    if len(content) > limit:
        raise InputError(f"{where} holds more than {limit // 1024**2} MiB.")
    return content


def _gunzipped(data: bytes, where: str, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while data[:2] == _GZIP and size <= limit:  # a file may hold several members, one after another
            inflate = zlib.decompressobj(wbits=31)
            parts.append(inflate.decompress(data, limit + 1 - size))
            size += len(parts[-1])
            if not inflate.eof and size <= limit:
                raise InputError(f"{where} is cut off: its gzip data end too early.")
            data = inflate.unused_data
    except zlib.error as problem:
        raise InputError(f"{where} is damaged gzip data ({problem}).") from None
    return b"".join(parts)


def _unzstd(data: bytes, where: str, limit: int) -> bytes:
    import pyarrow as pa

    try:
        with pa.input_stream(io.BytesIO(data), compression="zstd") as stream:
            return bytes(stream.read(limit + 1))
    except (OSError, pa.ArrowException) as problem:
        raise InputError(f"{where} is damaged Zstandard data ({first_line(problem)}).") from None
