"""One sweep a folder at a time: a file lock that the system frees when its process dies, and who holds it."""

import json
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cvfp_cli.errors import WorkError, one_line
from cvfp_cli.notes import Note
from cvfp_cli.results.atomic import work_error, write_atomic

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock-holder.json"


class FolderLock:
    """Exclusive use of a results folder by this process.

    The lock is the operating system's, so a killed sweep leaves none behind. It does leave the holder file,
    which tells the next sweep that the last one did not end by itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / LOCK_FILE)

    def acquire(self) -> Note | None:
        """Take the lock at once; returns a note when the last holder ended without giving it back.

        Raises:
            WorkError: another process holds it (named by process id and host), or it cannot be written.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise WorkError(
                f"{self._folder} is in use by {_described(self._holder())}.",
                hint="Wait for it, or write to another folder.",
            ) from None
        except (OSError, NotImplementedError) as problem:
            cause = problem if isinstance(problem, OSError) else OSError(str(problem))
            raise work_error(self._folder / LOCK_FILE, cause) from None
        before = self._holder()
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": _now()}
        try:
            write_atomic(self._folder / HOLDER_FILE, (json.dumps(holder) + "\n").encode())
        except WorkError:
            self._lock.release()
            raise
        if before is None:
            return None
        return Note(
            "stale-lock",
            f"{_described(before)} ended without finishing here; its lock was taken over and the sweep goes on.",
        )

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._lock.is_locked:
            (self._folder / HOLDER_FILE).unlink(missing_ok=True)
            self._lock.release()

    def _holder(self) -> dict[str, Any] | None:
        try:
            value = json.loads((self._folder / HOLDER_FILE).read_bytes()[:10_000])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


def _described(holder: dict[str, Any] | None) -> str:
    known = holder or {}
    if not isinstance(known.get("pid"), int):
        return "another process"
    host, started = (one_line(str(known.get(key)), 80) for key in ("host", "started"))
    return f"process {known['pid']} on {host} (since {started})"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
