"""One command's work from claim to summary: hold the folder, run what remains, write ``summary.json``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cvfp_cli.learners import learners
from cvfp_cli.recipes import Configuration, field_defaults
from cvfp_cli.recipes.recipe import has_field
from cvfp_cli.results import ResultsStore, Run, Summary
from cvfp_cli.sweeps.checkpoint import remove_checkpoint
from cvfp_cli.sweeps.executors.base import ExecutorMaker
from cvfp_cli.sweeps.executors.serial import SerialExecutor
from cvfp_cli.sweeps.interrupt import Interrupts
from cvfp_cli.sweeps.plan import Plan
from cvfp_cli.sweeps.recording import Recorder
from cvfp_cli.sweeps.watch import Watcher
from cvfp_cli.sweeps.work import Keeping, Worker

if TYPE_CHECKING:
    from cvfp_cli.core.experiment import Outcome


@dataclass(frozen=True)
class Ended:
    """How a command's work ended.

    Attributes:
        runs: every run of the folder, in the order of the tables.
        fits: the fits of ``summary.json``.
        here: the command's own runs, in the order of its grid.
    """

    runs: tuple[Run, ...]
    fits: tuple[dict[str, Any], ...]
    here: tuple[Run, ...]

    @property
    def unfinished(self) -> tuple[Run, ...]:
        """The command's runs that have no figures: failed or diverged."""
        return tuple(run for run in self.here if run.status != "done")


def carry_out(
    plan: Plan,
    store: ResultsStore,
    *,
    environment: Mapping[str, Any],
    watchers: Callable[[Plan], Watcher],
    warn: Callable[[str], None],
    keeping: Keeping,
    command: str,
    fresh: bool = False,
    again: bool = False,
    executor: ExecutorMaker = SerialExecutor,
    threads: int | None = None,
    run: "Callable[..., Outcome] | None" = None,
) -> Ended:
    """Run what remains of a plan and write the summary, whatever happens in between.

    Args:
        run: stands in for the learner's own ``train``, in tests.
        watchers: makes who looks on, from the plan as it stands once the folder is held.
        command: the command line, for the record.
        fresh: set the folder's study aside first.
        again: set the plan's own runs aside first.
        executor: makes who runs the jobs.
        threads: CPU threads that the folder's runs are to have from now on; None to leave it open.

    Raises:
        WorkError: the folder is in use, or cannot be written.
        KeyboardInterrupt: Ctrl-C or SIGTERM; finished runs and an incomplete summary are on disk.
    """
    with Interrupts() as interrupts:
        claimed = store.claim(
            plan.identity, field_defaults(), fresh=fresh, threads=threads, shared=plan.shard is not None
        )
        with claimed:
            if again:
                store.set_aside([job.name for job in plan.jobs])
            plan = refreshed(plan, store.finished())
            for job in plan.jobs:
                if job.settled:
                    # A kill between a result and the end of its checkpoint leaves both.
                    remove_checkpoint(job.checkpoint)
            fixed = {**field_defaults(), **store.shared_settings()}
            # Runs of kinds that this command leaves out keep the tables that they were made by.
            tables = store.recorded_tables() if plan.others else {}
            recorder = Recorder(plan, store, environment, watchers(plan), interrupts, warn)
            chosen = executor(Worker(environment, keeping, run), plan.data)

            def write_summary(*, ended: bool = False) -> Summary:
                with interrupts.shield(), store.writing():
                    known = store.finished() if store.shared else recorder.runs
                    complete = ended and all(job.run_id in known for job in plan.jobs)
                    runs = on_every_axis(known.values(), fixed)
                    summary = summarise(plan, store, runs, tables, command=command, complete=complete)
                    store.write_summary(summary)
                    return summary

            recorder.after_each = lambda: write_summary() if store.summary_due else None
            try:
                if plan.remaining:
                    write_summary()
                chosen.execute(plan.remaining, recorder)
                if plan.recipe.runs.ensemble:
                    recorder.combine()
            except KeyboardInterrupt:
                write_summary()
                raise
            final = write_summary(ended=True)
            by_id = {run.run_id: run for run in final.runs}
            here = tuple(by_id[job.run_id] for job in plan.own if job.run_id in by_id)
            return Ended(final.runs, final.fits, here)


def refreshed(plan: Plan, finished: Mapping[str, Run]) -> Plan:
    """The plan with what the folder holds now that nobody else can write to it."""
    jobs = tuple(replace(job, recorded=finished.get(job.run_id)) for job in plan.jobs)
    here = {job.run_id for job in jobs}
    return replace(plan, jobs=jobs, others=tuple(run for key, run in finished.items() if key not in here))


def summarise(
    plan: Plan,
    store: ResultsStore,
    runs: Iterable[Run],
    tables: Mapping[str, Any],
    *,
    command: str,
    complete: bool,
) -> Summary:
    """``summary.json`` as it stands; the order of runs does not depend on the order in which they ran.

    Args:
        tables: of the folder's earlier recipe, for those that this one has not.
    """
    from cvfp_cli.scaling import summary_fits

    ordered = in_order(runs)
    return Summary(
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=command,
        complete=complete,
        recipe={
            "name": plan.recipe.name,
            "overrides": dict(plan.recipe.overrides),
            "resolved": {**tables, **plan.recipe.resolved()},
        },
        environments=tuple(store.environments),
        data=dict(plan.described),
        runs=ordered,
        fits=tuple(summary_fits(ordered)),
    )


def on_every_axis(runs: Iterable[Run], fixed: Mapping[str, Any]) -> list[Run]:
    """Runs of a folder whose study gained an axis: those of before stand on it where their study held the field.

    Args:
        fixed: what runs that lack an axis had there, by ``table.key``.
    """
    known = list(runs)
    further = dict.fromkeys(name for run in known for name in run.axes if "." in name)
    return [_on_axes(run, further, fixed) for run in known]


def _on_axes(run: Run, names: Iterable[str], fixed: Mapping[str, Any]) -> Run:
    missing = {
        name: fixed[name]
        for name in names
        if name not in run.axes and name in fixed and run.kind in learners() and has_field(name, run.kind)
    }
    if not missing:
        return run
    axes = {**run.axes, **missing}
    added = Configuration(axes, run.kind).label.removeprefix(Configuration(run.axes, run.kind).label)
    return replace(run, axes=axes, config=run.config + added)


def in_order(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Runs by kind, by every axis (the learner's own from slowest to fastest), then samples, data seed and seed."""
    known = list(runs)
    own = {axis.name for learner in learners().values() for axis in learner.axes}
    names = sorted({name for run in known for name in run.axes} - own)
    slowest_first = [axis.name for learner in learners().values() for axis in reversed(learner.axes)]

    def key(run: Run) -> list[tuple[bool, float, str]]:
        axes = [run.axes.get(name) for name in (*names, *slowest_first)]
        return [_rank(value) for value in (run.kind, *axes, run.samples, run.data_seed, run.seed)]

    return tuple(sorted(known, key=key))


def _rank(value: object) -> tuple[bool, float, str]:
    """Missing values first, then numbers, then words."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return value is not None, -1.0, "" if value is None else str(value)
