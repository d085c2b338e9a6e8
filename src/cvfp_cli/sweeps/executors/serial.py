"""One job after the other, in this process."""

from collections.abc import Mapping, Sequence

from cvfp_cli.core.result import Event
from cvfp_cli.data.description import Settings
from cvfp_cli.data.study import StudyData
from cvfp_cli.sweeps.executors.base import Reports
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.texts import Texts
from cvfp_cli.sweeps.work import Worker


class _Cancelled(BaseException):
    """Ends a job under way; no ``Exception``, so that nothing on its way takes it for a failure."""


class SerialExecutor:
    """The first executor, and the one that the others are held to.

    Args:
        worker: does the jobs.
        data: makes their text, by the data tables; the next one's while a run trains on a device that leaves the processor idle.
    """

    def __init__(self, worker: Worker, data: Mapping[Settings, StudyData]) -> None:
        self._worker = worker
        self._data = data
        self._cancelled = False

    def execute(self, jobs: Sequence[Job], reports: Reports) -> None:
        """Run the jobs in order; a result is reported before the next job begins."""
        self._cancelled = False
        ahead = any(job.execution.device != "cpu" for job in jobs)
        texts = Texts(self._data, [job.experiment for job in jobs], ahead=ahead)

        for job in jobs:

            def advanced(event: Event, job: Job = job) -> None:
                reports.advanced(job, event)
                if self._cancelled:
                    raise _Cancelled

            def warned(text: str, job: Job = job) -> None:
                reports.warned(job, text)

            if self._cancelled:
                return
            if not reports.started(job):
                continue
            try:
                result = self._worker.do(job, texts.of, advanced, warned)
            except _Cancelled:
                return
            reports.ended(job, result)

    def cancel(self) -> None:
        """Stop at the next step of the job under way."""
        self._cancelled = True
