"""A run's checkpoint on disk, so that a long run goes on from its last iteration or epoch.

The file holds a plain dict of tensors, numbers and text; it is read with ``weights_only``, so a foreign file can
do nothing but be refused.
"""

import os
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_NAME = "checkpoint.pt"
SECONDS_BETWEEN = 30.0


class CheckpointFile:
    """Saves every half minute at most, and loads only what belongs to the same run on the same footing.

    Args:
        path: the file; its folder exists.
        stamp: what must agree for the figures to be the same: run, device, precision, versions.
        warn: called with one line where a checkpoint cannot be used or written. The run itself goes on: without
            a checkpoint only time can be lost.
        resume: whether an existing checkpoint is used at all.
        seconds_between: least time between two saves; None for ``SECONDS_BETWEEN``.
    """

    def __init__(
        self,
        path: Path,
        stamp: dict[str, str],
        *,
        warn: Callable[[str], None],
        resume: bool = True,
        seconds_between: float | None = None,
    ) -> None:
        self._path = path
        self._stamp = stamp
        self._warn = warn
        self._resume = resume
        self._between = SECONDS_BETWEEN if seconds_between is None else seconds_between
        self._last = time.monotonic()
        self._cost = 0.0
        self._writable = True

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, or None to start at the beginning."""
        if not self._resume or not self._path.exists():
            return None
        kept = self._read()
        if kept is None:
            self._warn(f"{self._path} is no whole checkpoint of cvfp; the run starts from its beginning.")
            return None
        stamp, state = kept
        changed = [key for key in self._stamp if stamp.get(key) != self._stamp[key]]
        if changed:
            self._warn(
                f"{self._path} was made with other settings ({', '.join(changed)}); the run starts from its "
                "beginning."
            )
            return None
        return state

    def _read(self) -> tuple[dict[str, str], dict[str, Any]] | None:
        """Stamp and state of the file; None where it is torn or something else."""
        # torch.save writes a zip archive; anything else (a torn file, an old pickle) is not looked into.
        if not zipfile.is_zipfile(self._path):
            return None
        import torch

        try:
            kept = torch.load(self._path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, OSError, EOFError, ValueError, LookupError):
            return None
        if not isinstance(kept, dict) or not isinstance(kept.get("stamp"), dict) or "state" not in kept:
            return None
        return kept["stamp"], kept["state"]

    def save(self, state: dict[str, Any]) -> None:
        """Write the state to a temporary file, flush it, rename it; or let the offer pass where it is too soon.

        Writing may take a twentieth of a run's time at most: large contexts are written less often.
        """
        began = time.monotonic()
        if not self._writable or began - self._last < max(self._between, 20 * self._cost):
            return
        import torch

        temporary = self._path.with_suffix(".pt.tmp")
        try:
            with temporary.open("wb") as file:
                torch.save({"stamp": self._stamp, "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except (OSError, RuntimeError) as problem:
            self._writable = False
            temporary.unlink(missing_ok=True)
            self._warn(
                f"no checkpoint could be written to {self._path} ({problem}); the run goes on without."
            )
        self._last = time.monotonic()
        self._cost = self._last - began


def remove_checkpoint(path: Path) -> None:
    """Delete a run's checkpoint, once its result is on disk."""
    path.unlink(missing_ok=True)
    path.with_suffix(".pt.tmp").unlink(missing_ok=True)
