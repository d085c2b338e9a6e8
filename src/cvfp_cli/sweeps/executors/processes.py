"""Several jobs at a time on this machine: processes that pull from one queue in the parent."""

import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.config import Execution
from cvfp_cli.data.description import Settings
from cvfp_cli.data.stream import Text
from cvfp_cli.data.study import StudyData
from cvfp_cli.errors import WorkError, first_line
from cvfp_cli.results.atomic import WriteError
from cvfp_cli.sweeps.executors.base import Reports
from cvfp_cli.sweeps.executors.dispatch import MOST_LOSSES, Dispatch
from cvfp_cli.sweeps.grid import Experiment
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.texts import Key, key_of
from cvfp_cli.sweeps.work import JobResult, Worker, thinned

SECONDS_BETWEEN_LOOKS = 1.0  # at workers that may hang, and at a cancel from elsewhere

# Spawned, since a fork has no CUDA and none of its parent's threads.
_spawn = multiprocessing.get_context("spawn")


class ProcessExecutor:
    """One process a place; a process that ends by itself is replaced, and what it did is done again.

    Args:
        worker: does the jobs, in every process.
        data: makes their text, in this process.
        devices: one for each process, which may share some.
        run_timeout: as ``Dispatch`` takes it.
    """

    def __init__(
        self,
        worker: Worker,
        data: Mapping[Settings, StudyData],
        *,
        devices: Sequence[str],
        run_timeout: float | None = None,
    ) -> None:
        self._worker = worker
        self._data = data
        self._devices = devices
        self._run_timeout = run_timeout
        self._cancelled = False

    def execute(self, jobs: Sequence[Job], reports: Reports) -> None:
        """Run the jobs, the longest first; whatever ends this ends the processes.

        Raises:
            WorkError: no process can be started, or a write failed.
            KeyboardInterrupt: Ctrl-C or SIGTERM.
        """
        self._cancelled = False
        if not jobs:
            return
        dispatch = Dispatch(jobs, reports, self._run_timeout)
        names = _names(self._devices[: len(jobs)])
        with tempfile.TemporaryDirectory(prefix="cvfp-", ignore_cleanup_errors=True) as folder:
            texts = TextFiles(self._data, Path(folder))
            crew = [
                _Process(name, self._worker, replace(jobs[0].execution, device=device), folder)
                for name, device in zip(names, self._devices, strict=False)
            ]
            try:
                while not (dispatch.ended or self._cancelled):
                    self._round(crew, dispatch, texts)
            finally:
                for process in crew:
                    process.end()

    def cancel(self) -> None:
        """End the processes; checkpoints stay."""
        self._cancelled = True

    def _round(self, crew: Sequence["_Process"], dispatch: Dispatch, texts: "TextFiles") -> None:
        """Give work to who has none, and listen to who has something to say."""
        for process in crew:
            process.start_if_wanted(dispatch)
            if process.idle and (job := dispatch.next(process.name)) is not None:
                process.give(job, texts, dispatch)
        if all(process.given_up for process in crew):
            raise WorkError(f"no worker process could be started: {crew[0].reason}.")
        heard = wait([item for process in crew for item in process.sources], SECONDS_BETWEEN_LOOKS)
        for process in crew:
            if any(item in heard for item in process.sources):
                process.listen(dispatch)
        for name in dispatch.hanging():
            process = next(process for process in crew if process.name == name)
            process.end()
            dispatch.lost(name, f"ended since it had not moved for {self._run_timeout:g} s")


def _names(devices: Sequence[str]) -> list[str]:
    """A name for each process: its device, numbered where several share one."""
    shared = {device for device in devices if devices.count(device) > 1}
    return [
        f"{device} #{devices[: number + 1].count(device)}" if device in shared else device
        for number, device in enumerate(devices)
    ]


@dataclass
class _Process:
    """A place for a process, seen from the parent.

    Attributes:
        folder: where the text is; the process removes it where its parent no longer can.
        reason: why the last process here ended.
        idle: whether it waits for a job.
    """

    name: str
    worker: Worker
    execution: Execution
    folder: str
    reason: str = ""
    idle: bool = False
    _failed_starts: int = 0
    _process: Any = None
    _connection: Any = None
    _ready: bool = False

    @property
    def given_up(self) -> bool:
        """Whether processes end here before they can take a job, as where a card is gone."""
        return self._failed_starts >= MOST_LOSSES

    @property
    def sources(self) -> list[Any]:
        """What shows that there is something to hear."""
        return [] if self._process is None else [self._connection, self._process.sentinel]

    def start_if_wanted(self, dispatch: Dispatch) -> None:
        """Start a process where there is none and a job waits."""
        if self._process is not None or self.given_up or not dispatch.waiting:
            return
        self._connection, theirs = _spawn.Pipe()
        self._process = _spawn.Process(
            target=_serve, args=(theirs, self.worker, self.execution, self.folder), daemon=True
        )
        self._process.start()
        theirs.close()

    def give(self, job: Job, texts: "TextFiles", dispatch: Dispatch) -> None:
        """Send a job with where its text is; one whose text cannot be made has failed."""
        try:
            files = texts.of(job.experiment)
        except WriteError:
            raise
        except WorkError as problem:
            dispatch.done(self.name, JobResult(job.run_id, job.execution, None, str(problem)))
            return
        self.idle = False
        placed = replace(job, execution=replace(job.execution, device=self.execution.device))
        try:
            self._connection.send((placed, files))
        except OSError:
            self._gone(dispatch)

    def listen(self, dispatch: Dispatch) -> None:
        """Take what the process sends; one that has ended is lost.

        Raises:
            WriteError: a write failed there. RuntimeError: a bug showed there.
        """
        try:
            while self._process is not None and self._connection.poll():
                what, value = self._connection.recv()
                self._take(what, value, dispatch)
        except (EOFError, OSError, pickle.UnpicklingError):  # it ended within a message
            self._gone(dispatch)
        if self._process is not None and not self._process.is_alive():
            self._gone(dispatch)

    def _take(self, what: str, value: Any, dispatch: Dispatch) -> None:
        if what == "ready":
            self._ready = self.idle = True
        elif what == "advanced":
            dispatch.advanced(self.name, value)
        elif what == "warned":
            dispatch.warned(self.name, value)
        elif what == "ended":
            self.idle = True
            self._failed_starts = 0
            dispatch.done(self.name, value)
        elif what == "unusable":
            self._gone(dispatch, value)
        else:
            raise value

    def _gone(self, dispatch: Dispatch, reason: str = "") -> None:
        """The process is no more, or of no more use: another may be started here."""
        if not reason:
            self._process.join(5)
            code = self._process.exitcode
            reason = "hung up" if code is None else f"ended with code {code}"
            if code is not None and code < 0:
                reason = f"killed by {_signal_name(-code)}"
        if not self._ready:
            self._failed_starts += 1
        self.end()
        self.reason = reason
        dispatch.lost(self.name, reason)

    def end(self) -> None:
        """End the process, whatever it does; it writes nothing that a kill could harm."""
        self.idle = self._ready = False
        if self._process is not None:
            if self._process.pid is not None:
                self._process.kill()
                self._process.join()
            self._connection.close()
            self._process = None


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}, perhaps since memory ran out" if name == "SIGKILL" else name


def _serve(connection: Connection, worker: Worker, execution: Execution, folder: str) -> None:
    """The process: does jobs until its parent ends it, or has ended."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all of a terminal's processes; the parent acts
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    texts = _TextReader()
    try:
        here = worker.at(execution)
        connection.send(("ready", None))
        while True:
            job, files = connection.recv()
            result = here.do(
                job,
                partial(texts.of, files),
                thinned(lambda event: connection.send(("advanced", event))),
                lambda text: connection.send(("warned", text)),
            )
            connection.send(("ended", result))
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    except WriteError as problem:
        connection.send(("error", problem))
    except RuntimeError as problem:  # PyTorch's own errors, a lost card's among them
        connection.send(("unusable", f"ended by {type(problem).__name__}: {first_line(problem)}"))
    except Exception:
        connection.send(
            ("error", RuntimeError(f"a worker process ended by a bug:\n{traceback.format_exc()}"))
        )


def _end_with_parent(folder: str) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)


class TextFiles:
    """The text of experiments as files that other processes of this machine read; each is written once.

    Args:
        data: makes the text, by the data tables.
        folder: where the files go.
    """

    def __init__(self, data: Mapping[Settings, StudyData], folder: Path) -> None:
        self._data = data
        self._folder = folder
        self._written: dict[Key, tuple[Path, Path]] = {}

    def of(self, experiment: Experiment) -> tuple[Path, Path]:
        """The files of an experiment's streams and table.

        Raises:
            WorkError: they cannot be made.
        """
        key = key_of(experiment)
        if key not in self._written:
            settings, samples, data_seed = key
            text = self._data[settings].experiment(samples, data_seed)
            streams = self._folder / f"streams-{len(self._written)}.pickle"
            table = self._folder / f"table-{text.table_fingerprint[:32]}.npy"
            try:
                if not table.exists():
                    np.save(table, text.table)
                streams.write_bytes(pickle.dumps(replace(text, table=text.table[:0])))
            except OSError as problem:
                raise WriteError(f"{self._folder}: {problem.strerror}.") from None
            self._written[key] = streams, table
        return self._written[key]


class _TextReader:
    """Reads what ``TextFiles`` wrote; processes of one machine share a table's memory."""

    def __init__(self) -> None:
        self._last: tuple[Path, Text] | None = None
        self._table: tuple[Path, NDArray[np.float32]] | None = None

    def of(self, files: tuple[Path, Path], experiment: Experiment) -> Text:
        """The text of an experiment, of which these are the files."""
        streams, table = files
        if self._last is None or self._last[0] != streams:
            if self._table is None or self._table[0] != table:  # the same array stays on the device
                self._table = table, np.asarray(np.load(table, mmap_mode="r"))
            text: Text = pickle.loads(streams.read_bytes())
            self._last = streams, replace(text, table=self._table[1])
        return self._last[1]
