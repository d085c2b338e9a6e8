"""Names of devices: what there is, what there is not, and how many of it."""

import pytest
import torch

from cvfp_cli.core.device import resolve_device, resolve_precision
from cvfp_cli.errors import InputError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("name", "device"), [("auto", "cuda"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_a_device_that_is_there(name: str, device: str) -> None:
    assert resolve_device(name) == device


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cuda:2", "this machine has 2 cuda devices, counted from 0"),
        ("cpu:1", "this machine has 1 cpu device, counted from 0"),
        ("cuda:x", "unknown device"),
        ("cuda:", "unknown device"),
        ("cuda:" + "9" * 5000, "unknown device"),
        ("tpu", "unknown device"),
    ],
)
def test_a_device_that_is_not(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        resolve_device(name)


def test_no_device_falls_back_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="finds no cuda device"):
        resolve_device("cuda")


def test_precisions() -> None:
    assert resolve_precision("cuda:1", None) == "bf16"
    assert resolve_precision("cpu", None) == "float32"
    with pytest.raises(InputError, match="needs an NVIDIA GPU"):
        resolve_precision("cpu", "tf32")
