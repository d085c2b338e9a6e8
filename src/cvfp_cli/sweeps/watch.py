"""Who may look on while a sweep runs: bars, logs, TensorBoard. None of them can change a figure."""

from collections.abc import Sequence

from cvfp_cli.core.result import Event
from cvfp_cli.results.schema import Run
from cvfp_cli.sweeps.plan import Job


class Watcher:
    """Told of everything that happens, in order, in the parent's thread; does nothing where it is not extended."""

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """``job`` begins; it is the ``number``-th (1-based) of the ``total`` runs that this command trains.

        Args:
            worker: who does it, where there are several.
        """

    def lost(self, job: Job, reason: str) -> None:
        """Whoever did ``job`` is gone; it will be started again."""

    def advanced(self, job: Job, event: Event) -> None:
        """An iteration or epoch has ended, or some tokens of one are done."""

    def finished(self, job: Job, run: Run) -> None:
        """``job`` has ended and its result is on disk."""

    def ended(self) -> None:
        """The command ends; runs still under way are broken off."""


class Together(Watcher):
    """Several watchers as one."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        for watcher in self._watchers:
            watcher.started(job, number, total, worker)

    def lost(self, job: Job, reason: str) -> None:
        for watcher in self._watchers:
            watcher.lost(job, reason)

    def advanced(self, job: Job, event: Event) -> None:
        for watcher in self._watchers:
            watcher.advanced(job, event)

    def finished(self, job: Job, run: Run) -> None:
        for watcher in self._watchers:
            watcher.finished(job, run)
