"""The results folder of one study: claimed, locked, and written so that a kill loses at most the run under way.

::

    results/
      study.json                whose folder this is
      summary.json  runs.csv    all runs, written at the end and now and then before
      sweep.log
      runs/2L_768d_2tok_s50_seed42/
        result.json             written last: a run is finished when it is there
        config.toml  metrics.jsonl  model.safetensors
"""

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.results.atomic import left_behind, make_folder, work_error, write_atomic
from cvfp_cli.results.codec import Findings, dump_json, from_json, listed, to_json
from cvfp_cli.results.jsontext import RECOVER_HINT, decode, parse, read_bytes
from cvfp_cli.results.lock import FolderLock
from cvfp_cli.results.reader import RUN_FILE, RUNS_FOLDER, SUMMARY_FILE
from cvfp_cli.results.runs_csv import write_csv
from cvfp_cli.results.schema import RUN_SCHEMA, Run, Summary

STUDY_FILE = "study.json"
STUDY_SCHEMA = "cvfp-study/1"
CSV_FILE = "runs.csv"
LOG_FILE = "sweep.log"
_READ = "what_was_read."
"""What identities call the hashes of the text: they say that something differs, the recipe's keys say what."""
_TEXT_TABLES = ("data.", "validation.", "tokenizer.", "embedding.")
_ADDED = ("tokenizer.samples", "validation.after")
"""Keys that the identities of older folders lack."""
_LEAST_SECONDS_BETWEEN = 30.0
_LARGEST_SHARE_OF_TIME = 0.02  # of a sweep's time that goes into rewriting the summary


def run_id(config: Mapping[str, Any], data_fingerprint: str, seeds: Mapping[str, int | None]) -> str:
    """A run's identity: 16 hex digits of the SHA-256 of its resolved configuration, data and seeds."""
    identity = {"config": config, "data": data_fingerprint, "seeds": seeds}
    return hashlib.sha256(_canonical(identity).encode()).hexdigest()[:16]


class OtherStudyError(InputError):
    """The folder holds another study.

    Attributes:
        differing: each key of the identity that differs: its value there and its value here.
    """

    def __init__(self, folder: Path, differing: Mapping[str, tuple[Any, Any]], *, hint: str = "") -> None:
        told = [
            f"{key} is {_quoted(there)} there and {_quoted(here)} here"
            for key, (there, here) in differing.items()
        ]
        super().__init__(
            f"{folder} holds another study: {listed(told)}.",
            hint=hint or "Use another --out, or start over with --fresh.",
        )
        self.folder = folder
        self.differing = dict(differing)


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
        self._identity_lost = False
        self._environment_index: dict[str, int] = {}
        self._last_summary = time.monotonic()
        self._summary_seconds = 0.0

    @contextmanager
    def claim(self, identity: Mapping[str, Any]) -> Iterator["ResultsStore"]:
        """Hold the folder for one study: create it, lock it, check whose it is, clear torn temporary files.

        Args:
            identity: what all runs of the study share, as JSON values.

        Raises:
            InputError: the folder holds something else's files, or another study.
            WorkError: another process uses it, or it cannot be written.
        """
        self._refuse_foreign()
        make_folder(self.folder)
        lock = FolderLock(self.folder)
        note = lock.acquire()
        try:
            if note is not None:
                self.notes.append(note)
            self.check_same_study(identity)
            if self._identity_lost or not (self.folder / STUDY_FILE).is_file():
                created = datetime.now().astimezone().isoformat(timespec="seconds")
                content = {"schema": STUDY_SCHEMA, "created": created, "identity": dict(identity)}
                write_atomic(self.folder / STUDY_FILE, dump_json(content))
            make_folder(self.folder / RUNS_FOLDER)
            self._clear_torn_files()
            yield self
        finally:
            lock.release()

    def check_same_study(self, identity: Mapping[str, Any]) -> None:
        """Refuse a folder of something else or of another study. Only reads.

        Raises:
            OtherStudyError: with every key that differs, theirs against ours; hashes of the text only where
                nothing else about it does.
            InputError: the folder is something else's, or its study file is damaged.
        """
        self._refuse_foreign()
        path = self.folder / STUDY_FILE
        if not path.is_file():
            return
        try:
            theirs = _read_identity(path)
        except InputError as problem:
            if not self._recover:
                raise InputError(
                    problem.message, hint=f"{RECOVER_HINT} Or start over with --fresh."
                ) from None
            self.notes.append(
                Note("study-unreadable", f"Written anew from this command: {problem.message}", "warning")
            )
            self._identity_lost = True
            return
        there, here = _flat(theirs), _flat(to_json(dict(identity)))
        for key in _ADDED:
            if key in here and key not in there:
                there[key] = self._recorded(key) or here[key]
        differing = {
            key: (there.get(key), here.get(key))
            for key in sorted({*there, *here})
            if there.get(key) != here.get(key)
        }
        if any(key.startswith(_TEXT_TABLES) for key in differing):
            differing = {key: values for key, values in differing.items() if not key.startswith(_READ)}
        if differing:
            raise OtherStudyError(self.folder, differing)

    def _recorded(self, key: str) -> Any:
        """What an older folder, whose identity lacks the key, says about it elsewhere; None where it does not."""
        if key == "tokenizer.samples":
            for path in sorted((self.folder / RUNS_FOLDER).glob(f"*/{RUN_FILE}")):
                with contextlib.suppress(InputError):
                    value = parse(decode(read_bytes(path), str(path)), str(path))
                    return _at(value, "data", "tokenizer", "trained_on_samples")
        return None

    def start_over(self) -> None:
        """Delete the study: its runs, summary, log and identity. Other files in the folder stay.

        Raises:
            InputError: the folder is something else's.
            WorkError: another process uses it, or a file cannot be deleted.
        """
        self._refuse_foreign()
        if not self.folder.is_dir():
            return
        lock = FolderLock(self.folder)
        lock.acquire()
        try:
            if (self.folder / RUNS_FOLDER).is_dir():
                shutil.rmtree(self.folder / RUNS_FOLDER)
            for name in (SUMMARY_FILE, CSV_FILE, LOG_FILE, STUDY_FILE):  # the claim goes last
                (self.folder / name).unlink(missing_ok=True)
        except OSError as problem:
            raise work_error(self.folder, problem) from None
        finally:
            lock.release()

    def run_folder(self, name: str) -> Path:
        """The folder of a run, never outside ``runs/`` whatever the name holds."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:120]
        if not safe:
            raise InputError(f"{ascii(name)[:60]} is no name for a run's folder.")
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
                run, environment = _read_run(path)
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
        return run

    def write_summary(self, summary: Summary) -> None:
        """Write ``summary.json`` and ``runs.csv``.

        Raises:
            WorkError: one of them could not be written; the old one is untouched.
        """
        begun = time.monotonic()
        write_atomic(self.folder / SUMMARY_FILE, dump_json(summary))
        write_atomic(self.folder / CSV_FILE, write_csv(summary.runs))
        self._last_summary = time.monotonic()
        self._summary_seconds = self._last_summary - begun

    def write_summary_if_due(self, make: Callable[[], Summary]) -> None:
        """Write the summary of an unfinished sweep, so rarely that it takes a small share of the time.

        Raises:
            WorkError: as ``write_summary``.
        """
        wait = max(_LEAST_SECONDS_BETWEEN, self._summary_seconds / _LARGEST_SHARE_OF_TIME)
        if time.monotonic() - self._last_summary >= wait:
            self.write_summary(make())

    def _refuse_foreign(self) -> None:
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file, not a folder.", hint="Name another --out.")
        try:
            names = sorted(path.name for path in self.folder.iterdir())
        except OSError as problem:
            raise work_error(self.folder, problem) from None
        foreign = [name for name in names if not name.startswith(".") and name != "lost+found"]
        if foreign and STUDY_FILE not in names:
            raise InputError(
                f"{self.folder} holds files that are not of a cvfp study ({listed([ascii(n)[1:-1] for n in foreign])}).",
                hint="Name a new or empty folder as --out.",
            )

    def _clear_torn_files(self) -> None:
        for folder in (self.folder, *(self.folder / RUNS_FOLDER).glob("*/")):
            for path in left_behind(folder):
                path.unlink(missing_ok=True)

    def _with_environment(self, run: Run, environment: dict[str, Any]) -> Run:
        key = _canonical(to_json(environment))
        if key not in self._environment_index:
            self._environment_index[key] = len(self.environments)
            self.environments.append(environment)
        return replace(run, environment=self._environment_index[key])


def _read_identity(path: Path) -> dict[str, Any]:
    """Whose folder it is, by its study file."""
    value = parse(decode(read_bytes(path), str(path)), str(path))
    identity = value.get("identity") if isinstance(value, dict) else None
    if not isinstance(identity, dict) or value.get("schema") != STUDY_SCHEMA:
        raise InputError(f"{path} is not a study file of cvfp.")
    return identity


def _read_run(path: Path) -> tuple[Run, dict[str, Any]]:
    """A ``result.json``'s run and the environment it was made in."""
    value = parse(decode(read_bytes(path), str(path)), str(path))
    if not isinstance(value, dict) or value.get("schema") != RUN_SCHEMA:
        raise InputError(f"{path}: schema must be {RUN_SCHEMA!r}.")
    findings = Findings()
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


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update(_flat(item, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def _quoted(value: Any) -> str:
    text = "missing" if value is None else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
