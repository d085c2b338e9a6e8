"""``--dry-run``: the grid with parameters, tokens, memory, time, and what is done already."""

from typing import TYPE_CHECKING

from cvfp_cli.cli.figures import MISSING, byte_size, duration
from cvfp_cli.cli.summary import answer_console, print_sentence, print_table
from cvfp_cli.counting import counted

if TYPE_CHECKING:
    from cvfp_cli.sweeps.plan import Job, Plan


def print_plan(plan: "Plan", workers: int = 1) -> None:
    """Print one line a run, cheapest first, and the totals of what remains, with so many runs at a time."""
    from cvfp_cli.sweeps.estimate import TimeEstimate
    from cvfp_cli.sweeps.rate import expected_rate

    times = TimeEstimate(plan.jobs, plan.remaining, expected_rate(plan.execution), workers=workers)
    console = answer_console()
    parts = tuple(dict.fromkeys(name for job in plan.jobs for name in job.parameters.parts))
    columns = [name.replace("_", "\n") for name in parts]
    header = ("run", *columns, "all", "train\ntokens", "memory", "time", "state")
    rows = [
        (
            job.name,
            *(
                f"{job.parameters.parts[name]:,}" if name in job.parameters.parts else MISSING
                for name in parts
            ),
            MISSING if job.parameters.total is None else f"{job.parameters.total:,}",
            f"{job.train_tokens:,}",
            byte_size(job.memory.peak_bytes),
            duration(times.seconds(job)),
            _state(job),
        )
        for job in plan.own
    ]
    print_table(console, header, rows)
    done = len(plan.own) - len(plan.remaining)
    expected, most = times.total(plan.remaining), times.total(plan.remaining, most=True)
    beside = f", {workers} at a time" if workers > 1 else ""
    device = f"{plan.execution.device}, {plan.execution.precision}"
    shortest, longest = plan.val_tokens[0], plan.val_tokens[-1]
    span = "" if shortest == longest else f"{shortest:,} to "
    console.print()
    print_sentence(console, f"validation: {span}{counted(longest, 'token')}.")
    print_sentence(
        console,
        f"{counted(len(plan.own), 'run')}, {done} done already, on {device}{beside}: "
        f"about {duration(expected)} left, at most {duration(most)}.",
    )
    if plan.remaining:
        console.print(f"Times are estimated {times.basis}.")


def _state(job: "Job") -> str:
    return "to do" if job.recorded is None else job.recorded.status
