"""Which device runs an experiment, and what is recorded about it."""

import os
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path

import torch

from cvfp_cli import __version__
from cvfp_cli.core.config import Execution, Precision
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError

DEFAULT_PRECISION: dict[str, Precision] = {"cpu": "float32", "cuda": "bf16", "mps": "float32"}


def resolve_device(name: str, option: str = "--device") -> str:
    """Turn ``auto`` into the best device there is; check that a named one exists.

    Raises:
        InputError: the named device is not on this machine, or not that many of it. Nothing falls back to another.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if present[device])
    kind, numbered, index = name.partition(":")
    if kind not in present or (numbered and not re.fullmatch("[0-9]{1,4}", index)):
        raise InputError(f"{option} {name}: unknown device.", hint="Choose auto, cpu, cuda or mps.")
    if not present[kind]:
        raise InputError(
            f"{option} {name}: torch {torch.__version__} finds no {kind} device on this machine.",
            hint=f"Use {option} cpu, or leave {option} out, or install a torch build for this device.",
        )
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if numbered and int(index) >= count:
        raise InputError(
            f"{option} {name}: this machine has {counted(count, f'{kind} device')}, counted from 0.",
            hint=f"Use {option} {kind}.",
        )
    return name


def visible_devices(device: str) -> tuple[str, ...]:
    """Every card where ``device`` is NVIDIA's without a number, else that device alone."""
    if device != "cuda":
        return (device,)
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def resolve_precision(device: str, asked: Precision | None) -> Precision:
    """The asked-for precision, or the device's default.

    Raises:
        InputError: TF32 products exist on NVIDIA devices alone.
    """
    kind = device.split(":")[0]
    if asked is None:
        return DEFAULT_PRECISION[kind]
    if asked == "tf32" and kind != "cuda":
        raise InputError(
            f"--precision tf32 needs an NVIDIA GPU; the device is {kind}.", hint="Use float32 or bf16."
        )
    return asked


def describe_environment(execution: Execution) -> dict[str, object]:
    """Versions, device and its memory, dtype and threads, for ``environments`` in the results."""
    driver = {}
    if execution.device.startswith("cuda"):
        name: str = torch.cuda.get_device_properties(execution.device).name
        driver = {"driver": _driver()}
    else:
        name = platform.processor() or platform.machine()
    return {
        "cvfp": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": _version("numpy"),
        "platform": platform.platform(),
        "device": execution.device,
        "device_name": name,
        **driver,
        "device_memory_bytes": device_memory(execution.device),
        "dtype": "float32",
        "precision": execution.precision,
        "state_dtype": "float32",
        "memory_budget_bytes": execution.memory_bytes,
        "threads": execution.threads or torch.get_num_threads(),
        "cpu_count": os.cpu_count(),
    }


def peak_memory(device: str) -> int | None:
    """Most bytes held so far: allocated by torch on a GPU, resident in the process on a CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else resident * 1024


def float64_device(device: torch.device) -> torch.device:
    """Where sums in float64 of a device's tensors are kept: there, or on the CPU where the device has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def device_memory(device: str) -> int | None:
    """Bytes of memory that a device has: an NVIDIA card's own, else the host's; None where the system does not say."""
    if device.startswith("cuda"):
        total: int = torch.cuda.get_device_properties(device).total_memory
        return total
    return physical_memory()


def physical_memory() -> int | None:
    """Bytes of memory that the host has; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _driver() -> str | None:
    """The version of NVIDIA's driver; None where the system does not say."""
    with suppress(OSError):
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", Path("/proc/driver/nvidia/version").read_text())
        return found and found[0]
    return None


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
