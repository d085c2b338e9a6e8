"""Ctrl-C and SIGTERM arrive between steps, never within a write."""

import os
import signal

import pytest

from cvfp_cli.sweeps.interrupt import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_an_interrupt(number: int) -> None:
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_shielded_block_ends_before_the_interrupt_does_anything(number: int) -> None:
    done = []

    def write(interrupts: Interrupts) -> None:
        with interrupts.shield():
            with interrupts.shield():
                os.kill(os.getpid(), number)
                done.append("inner")
            done.append("outer")

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            write(interrupts)
        with interrupts.shield():
            done.append("later")
    assert done == ["inner", "outer", "later"]


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
