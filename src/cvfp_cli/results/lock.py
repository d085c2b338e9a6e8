"""One sweep a folder at a time, or one shard a run: file locks that the system frees when their process dies."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cvfp_cli.errors import WorkError, one_line
from cvfp_cli.notes import Note
from cvfp_cli.results.atomic import make_folder, work_error, write_atomic

LOCK_FILE = ".lock"
RUN_LOCKS = ".locks"
"""Folder of the locks of runs that shards train."""
SECONDS_TO_WAIT = 120.0
"""For what shards hold as long as a summary takes to write."""
SECONDS_BESIDE_HOLDER = 3.0
"""Where a command may hold the folder for itself, or be dead."""
HOLDER_FILE = ".lock-holder.json"


class FolderInUseError(WorkError):
    """Another process holds the folder, or a part of it."""


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
            WorkError: another process holds it (named by process id and host) or a run of it, or it cannot be written.
        """
        self._take(self._lock, 0.0)
        try:
            self._refuse_beside_shards()
        except WorkError:
            self._lock.release()
            raise
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

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Hold the folder for one step of a shard, after those that do the same.

        Raises:
            WorkError: a command holds it for itself, or it cannot be written.
        """
        held = (self._folder / HOLDER_FILE).is_file()
        self._take(self._lock, SECONDS_BESIDE_HOLDER if held else SECONDS_TO_WAIT)
        try:
            (self._folder / HOLDER_FILE).unlink(missing_ok=True)  # of a command that was killed
            yield
        finally:
            self._lock.release()

    def run_lock(self, name: str) -> FileLock | None:
        """The lock of a run, taken; None where another process has it. To be called within :meth:`briefly`.

        Raises:
            WorkError: it cannot be written.
        """
        make_folder(self._folder / RUN_LOCKS)
        lock = FileLock(self._folder / RUN_LOCKS / f"{name}.lock")
        try:
            self._take(lock, 0.0)
        except FolderInUseError:
            return None
        return lock

    def _refuse_beside_shards(self) -> None:
        for path in sorted((self._folder / RUN_LOCKS).glob("*.lock")):
            lock = FileLock(path)
            try:
                self._take(lock, 0.0)
            except FolderInUseError:
                raise FolderInUseError(
                    f"{self._folder} is in use by a shard, which trains {path.stem}.",
                    hint="Wait for it, or give --shard here, too.",
                ) from None
            lock.release()

    def _take(self, lock: FileLock, seconds: float) -> None:
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            raise FolderInUseError(
                f"{self._folder} is in use by {_described(self._holder())}.",
                hint="Wait for it, or write to another folder.",
            ) from None
        except (OSError, NotImplementedError) as problem:
            cause = problem if isinstance(problem, OSError) else OSError(str(problem))
            raise work_error(Path(lock.lock_file), cause) from None

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
