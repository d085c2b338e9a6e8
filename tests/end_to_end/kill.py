"""Kill a real sweep, resume it, and compare its summary with an uninterrupted one's.

As a program it prints how many kills it tried: ``python tests/end_to_end/kill.py 50 20`` for 50 moments drawn
uniformly over the sweep's time and 20 aimed at writes.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "sweeps"))  # for sweep_fakes

import torch
from sweep_fakes import sweep_into, tiny_recipe

from cvfp_cli.core.experiment import run_experiment
from cvfp_cli.results import atomic, lock, read_results, store
from cvfp_cli.scaling import summary_fits
from cvfp_cli.sweeps import recording
from cvfp_cli.sweeps.work import Keeping

STEPS = ("open", "fsync", "replace", "flush_folder")


def sweep(folder: Path) -> None:
    """The sweep under test: two configurations at three sizes, trained by the real core, all weights kept."""
    recipe = tiny_recipe(grid__layers=[1])
    sweep_into(folder, recipe, run=run_experiment, keeping=Keeping(weights=True, seconds_between=0.0))


def in_child(work: Callable[[], None], *, kill_after: float | None = None) -> tuple[int, float]:
    """Run ``work`` in a forked process; returns the signal that ended it (0 for none) and how long it took."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError(f"the sweep ended with code {os.WEXITSTATUS(status)}")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, time.monotonic() - began


def killed_at_write(number: int, step: str) -> Callable[[Path], None]:
    """A sweep that kills itself at the ``number``-th write, before that step of it has been done."""

    def run(folder: Path) -> None:
        count = 0

        def die_or(real: Callable[..., Any]) -> Callable[..., Any]:
            def stand_in(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments)

            return stand_in

        if step == "open":
            write = atomic.write_atomic

            def torn(path: Path, data: bytes) -> None:
                nonlocal count
                count += 1
                if count == number:
                    path.with_name(f".{path.name}.{os.getpid()}.tmp").write_bytes(data[: len(data) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                write(path, data)

            for module in (store, lock, recording):
                module.write_atomic = torn  # type: ignore[attr-defined]
        elif step == "fsync":
            os.fsync = die_or(os.fsync)
        elif step == "replace":
            os.replace = die_or(os.replace)
        else:
            atomic._flush_folder = die_or(atomic._flush_folder)
        sweep(folder)

    return run


def figures(folder: Path) -> dict[str, Any]:
    """``summary.json`` less what says when, how fast, and with how much memory."""
    value: dict[str, Any] = json.loads((folder / "summary.json").read_bytes())
    del value["created"]
    for run in value["runs"]:
        del run["seconds"], run["stages"], run["peak_memory_bytes"]
    return value


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            yield from differences(expected.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif expected != found:
        yield f"{path}: {expected} became {found}"


class Trials:
    """An uninterrupted sweep, and any number of broken ones held against it."""

    def __init__(self, folder: Path) -> None:
        summary_fits(())  # every module is loaded before the first fork
        torch.set_num_threads(1)  # threads of the parent do not survive it
        self.folder = folder
        _, self.seconds = in_child(lambda: sweep(folder / "whole"))
        self.expected = figures(folder / "whole")
        self.kills = 0

    def after(self, share: float) -> None:
        """Kill at this share of the sweep's time, resume, compare.

        A sweep that ends before it is killed tells how long a sweep takes by now, and is tried again.
        """
        while True:
            broken = Path(tempfile.mkdtemp(dir=self.folder)) / "out"
            ended_by, seconds = in_child(partial(sweep, broken), kill_after=share * self.seconds)
            if ended_by == signal.SIGKILL:
                break
            self.seconds = 0.9 * min(seconds, self.seconds)
        self._compare(broken, ended_by)

    def at_write(self, number: int, step: str) -> None:
        """Kill within a write, resume, compare."""
        broken = Path(tempfile.mkdtemp(dir=self.folder)) / "out"
        run = killed_at_write(number, step)
        self._compare(broken, in_child(lambda: run(broken))[0])

    def _compare(self, broken: Path, ended_by: int) -> None:
        self.kills += ended_by == signal.SIGKILL
        if (broken / "summary.json").exists():
            read_results(broken)  # what a kill leaves behind can be read
        ended, _ = in_child(lambda: sweep(broken))
        assert ended == 0
        found = figures(broken)
        assert found == self.expected, f"{broken.name}: {list(differences(self.expected, found))}"
        assert [path.name for path in broken.rglob("*.tmp")] == []
        assert [path.name for path in broken.rglob("checkpoint.pt*")] == []


def main() -> None:
    """Kill as often as the command line says, and print the count."""
    uniform, writes = (int(word) for word in [*sys.argv[1:], "50", "20"][:2])
    draw = random.Random(20251130)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder))
        for _ in range(uniform):
            trials.after(draw.random())
        for index in range(writes):
            trials.at_write(draw.randrange(1, 24), STEPS[index % len(STEPS)])
        print(f"{trials.kills} kills, every summary equal to the uninterrupted one of {trials.seconds:.1f} s")


if __name__ == "__main__":
    main()
