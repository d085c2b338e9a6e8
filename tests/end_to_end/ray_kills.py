"""Kill workers, a node or the parent of a sweep on a Ray cluster of two nodes, and compare with the serial summary.

As a program it prints how many kills it tried: ``python tests/end_to_end/ray_kills.py 20`` for 20 at moments and of
victims drawn at random.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # for kill
sys.path.insert(0, str(Path(__file__).parents[1] / "sweeps"))  # for sweep_fakes

import ray
import torch
from faulty_runs import slow_run
from kill import differences, figures
from ray.cluster_utils import Cluster
from ray_actors import actors_of
from sweep_fakes import Recorder, read, tiny_recipe

from cvfp_cli.core.config import Execution
from cvfp_cli.core.device import describe_environment
from cvfp_cli.results import ResultsStore
from cvfp_cli.sweeps.executors.base import ExecutorMaker
from cvfp_cli.sweeps.executors.ray import RayExecutor, connect
from cvfp_cli.sweeps.executors.serial import SerialExecutor
from cvfp_cli.sweeps.plan import make_plan
from cvfp_cli.sweeps.session import carry_out
from cvfp_cli.sweeps.work import Keeping

EXECUTION = Execution(threads=1)
STORE_BYTES = 80 * 2**20
# Of a cluster with nodes that come and go: a lost one is noticed within seconds.
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_failure_threshold": 3,
}


def sweep(folder: Path, executor: ExecutorMaker = RayExecutor, *, real: bool = True) -> None:
    """The sweep under test: six runs of half a second each; ``real`` ones of the core, with all their weights."""
    more = {"phase2__epochs": 40, "phase2__patience": 40, "phase1__max_iterations": 20} if real else {}
    recipe = tiny_recipe(grid__layers=[1], **more)
    store = ResultsStore(folder)
    plan = make_plan(recipe, read(recipe), EXECUTION, store, fresh=False, notify=print)
    carry_out(
        plan,
        store,
        run=None if real else slow_run,
        environment=describe_environment(EXECUTION),
        watchers=lambda held: Recorder(),
        warn=print,
        keeping=Keeping(weights=True, seconds_between=0.0) if real else Keeping(),
        command="cvfp sweep",
        executor=executor,
    )


def without_node(folder: Path) -> dict[str, Any]:
    """The figures of a summary; a serial one names no node."""
    found = figures(folder)
    for environment in found["environments"]:
        environment.pop("node", None)
    return found


class Trials:
    """Two nodes of one worker each, the serial sweep's summary, and any number of broken sweeps held against it."""

    def __init__(self, folder: Path, *, real: bool) -> None:
        torch.set_num_threads(1)
        self.sweep = partial(sweep, real=real)
        self.real = real
        self.folder = folder
        self.kills = 0
        self.sweep(folder / "serial", SerialExecutor)
        self.expected = without_node(folder / "serial")
        # What a worker needs to read the tests' stand-ins.
        known = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:2], *filter(None, [known])])
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
                "_system_config": QUICK,
            },
        )
        connect(self.cluster.address)  # while there is one node, since the other one is to be lost
        self.node = self._add_node()
        began = time.monotonic()
        self.sweep(folder / "whole")
        self.seconds = time.monotonic() - began
        self.check(folder / "whole")

    def close(self) -> None:
        """End the cluster."""
        ray.shutdown()
        self.cluster.shutdown()

    def _add_node(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)

    def check(self, folder: Path) -> None:
        """Hold a finished sweep against the serial one."""
        found = without_node(folder)
        assert found == self.expected, f"{folder}: {list(differences(self.expected, found))}"
        assert [path.name for path in folder.rglob("*.tmp")] == []
        assert [path.name for path in folder.rglob("checkpoint.pt*")] == []

    def worker(self, share: float, draw: random.Random) -> None:
        """Kill a worker at this share of a sweep's time; the sweep goes on."""

        def kill() -> None:
            os.kill(draw.choice(actors_of(self.cluster)), signal.SIGKILL)

        self._broken(share, kill)

    def lost_node(self, share: float, draw: random.Random) -> None:
        """Kill a node, with its worker; the sweep goes on with the other one."""
        self._broken(share, lambda: self.cluster.remove_node(self.node, allow_graceful=False))
        self.node = self._add_node()

    def parent(self, share: float, draw: random.Random) -> None:
        """Kill the parent; its workers end, and the same sweep again goes on from there."""

        def broken(folder: Path) -> bool:
            kind = "--real" if self.real else "--fake"
            command = [sys.executable, __file__, kind, str(folder), self.cluster.address]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
                while not folder.exists():  # what it imports takes as long as the sweep
                    time.sleep(0.05)
                    assert child.poll() is None
                time.sleep(share * self.seconds)
                child.kill()
            until = time.monotonic() + 20
            while actors_of(self.cluster):
                assert time.monotonic() < until, "workers left behind"
                time.sleep(0.1)
            self.sweep(folder)
            return child.returncode == -signal.SIGKILL

        self._until_killed(broken)

    def _broken(self, share: float, kill: Callable[[], None]) -> None:
        def broken(folder: Path) -> bool:
            until, ended = time.monotonic() + share * self.seconds, threading.Event()

            def wait_and_kill() -> bool:
                while time.monotonic() < until or not actors_of(self.cluster):
                    if ended.wait(0.02):
                        return False
                kill()
                return True

            with ThreadPoolExecutor() as pool:
                killed = pool.submit(wait_and_kill)
                try:
                    self.sweep(folder)
                finally:
                    ended.set()
                return killed.result()

        self._until_killed(broken)

    def _until_killed(self, broken: Callable[[Path], bool]) -> None:
        """Check one sweep that was killed; one that has ended before tells that a sweep takes less time by now."""
        for _ in range(8):
            folder = Path(tempfile.mkdtemp(dir=self.folder)) / "out"
            killed = broken(folder)
            self.check(folder)
            if killed:
                self.kills += 1
                return
            self.seconds *= 0.7
        raise AssertionError("each sweep had ended before it was to be killed")


def main() -> None:
    """Kill as often as the command line says, and print the count."""
    if sys.argv[1].startswith("--"):
        torch.set_num_threads(1)
        connect(sys.argv[3])
        sweep(Path(sys.argv[2]), real=sys.argv[1] == "--real")
        return
    draw = random.Random(20261127)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), real=True)
        try:
            for number in range(int(sys.argv[1])):
                kind = (trials.worker, trials.lost_node, trials.parent)[number % 3]
                began = time.monotonic()
                kind(0.1 + 0.8 * draw.random(), draw)
                print(f"{kind.__name__}: {time.monotonic() - began:.1f} s", flush=True)
            print(
                f"{trials.kills} kills, every summary equal to the serial one; {trials.seconds:.1f} s undisturbed"
            )
        finally:
            trials.close()


if __name__ == "__main__":
    main()
