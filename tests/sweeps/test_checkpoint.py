"""Checkpoints: whole or not there, used only by the same run, and never a reason to fail."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cvfp_cli.sweeps.checkpoint import CheckpointFile

STAMP = {"run": "abc", "device_name": "cpu"}


def opened(path: Path, warnings: list[str], **named: Any) -> CheckpointFile:
    return CheckpointFile(path, named.pop("stamp", STAMP), warn=warnings.append, seconds_between=0.0, **named)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.pt"
    state = {"contexts": torch.arange(6.0).reshape(2, 3), "log": [{"iteration": 1, "loss": None}], "slow": 0}
    opened(path, []).save(state)
    return path


def test_a_state_comes_back_as_it_was(saved: Path) -> None:
    warnings: list[str] = []
    state = opened(saved, warnings).load()
    assert state is not None
    assert torch.equal(state["contexts"], torch.arange(6.0).reshape(2, 3))
    assert state["log"] == [{"iteration": 1, "loss": None}]
    assert warnings == []
    assert sorted(path.name for path in saved.parent.iterdir()) == ["checkpoint.pt"]


def test_without_resume_or_without_a_file_there_is_nothing_to_load(saved: Path, tmp_path: Path) -> None:
    assert opened(saved, [], resume=False).load() is None
    assert opened(tmp_path / "none.pt", []).load() is None


@pytest.mark.parametrize(
    "stamp", [{"run": "other", "device_name": "cpu"}, {"run": "abc", "device_name": "cuda"}]
)
def test_another_run_s_or_machine_s_checkpoint_is_not_used(saved: Path, stamp: dict[str, str]) -> None:
    warnings: list[str] = []
    assert opened(saved, warnings, stamp=stamp).load() is None
    assert "other settings" in warnings[0]


def test_a_checkpoint_cut_at_any_byte_is_refused_with_one_warning(saved: Path) -> None:
    whole = saved.read_bytes()
    for end in range(0, len(whole), 97):
        saved.write_bytes(whole[:end])
        warnings: list[str] = []
        assert opened(saved, warnings).load() is None
        assert len(warnings) == 1


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + b"\x00" * 100, b"\x80\x04."])
def test_foreign_bytes_are_refused(saved: Path, content: bytes) -> None:
    saved.write_bytes(content)
    warnings: list[str] = []
    assert opened(saved, warnings).load() is None
    assert len(warnings) == 1


def test_code_in_a_checkpoint_is_never_run(saved: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (saved.parent / "touched",))

    torch.save({"stamp": STAMP, "state": Evil()}, saved)
    warnings: list[str] = []
    assert opened(saved, warnings).load() is None
    assert not (saved.parent / "touched").exists()
    assert len(warnings) == 1


def test_a_disk_that_is_full_costs_the_checkpoint_and_not_the_run(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    warnings: list[str] = []
    file = opened(saved, warnings)
    file.save({"slow": 1})
    assert saved.read_bytes() == before
    assert "No space left" in warnings[0]
    file.save({"slow": 1})
    assert len(warnings) == 1
    assert sorted(path.name for path in saved.parent.iterdir()) == ["checkpoint.pt"]


def test_saves_are_spaced_in_time(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    CheckpointFile(path, STAMP, warn=print, seconds_between=1000.0).save({"slow": 1})
    assert not path.exists()
    opened(path, []).save({"slow": 1})
    assert path.exists()
