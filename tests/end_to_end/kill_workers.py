"""Kill workers and parents of a sweep in two processes, run it again, and compare its summary with a serial one's.

As a program it prints how many kills it tried: ``python tests/end_to_end/kill_workers.py 40`` for so many, half of
workers and half of parents, at moments drawn uniformly over the sweep's time, trained by the real core.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sweeps"))  # for faulty_runs

import faulty_runs
from kill import differences, figures

CODE_INTERRUPTED = 130
# Given as -c, so that the workers load no more than they need.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import faulty_runs
from pathlib import Path
try:
    faulty_runs.sweep(Path(sys.argv[2]), sys.argv[3], parallel=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


class Trials:
    """A serial sweep, and any number of broken parallel ones held against it."""

    def __init__(self, folder: Path, kind: str = "fake") -> None:
        self.folder = folder
        self.kind = kind
        self.kills = {"worker": 0, "parent": 0}
        faulty_runs.sweep(folder / "whole", kind, parallel=False)
        self.expected = figures(folder / "whole")

    def start(self, out: Path) -> "subprocess.Popen[bytes]":
        """The sweep in a process of its own, at the head of a group as a terminal's are."""
        beside = str(Path(faulty_runs.__file__).parent)
        words = [sys.executable, "-c", PROGRAM, beside, str(out), self.kind]
        return subprocess.Popen(words, start_new_session=True)

    def kill_worker(self, parent: "subprocess.Popen[bytes]", draw: random.Random) -> bool:
        """Kill one of the sweep's workers, if it has any."""
        workers = workers_of(parent.pid)
        if not workers:
            return False
        os.kill(draw.choice(workers), signal.SIGKILL)
        self.kills["worker"] += 1
        return True

    def kill_parent(self, parent: "subprocess.Popen[bytes]") -> None:
        """Kill the sweep itself; its workers notice and end."""
        workers = workers_of(parent.pid)
        parent.kill()
        parent.wait()
        self.kills["parent"] += 1
        assert_gone(workers)

    def compare(self, out: Path) -> None:
        """Hold the finished sweep against the serial one."""
        found = figures(out)
        assert found == self.expected, f"{out}: {list(differences(self.expected, found))}"
        assert [path.name for path in out.rglob("*.tmp")] == []
        assert [path.name for path in out.rglob("checkpoint.pt*")] == []


def workers_of(parent: int) -> list[int]:
    """The processes that a sweep has started for its runs."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except OSError:
        return []


def assert_gone(pids: list[int], seconds: float = 30.0) -> None:
    """Wait until none of these processes is left."""
    limit = time.monotonic() + seconds
    while left := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < limit, f"workers {left} outlive their parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> None:
    """Kill as often as the command line says, and print the count."""
    wanted = int([*sys.argv[1:], "40"][0])
    draw = random.Random(20251130)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), "real")
        out = Path(tempfile.mkdtemp(dir=folder)) / "out"
        began = time.monotonic()
        assert trials.start(out).wait() == 0
        trials.compare(out)
        seconds = time.monotonic() - began
        while sum(trials.kills.values()) < wanted:
            out = Path(tempfile.mkdtemp(dir=folder)) / "out"
            parent = trials.start(out)
            time.sleep(draw.random() * seconds)
            if parent.poll() is None:
                if trials.kills["parent"] < trials.kills["worker"]:
                    trials.kill_parent(parent)
                    parent = trials.start(out)
                else:
                    trials.kill_worker(parent, draw)
            assert parent.wait() == 0
            trials.compare(out)
            print(trials.kills, flush=True)
    print(f"every summary equal to the serial one; {seconds:.1f} s without a kill")


if __name__ == "__main__":
    main()
