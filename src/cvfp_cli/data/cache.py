"""A cache of arrays on disk, keyed by content: one changed byte of an input, and the entry is made anew.

An entry is one file: a SHA-256 digest, then a safetensors payload. It is written to a temporary name and renamed, so
that a reader never meets half an entry; a damaged one is noticed by its digest, made again, and said so.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cvfp_cli.notes import Note

Arrays = dict[str, NDArray[Any]]

ENVIRONMENT_VARIABLE = "CVFP_CACHE_DIR"
FORMAT = 1  # raised whenever the same key would have to give other bytes
_DIGEST_BYTES = 32


def default_folder() -> Path:
    """``CVFP_CACHE_DIR`` if set, otherwise the platform's cache folder for ``cvfp``."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("cvfp"))


def content_hash(*parts: object) -> str:
    """SHA-256 of JSON values, bytes and arrays, each marked off from the next."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            header, body = f"{part.dtype.str}{part.shape}", memoryview(np.ascontiguousarray(part).tobytes())
        elif isinstance(part, bytes):
            header, body = f"bytes{len(part)}", memoryview(part)
        else:
            header, body = json.dumps(part, sort_keys=True), memoryview(b"")
        digest.update(header.encode() + b"\0")
        digest.update(body)
    return digest.hexdigest()


def pack_texts(texts: Sequence[str]) -> Arrays:
    """Texts as two arrays: all their UTF-8 bytes, and where each ends."""
    encoded = [text.encode() for text in texts]
    return {
        "utf8": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        "ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
    }


def unpack_texts(arrays: Arrays) -> list[str]:
    """The inverse of :func:`pack_texts`."""
    utf8, ends = arrays["utf8"].tobytes(), arrays["ends"].tolist()
    return [utf8[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]


class Cache:
    """Entries in one folder.

    Attributes:
        folder: where entries are kept; made when the first is written.
        notes: what went wrong with entries, for the user.
    """

    def __init__(self, folder: Path | None = None, notify: Callable[[str], None] = lambda line: None) -> None:
        self.folder = folder if folder is not None else default_folder()
        self.notes: list[Note] = []
        self._notify = notify

    def fetch(
        self, kind: str, key: Mapping[str, object], make: Callable[[], Arrays], *, doing: str = ""
    ) -> Arrays:
        """The entry of this kind and key, made and kept if there is none or it is damaged.

        Args:
            kind: what the entry holds; begins its file name.
            key: JSON values that decide the content.
            make: computes the arrays.
            doing: what the user is told before ``make`` is called; empty where it takes no time.
        """
        found = self.get(kind, key)
        if found is None:
            if doing:
                self._notify(doing)
            found = make()
            self.put(kind, key, found)
        return found

    def get(self, kind: str, key: Mapping[str, object]) -> Arrays | None:
        """The entry's arrays; None if there is none, or a damaged one (which is noted)."""
        path = self._path(kind, key)
        try:
            with path.open("rb", buffering=0) as file:  # a buffer would copy all of it once more
                digest, payload = file.read(_DIGEST_BYTES), file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note("cache-unreadable", f"Cache entry {path} cannot be read ({error.strerror}).")
            return None
        if hashlib.sha256(payload).digest() == digest:
            # Whole but not ours where it cannot be loaded; KeyError: a type of number that NumPy lacks.
            with contextlib.suppress(SafetensorError, KeyError, ValueError, TypeError):
                return load(payload)
        self._note("cache-damaged", f"Cache entry {path} is damaged and is made again.")
        return None

    def put(self, kind: str, key: Mapping[str, object], arrays: Arrays) -> None:
        """Write an entry. A folder that cannot be written is noted; the work goes on without it."""
        path = self._path(kind, key)
        payload = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f"{kind}-", suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(payload).digest())
                    file.write(payload)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            finally:  # once renamed, it is there no more
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            self._note(
                "cache-unwritable",
                f"Cache folder {self.folder} cannot be written ({error.strerror}); nothing is kept for next time. "
                f"--cache-dir or {ENVIRONMENT_VARIABLE} names another.",
            )

    def _path(self, kind: str, key: Mapping[str, object]) -> Path:
        return self.folder / f"{kind}-{content_hash({'format': FORMAT, **key})[:32]}.cvfp"

    def _note(self, code: str, message: str) -> None:
        note = Note(code, message, "warning")
        if note not in self.notes:
            self.notes.append(note)
