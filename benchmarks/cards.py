"""The published matrix on one card and on several: wall times, equal figures, and what the queue predicts.

    python benchmarks/cards.py --data DIALOGUES --tokenizer GPT2_FOLDER --device cuda --jobs 1,2,4,8 --seeds 42
    python benchmarks/cards.py ... --seeds 42-46                                  180 runs in place of 36
    python benchmarks/cards.py ... --more="--executor ray --ray-address local"    another executor
    python benchmarks/cards.py --times SUMMARY --jobs 4,8,64                      no run, the queue alone

After a sweep that fills the caches, which ``--warm`` leaves out, the study runs once with every number of jobs, each
in a process of its own and counted from its start to the summary. A line each says what that is of one job's time,
which share of the workers' time went into runs, whether every figure is the one of the first sweep to the last bit, and
what a simulation predicts: the runs' seconds of the first sweep, the longest first to whoever is free, plus all that
the first sweep spent outside runs. ``--small`` takes four small runs on CPUs.
"""

import argparse
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path

from matrix import SMALL, sweep

from cvfp_cli.counting import counted
from cvfp_cli.results import Run, Seconds, read_results
from cvfp_cli.sweeps.estimate import makespan


def figures(runs: tuple[Run, ...]) -> list[Run]:
    """The runs less where and how fast they were made."""
    bare = [
        replace(run, seconds=Seconds(), stages=(), peak_memory_bytes=None, environment=None) for run in runs
    ]
    return [replace(run, execution_path={**(run.execution_path or {}), "device": None}) for run in bare]


def predicted(seconds: list[float], start: float, workers: int) -> str:
    """A sentence on the time that the queue leads to, and the efficiency that it allows."""
    queue, alone = makespan(seconds, workers), sum(seconds)
    return (
        f"the queue predicts {start + queue:.1f} s, an efficiency of {(start + alone) / workers / (start + queue):.0%} "
        f"({alone / workers / queue:.0%} without the {start:.1f} s outside runs)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--tokenizer")
    parser.add_argument("--embedding", default="ppmi:768")
    parser.add_argument("--samples", default="50,100,200,500")
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--jobs", default="1,2,4,8", help="numbers of jobs; the first is what others are held to"
    )
    parser.add_argument("--simulated", default="4,8,64", help="numbers of workers to predict besides")
    parser.add_argument("--threads", help="of every run; 2 beside a card and 1 on CPUs")
    parser.add_argument("--more", default="", help="further options of cvfp sweep")
    parser.add_argument("--warm", action="store_true", help="the caches are filled already")
    parser.add_argument("--times", type=Path, help="a summary whose runs' seconds are simulated alone")
    parser.add_argument("--keep", type=Path, help="a folder for caches and summaries")
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    jobs = [int(word) for word in given.jobs.split(",")]
    if given.times:
        times = [run.total_seconds or 0.0 for run in read_results(given.times).runs]
        for workers in jobs:
            print(
                f"{counted(workers, 'worker')}, {counted(len(times), 'run')}: {predicted(times, 0.0, workers)}"
            )
        return
    if not given.small and not (given.data and given.tokenizer):
        parser.error("--data and --tokenizer name the text and the tokenizer of the matrix")
    arguments = [*SMALL, "--data", given.data or "pydocs"]
    if not given.small:
        arguments = ["--recipe", "2025-11-30-matrix", "--layers", "1-3", "--tokens", "1-3"]
        arguments += ["--samples", given.samples, "--seeds", given.seeds, "--data", given.data]
        arguments += ["--tokenizer", given.tokenizer, "--embedding", given.embedding]
    threads = given.threads or ("1" if given.device == "cpu" else "2")
    arguments += ["--device", given.device, "--threads", threads, *shlex.split(given.more)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        if not given.warm:
            print(
                f"filling the caches: {sweep([*arguments, '--jobs', str(max(jobs))], folder, 'warm'):.1f} s"
            )
        for number, count in enumerate(jobs):
            # One job is the serial executor's: what a user without --jobs has.
            wall = sweep(
                [*arguments, *(("--jobs", str(count)) if count > 1 else ())], folder, f"jobs-{count}"
            )
            runs = read_results(folder / f"jobs-{count}" / "summary.json").runs
            seconds = [run.total_seconds or 0.0 for run in runs]
            if number == 0:
                first, alone, times = figures(runs), wall * count, seconds
            same = "equal" if figures(runs) == first else "NOT EQUAL"
            print(
                f"{count} at a time: {len(runs)} runs in {wall:.1f} s, efficiency {alone / count / wall:.0%}, "
                f"{sum(seconds) / count / wall:.0%} of it in runs, figures {same}; "
                f"{predicted(times, max(alone - sum(times), 0.0), count)}",
                flush=True,
            )
        for workers in map(int, given.simulated.split(",")):
            print(f"{counted(workers, 'worker')}: {predicted(times, max(alone - sum(times), 0.0), workers)}")


if __name__ == "__main__":
    main()
