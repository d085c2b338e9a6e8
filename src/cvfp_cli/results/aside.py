"""Setting aside what a results folder holds: it moves into ``old-N``, and a kill on the way can be undone."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cvfp_cli.counting import counted
from cvfp_cli.results.atomic import make_folder, work_error, write_atomic
from cvfp_cli.results.identity import STUDY_FILE
from cvfp_cli.results.reader import RUN_FILE, RUNS_FOLDER, SUMMARY_FILE

CSV_FILE = "runs.csv"
LOG_FILE = "sweep.log"
SHARD_LOGS = "sweep-*of*.log"
STUDY_FILES = (LOG_FILE, SHARD_LOGS, CSV_FILE, SUMMARY_FILE, STUDY_FILE)
"""What a study writes beside its runs, as patterns; whose folder it is moves last, so that until then the folder is the study's."""
MOVING = ".moving"
_OLD = re.compile(r"old-([0-9]{1,6})")


@dataclass(frozen=True)
class Aside:
    """What starting over would set aside.

    Attributes:
        finished: runs with a result. unfinished: runs that were begun, with or without a checkpoint.
        place: the folder that they would go to.
    """

    finished: int
    unfinished: int
    place: Path

    def __str__(self) -> str:
        runs = [counted(self.finished, "finished run")] if self.finished else []
        runs += [counted(self.unfinished, "unfinished run")] if self.unfinished else []
        return " and ".join(runs)


def would_move(folder: Path, runs: Iterable[Path]) -> Aside:
    """What setting these runs' folders aside would move, and where to. Only reads."""
    there = [run for run in runs if run.is_dir()]
    finished = sum((run / RUN_FILE).is_file() for run in there)
    return Aside(finished, len(there) - finished, folder / f"old-{_last_old(folder) + 1}")


def move_aside(folder: Path, paths: Sequence[Path], aside: Aside) -> None:
    """Move files and folders of the study into a hidden folder, which appears as ``old-N`` when all are in it.

    A kill on the way leaves the hidden folder, which ``undo_broken_moves`` puts back.

    Raises:
        WorkError: one cannot be moved; then all are where they were.
    """
    moving = aside.place.with_name(f".{aside.place.name}{MOVING}")
    try:
        for path in paths:
            target = moving / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        if not (moving / STUDY_FILE).is_file():
            write_atomic(moving / STUDY_FILE, (folder / STUDY_FILE).read_bytes())
        moving.rename(aside.place)
    except BaseException as problem:
        undo_broken_moves(folder)
        if isinstance(problem, OSError):
            raise work_error(folder, problem) from None
        raise


def undo_broken_moves(folder: Path) -> None:
    """Put back what a move that did not come to its end took away."""
    for moving in folder.glob(f".old-*{MOVING}/"):
        runs = moving / RUNS_FOLDER
        for path in [*runs.glob("*/"), *(path for name in STUDY_FILES for path in moving.glob(name))]:
            target = folder / path.relative_to(moving)
            if path.exists() and not target.exists():
                make_folder(target.parent)
                path.rename(target)
        (moving / STUDY_FILE).unlink(missing_ok=True)  # a copy
        for emptied in (runs, moving):
            with suppress(OSError):  # what is not ours stays
                emptied.rmdir()


def _last_old(folder: Path) -> int:
    found = [int(matched[1]) for path in folder.glob("old-*") if (matched := _OLD.fullmatch(path.name))]
    return max(found, default=0)
