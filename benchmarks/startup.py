"""What a command costs before it does anything: each ``--help`` and the commands that read results, against a bare
interpreter; or against another source tree, in turns.

    python benchmarks/startup.py [--old FOLDER] [--repeat 9] [--small]

Every time is the least of so many fresh processes; the first of each is not counted. With ``--old``, such as
``git worktree add FOLDER COMMIT`` makes, each round runs this tree and the other one after the other, and the ratio
new / old is printed: of the processor's seconds, which other work on the machine moves less than the clock's.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "tests" / "results" / "legacy" / "detailed_results.json"
COMMANDS = {
    "cvfp --help": ["--help"],
    "cvfp sweep --help": ["sweep", "--help"],
    "cvfp fit": ["fit", str(RESULTS), "--format", "json"],
    "cvfp compare": ["compare", str(RESULTS)],
    "cvfp report": ["report", str(RESULTS)],
}


def least(arguments: Sequence[str], trees: Sequence[Path], repeat: int) -> list[tuple[float, float]]:
    """The least seconds of the clock and of the processor in ``repeat`` runs of Python with each source tree in turn."""
    times: list[list[tuple[float, float]]] = [[] for _ in trees]
    for _ in range(repeat + 1):
        for tree, taken in zip(trees, times, strict=True):
            # Modules are compiled in the first run, not in each.
            environment = os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": ""}
            began, before = time.perf_counter(), processor_seconds()
            subprocess.run(
                [sys.executable, *arguments],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            taken.append((time.perf_counter() - began, processor_seconds() - before))
    return [(min(clock), min(work)) for clock, work in (zip(*taken[1:], strict=True) for taken in times)]


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", type=Path, help="a source tree to compare with")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    if given.old and not (given.old / "src" / "cvfp_cli").is_dir():
        parser.error(f"--old: {given.old} holds no src/cvfp_cli.")
    repeat = 1 if given.small else given.repeat
    trees = [ROOT, *([given.old.resolve()] if given.old else [])]
    [(bare, _)] = least(["-c", "pass"], [ROOT], repeat)
    print(f"python -c pass: {bare:.3f} s")
    for name, arguments in COMMANDS.items():
        (taken, work), *old = least(["-m", "cvfp_cli", *arguments], trees, repeat)
        ratio = "".join(
            f"; processor {work:.3f} s, old {was:.3f} s, ratio {work / was:.2f}" for _, was in old
        )
        print(f"{name}: {taken:.3f} s, {taken - bare:.3f} s more than a bare interpreter{ratio}", flush=True)


if __name__ == "__main__":
    main()
