"""What every executor does: jobs in; progress and results out; cancel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cvfp_cli.core.result import Event
from cvfp_cli.data.description import Settings
from cvfp_cli.data.study import StudyData
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.work import JobResult, Worker


class Reports(Protocol):
    """Told of everything that happens to jobs, in the parent's thread; for each job in this order."""

    def started(self, job: Job, worker: str = "") -> bool:
        """``job`` is about to begin: its folder is made and its recipe written before it does.

        Args:
            worker: who does it, where there are several.

        Returns:
            Whether it is to be run; another command may have taken it meanwhile.
        """

    def advanced(self, job: Job, event: Event) -> None:
        """An iteration or epoch has ended, or some tokens of one are done."""

    def warned(self, job: Job, text: str) -> None:
        """One line about something that changes no figure."""

    def lost(self, job: Job, reason: str) -> None:
        """Whoever did ``job`` is gone: it has not ended, and will be started again."""

    def ended(self, job: Job, result: JobResult) -> None:
        """``job`` has ended; it counts as done when this returns."""


class Executor(Protocol):
    """Runs jobs, somewhere.

    Jobs, results, events and errors are plain data that survive pickling, so that an executor may send them to
    other processes and machines. What raises in ``reports`` ends the work and is raised again.
    """

    def execute(self, jobs: Sequence[Job], reports: Reports) -> None:
        """Run the jobs; return when all have ended, or after :meth:`cancel`.

        Raises:
            WorkError: something that no single job is to blame for, such as a full disk.
            KeyboardInterrupt: Ctrl-C or SIGTERM.
        """

    def cancel(self) -> None:
        """Begin no other job, and stop those under way at their next step; their checkpoints stay."""


ExecutorMaker = Callable[[Worker, Mapping[Settings, StudyData]], Executor]
"""Makes an executor of who does the jobs and of what makes their text, by the data tables."""
