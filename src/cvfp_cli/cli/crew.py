"""``--executor``, ``--jobs``, ``--devices``: who runs a sweep's jobs, and where."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cvfp_cli.cli.choices import DEVICES, EXECUTORS
from cvfp_cli.cli.options import one_of, words_of
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Crew, Machine
from cvfp_cli.errors import InputError, one_line

if TYPE_CHECKING:
    from cvfp_cli.sweeps.executors.base import ExecutorMaker
    from cvfp_cli.sweeps.plan import Shard


def check_device(name: str, option: str) -> str:
    """The kind of a device, as far as its name tells.

    Raises:
        InputError: there is no such kind, or its number is none.
    """
    kind, colon, number = name.partition(":")
    one_of(kind, DEVICES, option)
    if colon and not number.isdecimal():
        raise InputError(f"{option}: '{one_line(name, 40)}' has no device number.", hint="Write cuda:0.")
    return kind


def check_crew(crew: Crew, machine: Machine, problems: Problems) -> None:
    """Check the options as far as that needs no device."""
    problems.check_words(("--executor", crew.executor, EXECUTORS))
    with problems.collect():
        if crew.jobs is not None and crew.jobs != "auto" and not (crew.jobs.isdecimal() and int(crew.jobs)):
            raise InputError(
                f"--jobs: '{one_line(crew.jobs, 40)}' is no number of runs.", hint="Write 2, or auto."
            )
    with problems.collect():
        if crew.devices is not None and machine.device != "auto":
            raise InputError("--device and --devices exclude each other.", hint="Use --devices alone.")
    with problems.collect():
        names = words_of(crew.devices)
        if len({check_device(name, "--devices") for name in names}) > 1:
            raise InputError(
                f"--devices: {', '.join(names)} are not of one kind, so that figures would not compare.",
                hint="Name cards of one kind.",
            )
    with problems.collect():
        if crew.run_timeout is not None and not crew.run_timeout > 0:
            raise InputError(f"--run-timeout: {crew.run_timeout:g} is no time; it is in seconds.")
    with problems.collect():
        _ = crew.share
    with problems.collect():
        if crew.name == "ray" and machine.device not in ("auto", "cpu", "cuda"):
            raise InputError(
                f"--executor ray: which card is up to Ray, so that --device is cuda or cpu, not {one_line(machine.device, 40)}.",
                hint="To bound the runs at a time use --jobs.",
            )
    several, ray = ("processes", "ray"), ("ray",)
    for option, value, executors in (
        ("--jobs", crew.jobs, several),
        ("--run-timeout", crew.run_timeout, several),
        ("--devices", crew.devices, ("processes",)),
        ("--ray-address", crew.ray_address, ray),
        ("--gpus-per-run", crew.gpus_per_run, ray),
        ("--mixed-devices", crew.mixed_devices or None, ray),
    ):
        with problems.collect():
            if value is not None and crew.name not in executors:
                raise InputError(
                    f"{option} is for --executor {' or '.join(executors)}.",
                    hint=f"Use --executor {executors[0]}.",
                )


def shard_of(crew: Crew) -> "Shard | None":
    """The part of the grid that ``--shard`` names.

    Raises:
        InputError: it names none.
    """
    from cvfp_cli.sweeps.plan import Shard

    if crew.shard is None:
        return None
    number, slash, of = crew.shard.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise InputError(
            f"--shard: '{one_line(crew.shard, 40)}' is no part of a grid.", hint="Write 1/4 to 4/4."
        )
    return Shard(int(number), int(of))


@dataclass(frozen=True)
class Team:
    """What the options came to.

    Attributes:
        maker: makes the executor.
        devices: the device of each worker; none where runs go one after the other in this process.
        threads: what ``--threads`` says, for the folder's record.
    """

    maker: "ExecutorMaker"
    devices: tuple[str, ...] = ()
    threads: int | None = None

    @property
    def size(self) -> int:
        """Runs at a time."""
        return max(len(self.devices), 1)

    @property
    def sharing(self) -> int:
        """The most workers that have one device between them."""
        return max((self.devices.count(device) for device in self.devices), default=1)


def team_on_ray(crew: Crew, device: str, threads: int) -> tuple[Team, int]:
    """Who runs the jobs on the cluster that was joined, and how many of them share a machine at most.

    Raises:
        InputError: no machine has room for one.
    """
    from cvfp_cli.sweeps.executors.ray import Places, RayExecutor, rooms

    most = int(crew.jobs) if crew.jobs and crew.jobs != "auto" else None
    places = Places(crew.share, most, crew.mixed_devices)
    found = rooms(device, threads, crew.share or 1.0)
    count = min(sum(found), most or sum(found))
    maker = partial(RayExecutor, places=places, run_timeout=crew.run_timeout)
    return Team(maker, (device,) * count), max(found)


def team_of(crew: Crew, device: str, threads: int | None) -> Team:
    """Who runs the jobs.

    Args:
        device: what ``--device`` came to. threads: of a run, where that is given.

    Raises:
        InputError: a device that is not there, or ``auto`` where there is no telling.
    """
    if crew.name == "serial":
        from cvfp_cli.sweeps.executors.serial import SerialExecutor

        return Team(SerialExecutor)
    from cvfp_cli.sweeps.executors.processes import ProcessExecutor

    devices = _devices(crew, device, threads)
    return Team(partial(ProcessExecutor, devices=devices, run_timeout=crew.run_timeout), devices)


def _devices(crew: Crew, device: str, threads: int | None) -> tuple[str, ...]:
    """The device of each process."""
    import torch

    from cvfp_cli.core.device import resolve_device, visible_devices

    found = visible_devices(device)
    if crew.devices is not None:
        found = tuple(resolve_device(name, "--devices") for name in words_of(crew.devices))
    if crew.jobs is None:
        return found
    if crew.jobs != "auto":
        count = int(crew.jobs)
    elif found != ("cpu",):
        count = len(found)
    elif threads is not None:
        count = max(torch.get_num_threads() // threads, 1)
    else:
        raise InputError(
            "--jobs auto is one run a card, and there is none.", hint="Give a number, or --threads."
        )
    return tuple(found[number % len(found)] for number in range(count))
