"""``--dry-run``: the grid with parameters, tokens, memory, time, and what is done already."""

from typing import TYPE_CHECKING

from cvfp_cli.cli.figures import byte_size, duration
from cvfp_cli.cli.summary import answer_console, print_sentence, print_table

if TYPE_CHECKING:
    from cvfp_cli.sweep.plan import Job, Plan


def print_plan(plan: "Plan") -> None:
    """Print one line a run, cheapest first, and the totals of what remains."""
    from cvfp_cli.sweep.estimate import TimeEstimate
    from cvfp_cli.sweep.rate import expected_rate

    times = TimeEstimate(plan.jobs, plan.remaining, expected_rate(plan.execution))
    console = answer_console()
    header = ("run", "context\nblock", "token\nblock", "all", "train\ntokens", "memory", "time", "state")
    rows = [
        (
            job.name,
            f"{job.parameters.context_block:,}",
            f"{job.parameters.token_block:,}",
            f"{job.parameters.total:,}",
            f"{job.train_tokens:,}",
            byte_size(job.memory.peak_bytes),
            duration(times.seconds(job)),
            _state(job),
        )
        for job in plan.jobs
    ]
    print_table(console, header, rows)
    done = len(plan.jobs) - len(plan.remaining)
    expected, most = times.total(plan.remaining), times.total(plan.remaining, most=True)
    device = f"{plan.execution.device}, {plan.execution.precision}"
    console.print()
    print_sentence(
        console,
        f"{len(plan.jobs)} runs, {done} done already, on {device}: "
        f"about {duration(expected)} left, at most {duration(most)}.",
    )


def _state(job: "Job") -> str:
    return "to do" if job.recorded is None else job.recorded.status
