"""Files that are whole or not there: temporary name, flush, rename. A kill at any moment leaves the old file."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cvfp_cli.errors import WorkError

_SUFFIX = ".tmp"
_KEPT = "Nothing finished is lost: {}, then run the same command again."


class WriteError(WorkError):
    """A file of the results folder could not be written: no run's fault, so the whole command ends."""


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file as a whole, and have it on the disk when this returns.

    Raises:
        WriteError: the disk is full, the folder is read-only, or the like; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105  tests stand in for the module's os to kill at this step
        _flush_folder(path.parent)
    except OSError as problem:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise work_error(path, problem) from None


def make_folder(path: Path) -> None:
    """Create a folder with its parents; no error where it exists.

    Raises:
        WriteError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise work_error(path, problem) from None


def left_behind(folder: Path) -> Iterator[Path]:
    """Temporary files of a writer that was killed."""
    for path in folder.glob(f".*{_SUFFIX}"):
        if path.is_file():
            yield path


def work_error(path: Path, problem: OSError) -> WriteError:
    """One line for a write that failed."""
    full = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
    number = problem.errno or 0
    reason = full.get(number) or (problem.strerror or str(problem)).lower()
    return WriteError(
        f"{path} could not be written: {reason}.",
        hint=_KEPT.format("make room" if number in full else "make the folder writable"),
    )


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
