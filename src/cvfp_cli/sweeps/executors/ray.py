"""On the machines of a Ray cluster: one long-lived actor a card, or a share of one, fed from one queue in the parent.

Ray starts the actors and starts them again where they die, and carries texts, events and results. Imports without
Ray; :func:`connect` comes first.
"""

import logging
import math
import os
import platform
import queue
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from cvfp_cli import __version__
from cvfp_cli.core.config import Execution
from cvfp_cli.data.description import Settings
from cvfp_cli.data.stream import Text
from cvfp_cli.data.study import StudyData
from cvfp_cli.errors import CvfpError, InputError, WorkError, first_line, missing_extra
from cvfp_cli.results.atomic import WriteError
from cvfp_cli.sweeps.executors.base import Reports
from cvfp_cli.sweeps.executors.dispatch import Dispatch
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.texts import Key, Texts, key_of
from cvfp_cli.sweeps.work import CONTEXT_BYTES, JobResult, Worker, thinned

NEWS_SECONDS = 0.2  # events of so long travel together
SECONDS_BETWEEN_LOOKS = 1.0  # at workers that may hang, and at a cancel from elsewhere
START_SECONDS = 60  # how long the first run waits for workers that are not there yet
LATE_SECONDS = 10  # and, once one is there, for the others
SETUP = "Every machine needs the same cvfp-cli[ray] under the same Python; `ray start` has to run in that environment."


def connect(address: str | None) -> None:
    """Join the cluster at ``address``, else at ``RAY_ADDRESS``, else the one of this machine; ``local`` starts one.

    Raises:
        InputError: Ray is not installed, or there is no such cluster.
    """
    if find_spec("ray") is None:
        raise missing_extra("--executor ray", "ray")
    # Read when Ray is imported: under `uv run` it would start workers by uv, in another environment.
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    if where.startswith("ray://"):
        raise InputError(
            f"--ray-address {where}: cvfp has to run on a machine of the cluster.",
            hint="Run it there with --ray-address auto, or send it with `ray job submit`.",
        )
    _check_answer(where)
    with suppress(AttributeError):  # it writes each death of a worker to stdout, where figures go
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    alone: dict[str, Any] = {"include_dashboard": False} if where == "local" else {}
    try:
        ray.init(where, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True, **alone)
    except (ConnectionError, RuntimeError, ValueError, OSError) as problem:
        raise _no_cluster(where, first_line(problem)) from None
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():  # Ray has put its own in their place
            signal.signal(number, handler)


def _check_answer(where: str) -> None:
    """Check that something answers at an address: Ray itself would try for two minutes."""
    host, _, port = where.rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as problem:
        raise _no_cluster(where, first_line(problem)) from None


def _no_cluster(where: str, reason: str) -> InputError:
    message = f"no Ray cluster answers at {where} ({reason})."
    if where == "auto":
        message = "no Ray cluster runs on this machine, and RAY_ADDRESS names none."
    return InputError(
        f"--executor ray: {message}",
        hint="Start one with `ray start --head` here and `ray start --address=HOST:6379` on every other machine, or "
        "add --ray-address local to use this machine alone.",
    )


def has_cards() -> bool:
    """Whether a machine of the cluster has an NVIDIA card."""
    return any(resources.get("GPU") for resources in _machines())


def rooms(device: str, threads: int, share: float) -> list[int]:
    """How many workers fit on each machine of the cluster that has room for one.

    Args:
        threads: of a worker on a CPU. share: of a card, of one elsewhere.

    Raises:
        InputError: there is no such machine.
    """
    resource, each = ("CPU", float(threads)) if device == "cpu" else ("GPU", share)
    # 3 x 1/3 is a whole card, too.
    found = [math.floor(resources.get(resource, 0.0) / each + 1e-6) for resources in _machines()]
    if not any(found):
        raise InputError(
            f"--executor ray: no machine of the cluster has {each:g} {resource} for a worker.",
            hint="`ray status` shows what they have.",
        )
    return [room for room in found if room]


def _machines() -> list[Mapping[str, float]]:
    """What each machine of the cluster has of every resource."""
    import ray

    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    return [node["Resources"] for node in nodes() if node["Alive"]]


def on_a_card(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` returns in a process of the cluster that has a card.

    Raises:
        CvfpError: as the function does. WorkError: no such process can be started.
    """
    import ray

    try:
        return ray.get(ray.remote(function).options(num_gpus=1, num_cpus=0).remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CvfpError):
            raise error.cause from None
        raise WorkError(f"No worker could start on the cluster: {_last_line(error)}.", hint=SETUP) from None


def share_of_a_card(jobs: Sequence[Job]) -> float:
    """The smallest share of a card, one over a whole number, that the largest of the jobs fits in."""
    device_bytes = jobs[0].execution.device_bytes
    if device_bytes is None:
        return 1.0
    return 1.0 / max(1, device_bytes // (max(job.memory.peak_bytes for job in jobs) + CONTEXT_BYTES))


def _versions() -> dict[str, str]:
    """What decides figures, or whether a job can be read at all."""
    return {"cvfp": __version__, "torch": version("torch"), "python": platform.python_version()}


def _last_line(error: Exception) -> str:
    """What Ray's account of an error ends in, which is the error itself."""
    *_, last = str(error).strip().splitlines() or [type(error).__name__]
    return last.strip().rstrip(".")


class Unusable(str):
    """Why an actor can do no other job, as where its card is lost."""


class Hand:
    """What an actor is: it trains in a thread of its own, and meanwhile hands on what it is told.

    Args:
        execution: every job's.
        share: of a card's memory.
    """

    def __init__(self, worker: Worker, execution: Execution, share: float) -> None:
        self._worker = worker
        self._execution = execution
        self._share = share
        self._text: Text | None = None
        self._told = False

    def about(self) -> dict[str, Any]:
        """What runs here and on what: the environment that results are recorded with, and versions."""
        import ray

        worker = self._worker.at(self._execution, self._share)
        here = {**worker.environment, "node": socket.gethostname()}
        if cards := ray.get_runtime_context().get_accelerator_ids().get("GPU"):
            here["device"] = (
                f"cuda:{cards[0]}"  # its number on the machine; in this process it is the only one
            )
        self._worker = replace(worker, environment=here)
        return {**here, **_versions()}

    def do(self, job: Job, text: Text, table: Any) -> Iterator[list[Any]]:
        """The job's events and warnings, some at a time; the last is its result, or why there is none."""
        if self._text is not None and self._text.table_fingerprint == text.table_fingerprint:
            table = self._text.table  # the same object, of which the device has a copy already
        self._text = replace(text, table=table)
        news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._train, args=(job, self._text, news.put), daemon=True).start()
        ended = False
        while not ended:
            together, until = [news.get()], time.monotonic() + NEWS_SECONDS
            while not (ended := isinstance(together[-1], JobResult | Unusable | Exception)):
                try:
                    together.append(news.get(timeout=max(0.0, until - time.monotonic())))
                except queue.Empty:
                    break
            yield together

    def _train(self, job: Job, text: Text, tell: Callable[[Any], None]) -> None:
        try:
            worker = self._worker
            if not job.folder.is_dir():
                worker = replace(
                    worker, keeping=replace(worker.keeping, resume=False, seconds_between=math.inf)
                )
                if not self._told:
                    tell(
                        f"{socket.gethostname()} does not see {job.folder.parent}: a run lost there begins anew"
                    )
                self._told = True
            tell(worker.do(job, lambda _: text, thinned(tell), tell))
        except CvfpError as problem:
            tell(problem)
        except RuntimeError as problem:  # PyTorch's own errors, a lost card's among them
            tell(Unusable(f"ended by {type(problem).__name__}: {first_line(problem)}"))
        except BaseException:
            tell(RuntimeError(f"a worker ended by a bug:\n{traceback.format_exc()}"))


@dataclass(frozen=True)
class Places:
    """Where a cluster's workers go.

    Attributes:
        gpus_per_run: share of a card that each takes; None for the smallest that the jobs fit in.
        most: workers at most; None for as many as there is room for.
        mixed_devices: whether cards may differ.
    """

    gpus_per_run: float | None = 1.0
    most: int | None = None
    mixed_devices: bool = False


class RayExecutor:
    """Runs jobs on the cluster that :func:`connect` has joined.

    Args:
        worker: does the jobs, in each actor.
        data: makes their text, in this process.
        run_timeout: as ``Dispatch`` takes it.
    """

    def __init__(
        self,
        worker: Worker,
        data: Mapping[Settings, StudyData],
        *,
        places: Places = Places(),
        run_timeout: float | None = None,
    ) -> None:
        self._worker = worker
        self._data = data
        self._places = places
        self._run_timeout = run_timeout
        self._cancelled = threading.Event()

    def execute(self, jobs: Sequence[Job], reports: Reports) -> None:
        """Run the jobs, the longest first; whatever ends this ends the actors.

        Raises:
            InputError: a cluster without room for a worker, or workers that may not work together.
            WorkError: no worker is left, or a write failed.
            KeyboardInterrupt: Ctrl-C or SIGTERM.
        """
        self._cancelled.clear()
        if not jobs:
            return
        dispatch = Dispatch(jobs, reports, self._run_timeout)
        texts = _StoredTexts(Texts(self._data, [job.experiment for job in dispatch.waiting], ahead=True))
        crew = _Crew(self._worker, jobs, texts, dispatch, self._places, self._cancelled)
        try:
            crew.hire()
            idle_since, told, refused = time.monotonic(), False, ""
            while not (dispatch.ended or self._cancelled.is_set()):
                crew.assign()
                crew.listen()
                if crew.refused != refused:
                    refused = crew.refused
                    reports.warned(jobs[0], f"{refused}; it gets no run")
                crew.end_hanging()
                if crew.works:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > START_SECONDS and not told:
                    told = True
                    reports.warned(
                        jobs[0], "no worker of the cluster is free or alive; waiting (see `ray status`)"
                    )
        finally:
            crew.dismiss()

    def cancel(self) -> None:
        """Begin no other job, and end the actors; checkpoints stay."""
        self._cancelled.set()


@dataclass(eq=False)
class _Member:
    """One actor as the parent knows it: its number in the crew, and what it has said of itself."""

    number: int
    actor: Any
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For the user."""
        return f"{self.about.get('node', 'worker')} #{self.number}"


class _StoredTexts:
    """The text of jobs in the cluster's store: streams once a size, a table once for all that share it.

    Actors read what is in the store where it lies, and cannot write there.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._stored: dict[Key, tuple[Any, Any, str]] = {}

    def of(self, job: Job, waiting: Sequence[Job]) -> tuple[Any, Any]:
        """Where streams and table of a job are; what neither it nor a job that waits reads is let go.

        Raises:
            WorkError: they cannot be made.
        """
        import ray

        key = key_of(job.experiment)
        if key not in self._stored:
            text = self._texts.of(job.experiment)
            name = text.table_fingerprint
            table = next((table for _, table, other in self._stored.values() if other == name), None)
            needed = {key_of(other.experiment) for other in waiting}
            self._stored = {other: stored for other, stored in self._stored.items() if other in needed}
            if table is None:
                table = ray.put(text.table)
            self._stored[key] = ray.put(replace(text, table=text.table[:0])), table, name
        return self._stored[key][:2]


class _Crew:
    """The actors of one sweep, and what each is at."""

    def __init__(
        self,
        worker: Worker,
        jobs: Sequence[Job],
        texts: _StoredTexts,
        dispatch: Dispatch,
        places: Places,
        cancelled: threading.Event,
    ) -> None:
        import ray

        self._ray = ray
        self._worker = worker
        self._jobs = jobs
        self._execution = jobs[0].execution
        self._texts = texts
        self._dispatch = dispatch
        self._places = places
        self._cancelled = cancelled
        self._members: list[_Member] = []
        self._asked: dict[Any, _Member] = {}
        self._free: list[_Member] = []
        self._busy: dict[Any, _Member] = {}
        self._card = ""
        self.refused = ""

    @property
    def works(self) -> bool:
        """Whether any actor is there."""
        return bool(self._free or self._busy)

    def hire(self) -> None:
        """Start the actors, and hear what they say of themselves.

        Raises:
            InputError: there is room for none, or one may not work beside the others.
        """
        device, threads, share = self._execution.device, self._execution.threads or 1, 1.0
        taken = {"num_cpus": float(threads)}
        if device != "cpu":
            share = self._places.gpus_per_run or share_of_a_card(self._jobs)
            taken = {"num_cpus": 0.0, "num_gpus": share}
        room = sum(rooms(device, threads, share))
        kind = self._ray.remote(Hand).options(max_restarts=-1, max_task_retries=0, **taken)
        for number in range(1, min(room, len(self._jobs), self._places.most or room) + 1):
            member = _Member(number, kind.remote(self._worker, self._execution, share))
            self._members.append(member)
            self._ask(member)
        until, late = time.monotonic() + START_SECONDS, False
        while self._asked and not self.refused and time.monotonic() < until and not self._cancelled.is_set():
            self.listen()
            if self._free and not late:
                late = True
                until = min(until, time.monotonic() + LATE_SECONDS)
        if self.refused:
            raise InputError(f"--executor ray: {self.refused}.", hint=SETUP)

    def dismiss(self) -> None:
        """End every actor, whatever it is at; it writes nothing that a kill could harm."""
        for member in self._members:
            self._ray.kill(member.actor)

    def assign(self) -> None:
        """Give every free actor the next job; one whose text cannot be made has failed."""
        while self._free and (job := self._dispatch.next(self._free[0].name)) is not None:
            member = self._free[0]
            try:
                text, table = self._texts.of(job, self._dispatch.waiting)
            except WriteError:
                raise
            except (WorkError, MemoryError) as problem:
                reason = str(problem) or "out of memory"
                self._dispatch.done(member.name, JobResult(job.run_id, job.execution, None, reason))
                continue
            self._free.pop(0)
            sent = replace(job, folder=job.folder.absolute(), recorded=None)
            stream = member.actor.do.options(num_returns="streaming").remote(sent, text, table)
            self._busy[stream] = member

    def listen(self) -> None:
        """Take what comes next.

        Raises:
            WorkError: no actor is left, or a write failed there. RuntimeError: a bug showed there.
        """
        if not self._members:
            raise WorkError(f"no worker of the cluster is left: {self.refused}.", hint=SETUP)
        if not (sources := [*self._asked, *self._busy]):
            return
        ready, _ = self._ray.wait(sources, timeout=SECONDS_BETWEEN_LOOKS)
        for one in ready:
            if one in self._asked:
                self._meet(one)
            else:
                self._hear(one)

    def end_hanging(self) -> None:
        """End actors that have not moved for too long; each begins again."""
        hanging = self._dispatch.hanging()
        for stream, member in list(self._busy.items()):
            if member.name in hanging:
                self._end(stream, "ended since it had not moved for too long")

    def _ask(self, member: _Member) -> None:
        """Have an actor that begins, or begins again, say what it is; it takes no job before."""
        self._asked[member.actor.about.options(max_task_retries=-1).remote()] = member

    def _meet(self, ref: Any) -> None:
        """An actor has said what it is, or could not."""
        member = self._asked.pop(ref)
        try:
            member.about = self._ray.get(ref)
            problem = self._unfit(member.about)
        except self._ray.exceptions.RayError as error:
            problem = f"{member.name} could not start: {_last_line(error)}"
        if problem:
            self.refused = problem
            self._members.remove(member)
            self._ray.kill(member.actor)
        else:
            self._free.append(member)

    def _unfit(self, about: Mapping[str, Any]) -> str:
        """Why an actor may not work for this process and beside the others; empty where it may."""
        node = about["node"]
        for name, here in _versions().items():
            if (there := about[name]) != here:
                return f"{node} has {name} {there}, and this process {here}"
        card = str(about.get("device_name"))
        self._card = self._card or card
        if card != self._card and not self._places.mixed_devices:
            return (
                f"{node} has {card}, and another worker {self._card}: their figures and times do not compare "
                "(--mixed-devices takes both)"
            )
        return ""

    def _hear(self, stream: Any) -> None:
        """Events of a job, its end, or the end of its actor."""
        member = self._busy[stream]
        try:
            together = self._ray.get(next(stream))
        except self._ray.exceptions.RayTaskError:
            raise  # a bug, with its account from there
        except (self._ray.exceptions.RayError, StopIteration):
            self._lose(stream, "killed, out of memory, or its machine is gone")
            return
        for item in together:
            if self._cancelled.is_set():
                return
            if isinstance(item, JobResult):
                self._free.append(self._busy.pop(stream))
                self._dispatch.done(member.name, item)
            elif isinstance(item, Unusable):
                self._end(stream, item)
            elif isinstance(item, Exception):
                raise item
            elif isinstance(item, str):
                self._dispatch.warned(member.name, item)
            else:
                self._dispatch.advanced(member.name, item)

    def _end(self, stream: Any, reason: str) -> None:
        self._ray.kill(self._busy[stream].actor, no_restart=False)
        self._lose(stream, reason)

    def _lose(self, stream: Any, reason: str) -> None:
        """An actor is gone, with its job; Ray starts it again, there or elsewhere."""
        member = self._busy.pop(stream)
        self._dispatch.lost(member.name, reason)
        self._ask(member)
