"""What a command costs before it does anything: each ``--help`` and the commands that read results, against a bare
interpreter.

    python benchmarks/startup.py [--repeat 9] [--small]

Every time is the least of so many fresh processes; the first of each is not counted.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "tests" / "results" / "legacy" / "detailed_results.json"
COMMANDS = {
    "cvfp --help": ["--help"],
    "cvfp sweep --help": ["sweep", "--help"],
    "cvfp fit": ["fit", str(RESULTS), "--format", "json"],
    "cvfp report": ["report", str(RESULTS)],
}


def least(command: list[str], repeat: int) -> float:
    """Seconds of the quickest of ``repeat`` runs."""
    times = []
    for _ in range(repeat + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    repeat = 1 if given.small else given.repeat
    bare = least([sys.executable, "-c", "pass"], repeat)
    print(f"python -c pass: {bare:.3f} s")
    for name, arguments in COMMANDS.items():
        taken = least([sys.executable, "-m", "cvfp_cli", *arguments], repeat)
        print(f"{name}: {taken:.3f} s, {taken - bare:.3f} s more than a bare interpreter", flush=True)


if __name__ == "__main__":
    main()
