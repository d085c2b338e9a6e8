"""The results folder of one study: claimed, locked, and written so that a kill loses at most the run under way.

::

    results/
      study.json                whose folder this is
      summary.json  runs.csv    all runs, written at the end and now and then before
      sweep.log                 sweep-1of4.log of a shard
      runs/2L_768d_2tok_s50_seed42/
        result.json             written last: a run is finished when it is there
        config.toml  metrics.jsonl  model.safetensors
      old-1/                    what --fresh set aside: a results folder of its own, which nothing here reads
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import BaseFileLock

from cvfp_cli.errors import InputError, one_line
from cvfp_cli.notes import Note
from cvfp_cli.results.aside import (
    CSV_FILE,
    MOVING,
    STUDY_FILES,
    Aside,
    move_aside,
    undo_broken_moves,
    would_move,
)
from cvfp_cli.results.atomic import left_behind, make_folder, work_error, write_atomic
from cvfp_cli.results.codec import ReadingLog, dump_json, from_json, listed, to_json
from cvfp_cli.results.identity import (
    SETS_ASIDE,
    STUDY_FILE,
    STUDY_SCHEMA,
    OtherStudyError,
    differing_keys,
    flat,
    read_identity,
)
from cvfp_cli.results.jsontext import RECOVER_HINT, read_json
from cvfp_cli.results.lock import FolderLock
from cvfp_cli.results.reader import RUN_FILE, RUNS_FOLDER, SUMMARY_FILE
from cvfp_cli.results.runs_csv import write_csv
from cvfp_cli.results.schema import READ_RUN_SCHEMAS, RUN_SCHEMA, Run, Summary

_LEAST_SECONDS_BETWEEN = 30.0
LONGEST_NAME = 120  # of a run's folder
_LARGEST_SHARE_OF_TIME = 0.02  # of a sweep's time that goes into rewriting the summary


def folder_word(name: str) -> str:
    """A configuration's or a run's name as folders are called: without the signs that join words in it."""
    return name.replace("=", "-").replace("+", "-")


def run_id(config: Mapping[str, Any], data_fingerprint: str, seeds: Mapping[str, int | None]) -> str:
    """A run's identity: 16 hex digits of the SHA-256 of its resolved configuration, data and seeds."""
    identity = {"config": config, "data": data_fingerprint, "seeds": seeds}
    return hashlib.sha256(_canonical(identity).encode()).hexdigest()[:16]


class ResultsStore:
    """The folder ``--out`` names, and everything that is read from and written to it.

    Making one touches nothing on disk; ``check_same_study`` and ``finished`` only read, so that a dry run can use
    them; everything else wants the folder claimed.

    Attributes:
        folder: the results folder.
        environments: every environment met so far; a run's ``environment`` is an index into it.
        notes: what was noticed: a lock taken over, a damaged run left out.
    """

    def __init__(self, folder: Path, *, recover: bool = False) -> None:
        self.folder = folder
        self.environments: list[dict[str, Any]] = []
        self.notes: list[Note] = []
        self._recover = recover
        self._shared: FolderLock | None = None
        self._held: dict[str, BaseFileLock] = {}
        self._identity_lost = False
        self._environment_index: dict[str, int] = {}
        self._last_summary = time.monotonic()
        self._summary_seconds = 0.0

    @contextmanager
    def claim(
        self,
        identity: Mapping[str, Any],
        defaults: Mapping[str, Any] = MappingProxyType({}),
        *,
        fresh: bool = False,
        threads: int | None = None,
        shared: bool = False,
    ) -> Iterator["ResultsStore"]:
        """Hold the folder for one study: create it, lock it, check whose it is, clear torn temporary files.

        Args:
            identity: what all runs of the study share, as JSON values.
            defaults: as ``check_same_study`` takes them.
            fresh: set aside the study that the folder holds, whichever it is, and begin a new one.
            threads: CPU threads that runs are to have from now on, unless the folder says so already.
            shared: beside other commands that do the same: each holds the runs that it trains (:meth:`hold_run`), and the
                folder for as long as it writes what all share (:meth:`writing`).

        Raises:
            InputError: the folder holds something else's files, or another study.
            WorkError: another process uses it, or it cannot be written.
        """
        self.check_own()
        make_folder(self.folder)
        lock = FolderLock(self.folder)
        if shared:
            with lock.briefly():
                self._set_up(identity, defaults, threads)
                self._clear_torn_files(self.folder)
            self._shared = lock
            try:
                yield self
            finally:
                for name in list(self._held):
                    self._let_go(name)
                self._shared = None
            return
        note = lock.acquire()
        try:
            if note is not None:
                self.notes.append(note)
            undo_broken_moves(self.folder)
            if fresh:
                self._start_over()
            self._set_up(identity, defaults, threads)
            self._clear_torn_files(self.folder, *(self.folder / RUNS_FOLDER).glob("*/"))
            yield self
        finally:
            lock.release()

    def _set_up(self, identity: Mapping[str, Any], defaults: Mapping[str, Any], threads: int | None) -> None:
        self.check_same_study(identity, defaults)
        self._write_study(identity, threads)
        make_folder(self.folder / RUNS_FOLDER)

    @property
    def shared(self) -> bool:
        """Whether other commands write to the folder beside this one."""
        return self._shared is not None

    def hold_run(self, name: str) -> bool:
        """Whether this command may train a run: in a shared folder, where nobody else does or has done so by now.

        Raises:
            WorkError: another command holds the folder for itself, or a lock cannot be written.
        """
        if self._shared is None or name in self._held:
            return True
        folder = self.run_folder(name)
        with self._shared.briefly():
            lock = self._shared.run_lock(folder.name)
            if lock is None:
                return False
            self._held[name] = lock
        if (folder / RUN_FILE).is_file() and read_run(folder / RUN_FILE)[0].status != "failed":
            self._let_go(name)
            return False
        if folder.is_dir():
            self._clear_torn_files(folder)
        return True

    def _let_go(self, name: str) -> None:
        if (lock := self._held.pop(name, None)) is not None:
            lock.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of a summary, which in a shared folder is made of what is in its runs' folders now.

        Raises:
            WorkError: another command holds the folder for itself.
        """
        begun = time.monotonic()
        with nullcontext() if self._shared is None else self._shared.briefly():
            yield
        self._last_summary = time.monotonic()
        self._summary_seconds = self._last_summary - begun

    def check_same_study(
        self, identity: Mapping[str, Any], defaults: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Refuse a folder of something else or of another study. Only reads.

        Args:
            identity: what all runs of the study share, as JSON values.
            defaults: what ``table.key`` is where a study does not say: a field that came after the study began has
                its default there. A table that only one side has belongs to a kind of model that only it trains.

        Raises:
            OtherStudyError: with every key that differs, theirs against ours; hashes of the text only where
                nothing else about it does.
            InputError: the folder is something else's, or its study file is damaged.
        """
        self.check_own()
        path = self.folder / STUDY_FILE
        if not path.is_file():
            return
        try:
            theirs = read_identity(path)
        except InputError as problem:
            if not self._recover:
                raise InputError(
                    problem.message, hint=f"{RECOVER_HINT} Or start over with --fresh, {SETS_ASIDE}."
                ) from None
            self.notes.append(
                Note("study-unreadable", f"Written anew from this command: {problem.message}", "warning")
            )
            self._identity_lost = True
            return
        added = {"tokenizer.samples": self._trained_on, "validation.after": lambda: None}
        if differing := differing_keys(theirs, identity, added, defaults):
            raise OtherStudyError(self.folder, differing)

    def _write_study(self, identity: Mapping[str, Any], threads: int | None) -> None:
        path = self.folder / STUDY_FILE
        content: dict[str, Any] = {}
        if path.is_file() and not self._identity_lost:
            if threads is None or self.threads is not None:
                return
            content = read_json(path)
        else:
            created = datetime.now().astimezone().isoformat(timespec="seconds")
            content = {"schema": STUDY_SCHEMA, "created": created, "identity": dict(identity)}
        if threads is not None:
            content["threads"] = threads
        write_atomic(path, dump_json(content))

    @property
    def threads(self) -> int | None:
        """CPU threads of the folder's runs, where a command has said it; only reads."""
        found = None
        with suppress(InputError, FileNotFoundError):
            found = _at(read_json(self.folder / STUDY_FILE), "threads")
        return found if isinstance(found, int) and found > 0 else None

    def _trained_on(self) -> Any:
        """How many samples the tokenizer was trained on, by any run; None where there is none, or none says so."""
        for path in sorted((self.folder / RUNS_FOLDER).glob(f"*/{RUN_FILE}")):
            with suppress(InputError):
                return _at(read_json(path), "data", "tokenizer", "trained_on_samples")
        return None

    def shared_settings(self) -> dict[str, Any]:
        """What the study file says all runs share, by ``table.key``; nothing where there is none.

        Raises:
            InputError: it is damaged.
        """
        path = self.folder / STUDY_FILE
        return flat(read_identity(path)) if path.is_file() else {}

    def recorded_tables(self) -> dict[str, Any]:
        """The recipe's tables in the folder's summary; nothing where there is none that can be read."""
        with suppress(InputError):
            tables = _at(read_json(self.folder / SUMMARY_FILE), "recipe", "resolved")
            return {name: table for name, table in (tables or {}).items() if isinstance(table, dict)}
        return {}

    def would_set_aside(self, names: Sequence[str] | None = None) -> Aside:
        """What ``claim(fresh=True)``, or ``set_aside`` of these runs, would move, and where to. Only reads."""
        runs = (self.folder / RUNS_FOLDER).glob("*/") if names is None else map(self.run_folder, names)
        return would_move(self.folder, runs)

    def set_aside(self, names: Sequence[str]) -> None:
        """Move runs of the claimed study into a results folder of their own, ``old-N``.

        Raises:
            WorkError: one cannot be moved; then all are where they were.
        """
        aside = self.would_set_aside(names)
        there = [folder for name in names if (folder := self.run_folder(name)).is_dir()]
        if there:
            self._move_aside(there, aside)

    def _start_over(self) -> None:
        """Move the study into ``old-N``; one without a run is deleted, since there is nothing to keep."""
        aside = self.would_set_aside()
        files = [path for name in STUDY_FILES for path in self.folder.glob(name) if path.is_file()]
        if aside.finished or aside.unfinished:
            self._move_aside([self.folder / RUNS_FOLDER, *files], aside)
            return
        try:
            for path in files:
                path.unlink()
        except OSError as problem:
            raise work_error(self.folder, problem) from None

    def _move_aside(self, paths: Sequence[Path], aside: Aside) -> None:
        move_aside(self.folder, paths, aside)
        self.notes.append(Note("set-aside", f"{aside} of {self.folder} set aside in {aside.place}."))

    def run_folder(self, name: str) -> Path:
        """The folder of a run, never outside ``runs/`` whatever the name holds.

        A name that is too long, or holds more than a folder's can, ends in a hash of all of it: no two share a folder.
        """
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")
        if not safe:
            raise InputError(f"{ascii(name)[:60]} is no name for a run's folder.")
        if safe != folder_word(name) or len(safe) > LONGEST_NAME:
            whole = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()
            safe = f"{safe[: LONGEST_NAME - 9]}-{whole[:8]}"
        return self.folder / RUNS_FOLDER / safe

    def finished(self) -> dict[str, Run]:
        """Every run that has a ``result.json``, by its ``run_id``, whatever its status.

        Raises:
            InputError: one of them is damaged (with its position), unless the store recovers: then it is left out
                with a note, and will be run again.
        """
        found: dict[str, Run] = {}
        for path in sorted((self.folder / RUNS_FOLDER).glob(f"*/{RUN_FILE}")):
            try:
                run, environment = read_run(path)
            except InputError as problem:
                if not self._recover:
                    raise InputError(problem.message, hint=RECOVER_HINT) from None
                self.notes.append(Note("run-unreadable", f"To be run again: {problem.message}", "warning"))
                continue
            found[run.run_id] = self._with_environment(run, environment)
        return found

    def save_run(
        self,
        name: str,
        run: Run,
        *,
        environment: Mapping[str, Any],
        recipe: Mapping[str, Any],
        data: Mapping[str, Any],
    ) -> Run:
        """Write a run's ``result.json``: from now on it is finished. Returns the run with its environment's index.

        Raises:
            WorkError: it could not be written; nothing else was touched.
        """
        folder = self.run_folder(name)
        make_folder(folder)
        run = self._with_environment(run, dict(environment))
        content = {
            "schema": RUN_SCHEMA,
            "run": replace(run, environment=None),
            "environment": dict(environment),
            "recipe": dict(recipe),
            "data": dict(data),
        }
        write_atomic(folder / RUN_FILE, dump_json(content))
        self._let_go(name)
        return run

    def write_summary(self, summary: Summary) -> None:
        """Write ``summary.json`` and ``runs.csv``.

        Raises:
            WorkError: one of them could not be written; the old one is untouched.
        """
        write_atomic(self.folder / SUMMARY_FILE, dump_json(summary))
        write_atomic(self.folder / CSV_FILE, write_csv(summary.runs))

    @property
    def summary_due(self) -> bool:
        """Whether the summary of an unfinished sweep may be written again: rarely, a small share of the time."""
        wait = max(_LEAST_SECONDS_BETWEEN, self._summary_seconds / _LARGEST_SHARE_OF_TIME)
        return time.monotonic() - self._last_summary >= wait

    def check_own(self) -> None:
        """Refuse a folder that holds files and no study. Only reads.

        Raises:
            InputError: with the names of the files.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file, not a folder.", hint="Name another --out.")
        try:
            names = sorted(path.name for path in self.folder.iterdir())
        except OSError as problem:
            raise work_error(self.folder, problem) from None
        foreign = [name for name in names if not name.startswith(".") and name != "lost+found"]
        if foreign and not self._was_claimed():
            raise InputError(
                f"{self.folder} holds files that are not of a cvfp study ({listed([one_line(name) for name in foreign])}).",
                hint="Name a new or empty folder as --out.",
            )

    def _was_claimed(self) -> bool:
        """Whether a study is here, or one that was set aside, or that a kill left on its way."""
        studies = (STUDY_FILE, f"old-*/{STUDY_FILE}", f".old-*{MOVING}/{STUDY_FILE}")
        return any(path.is_file() for name in studies for path in self.folder.glob(name))

    def _clear_torn_files(self, *folders: Path) -> None:
        for folder in folders:
            for path in left_behind(folder):
                path.unlink(missing_ok=True)

    def _with_environment(self, run: Run, environment: dict[str, Any]) -> Run:
        key = _canonical(to_json(environment))
        if key not in self._environment_index:
            self._environment_index[key] = len(self.environments)
            self.environments.append(environment)
        return replace(run, environment=self._environment_index[key])


def read_run(path: Path) -> tuple[Run, dict[str, Any]]:
    """A ``result.json``'s run and the environment it was made in.

    Raises:
        InputError: it is damaged, with its position.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") not in READ_RUN_SCHEMAS:
        raise InputError(f"{path}: schema must be {RUN_SCHEMA!r}.")
    findings = ReadingLog()
    run = from_json(Run, value.get("run"), "run", findings)
    if run is None:
        raise InputError(f"{path}: {listed(findings.problems)}.")
    environment = value.get("environment")
    return run, environment if isinstance(environment, dict) else {}


def _at(value: Any, *keys: str) -> Any:
    """What stands below nested keys; None where one is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
