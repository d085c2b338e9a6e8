"""Training that takes its time or goes wrong, for workers in other processes: they import it from here."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sweep_fakes import fake_run, sweep_into, tiny_recipe

from cvfp_cli.errors import WorkError
from cvfp_cli.sweeps.executors.processes import ProcessExecutor
from cvfp_cli.sweeps.plan import Shard
from cvfp_cli.sweeps.work import Keeping

STEP_SECONDS = 0.03


def slow_run(config: Any, data: Any, execution: Any, progress: Callable[[Any], None], **named: Any) -> Any:
    """The usual figures, so slowly that there is time to be killed."""

    def advanced(event: Any) -> None:
        time.sleep(STEP_SECONDS)
        progress(event)

    return fake_run(config, data, execution, progress=advanced, **named)


def faulty_run(config: Any, data: Any, execution: Any, checkpoint: Any, **named: Any) -> Any:
    """Of the smallest size, one configuration kills its process each time, one hangs once, one breaks its card once."""
    once = checkpoint._path.with_name("tried")
    if len(data.train_ids) == 24:
        if config.model.name == "1L_8d_1tok":
            os.kill(os.getpid(), signal.SIGKILL)
        if config.model.name == "2L_8d_1tok" and not once.exists():
            once.touch()
            time.sleep(600)
        if config.model.name == "1L_8d_2tok" and not once.exists():
            once.touch()
            raise RuntimeError("CUDA error: uncorrectable ECC error")
        if config.model.name == "2L_8d_2tok":
            raise WorkError("the device is full")
    return fake_run(config, data, execution, checkpoint=checkpoint, **named)


def broken_run(*arguments: Any, **named: Any) -> Any:
    """A bug."""
    raise KeyError("no such thing")


def shard(folder: Path, number: int, of: int) -> None:
    """One shard of a sweep that takes its time."""

    def noted_run(config: Any, data: Any, *rest: Any, **named: Any) -> Any:
        with (folder.parent / "trained").open("a") as file:
            file.write(f"{config.model.name} {len(data.train_ids)}\n")
        return slow_run(config, data, *rest, **named)

    sweep_into(folder, tiny_recipe(), run=noted_run, shard=Shard(number, of))


def sweep(folder: Path, kind: str, *, parallel: bool) -> None:
    """A sweep to be killed; ``real`` trains, ``fake`` takes its time and no more."""
    run: Any = slow_run if parallel else fake_run
    keeping = Keeping()
    if kind == "real":
        import torch

        from cvfp_cli.core.experiment import run_experiment

        torch.set_num_threads(1)
        run, keeping = run_experiment, Keeping(seconds_between=0.0)
    more = {"executor": partial(ProcessExecutor, devices=("cpu", "cpu"))} if parallel else {}
    sweep_into(folder, tiny_recipe(), run=run, keeping=keeping, **more)
