"""The contexts of a stream: on the device, or partly in the host's memory and moved through it in pieces.

Ten million tokens of 768 components take 30.7 GB in float32. Where a device cannot hold them, the last rows stay on
the host. They pass through three buffers: while one is computed on, the next is filled and the last is written back,
each by a copy engine of its own. Where a row lies changes no figure, not even its last bit.
"""

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cvfp_cli.core.memory import BUFFERS
from cvfp_cli.errors import WorkError


class Contexts:
    """(N + 1, D) contexts; row t + 1 is the one after token t, row 0 stands for the one before token 0.

    Args:
        rows: N + 1.
        like: dtype and device; its last dimension is D.
        device_rows: how many rows stay on the device; the rest is kept on the host. None for all.
    """

    def __init__(self, rows: int, like: Tensor, device_rows: int | None = None) -> None:
        near = rows if device_rows is None else min(device_rows, rows)
        width = like.shape[-1]
        self._near = like.new_zeros(near, width)
        self._far = torch.empty(rows - near, width, dtype=like.dtype)
        self._lanes: _Lanes | None = None
        if len(self._far) and like.is_cuda:
            self._lanes = _Lanes(like.device)
            weakref.finalize(self, _unpin, _pinned(self._far))

    @classmethod
    def of(cls, tensor: Tensor) -> "Contexts":
        """These rows (N + 1, D), where they are."""
        made = cls(0, tensor)
        made._near = tensor
        return made

    def __len__(self) -> int:
        return len(self._near) + len(self._far)

    @property
    def width(self) -> int:
        """D."""
        return self._near.shape[1]

    @property
    def device(self) -> torch.device:
        """Where rows are computed with."""
        return self._near.device

    @property
    def device_rows(self) -> int:
        """How many rows the device holds; the others are on the host."""
        return len(self._near)

    def parts(self) -> list[Tensor]:
        """All rows in one or two tensors, for a checkpoint: the live ones."""
        if self._lanes:
            torch.cuda.synchronize(self.device)
        return [part for part in (self._near, self._far) if len(part)]

    def read(self, start: int, stop: int) -> Tensor:
        """Rows ``start`` … ``stop`` − 1 on the device, (n, D): a view where the device holds them, else a copy."""
        near = len(self._near)
        if stop <= near:
            return self._near[start:stop]
        rows = self._near.new_empty(stop - start, self.width)
        self._fetch(rows, start)
        return rows

    def write(self, start: int, rows: Tensor, *, non_blocking: bool = False) -> None:
        """Set rows from ``start`` on to ``rows`` (n, D), which may lie on either side.

        Args:
            non_blocking: what goes to the host is only put into the order of the device's current stream.
        """
        cut, at = self._cut(start, len(rows))
        self._near[start : start + cut] = rows[:cut]
        self._far[at : at + len(rows) - cut].copy_(rows[cut:], non_blocking=non_blocking)

    def take(self, rows: Tensor) -> Tensor:
        """These rows on the device: (n,) -> (n, D)."""
        near = len(self._near)
        if not len(self._far):
            return self._near[rows.to(self.device)]
        taken = self._near.new_empty(len(rows), self.width)
        far = (rows >= near).cpu()
        rows = rows.cpu()
        taken[(~far).to(self.device)] = self._near[rows[~far].to(self.device)]
        taken[far.to(self.device)] = self._far[rows[far] - near].to(self.device)
        return taken

    def pieces(self, ranges: Sequence[tuple[int, int]], *, update: bool = False) -> Iterator[Tensor]:
        """The rows of each (start, stop) in turn, on the device, (n, D).

        Use each piece before the next is asked for: its memory may be filled with other rows then.

        Args:
            ranges: disjoint.
            update: what a piece holds when the next one is asked for is kept; without it, do not write to pieces.
        """
        near = len(self._near)
        inside = next((i for i, (_, stop) in enumerate(ranges) if stop > near), len(ranges))
        yield from (self._near[start:stop] for start, stop in ranges[:inside])
        if inside == len(ranges):
            return
        passing = self._passing_overlapped if self._lanes else self._passing
        yield from passing(ranges[inside:], update)

    def _passing(self, ranges: Sequence[tuple[int, int]], update: bool) -> Iterator[Tensor]:
        for start, stop in ranges:
            rows = self.read(start, stop)
            yield rows
            if update:
                self.write(start, rows)

    def _passing_overlapped(self, ranges: Sequence[tuple[int, int]], update: bool) -> Iterator[Tensor]:
        """``_passing`` with the next piece under way to the device while the last one is under way to the host."""
        lanes = self._lanes
        assert lanes is not None
        most = max(stop - start for start, stop in ranges)
        buffers = [self._near.new_empty(most, self.width) for _ in range(BUFFERS)]
        compute = torch.cuda.current_stream(self.device)
        lanes.inward.wait_stream(compute)  # which has waited for all that was written back before
        free: list[torch.cuda.Event | None] = [None] * BUFFERS

        def fetch(number: int) -> Tensor:
            start, stop = ranges[number]
            rows = buffers[number % BUFFERS][: stop - start]
            with torch.cuda.stream(lanes.inward):
                if event := free[number % BUFFERS]:
                    lanes.inward.wait_event(event)
                self._fetch(rows, start)
            return rows

        coming = fetch(0)
        try:
            for number, (start, _) in enumerate(ranges):
                rows = coming
                compute.wait_stream(lanes.inward)
                if number + 1 < len(ranges):
                    coming = fetch(number + 1)
                yield rows
                last = compute
                if update:
                    last = lanes.outward
                    last.wait_stream(compute)
                    with torch.cuda.stream(last):
                        self.write(start, rows, non_blocking=True)
                free[number % BUFFERS] = last.record_event()
        finally:  # the buffers go back to the allocator, which knows of the compute stream alone
            compute.wait_stream(lanes.inward)
            compute.wait_stream(lanes.outward)

    def _fetch(self, into: Tensor, start: int) -> None:
        """Copy rows from ``start`` on into a tensor on the device, in the order of its current stream."""
        cut, at = self._cut(start, len(into))
        into[:cut] = self._near[start : start + cut]
        into[cut:].copy_(self._far[at : at + len(into) - cut], non_blocking=True)

    def _cut(self, start: int, count: int) -> tuple[int, int]:
        """Of ``count`` rows from ``start`` on: how many the device holds, and where on the host the others begin."""
        cut = min(max(len(self._near) - start, 0), count)
        return cut, max(start + cut - len(self._near), 0)


def _cudart() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]


def _pinned(memory: Tensor) -> int:
    """Lock memory in place, so that a device copies to and from it on its own; its address.

    Registered as it is: torch's own pinned memory is rounded up to a power of two.

    Raises:
        WorkError: the host cannot lock that much.
    """
    address = memory.data_ptr()
    failed = int(_cudart().cudaHostRegister(address, memory.nbytes, 0))
    if failed:
        raise WorkError(
            f"the host cannot lock {memory.nbytes / 2**30:.1f} GiB of memory for contexts (CUDA error {failed}).",
            hint="Use fewer samples or a smaller --context-dim, or close what else holds memory.",
        )
    return address


def _unpin(address: int) -> None:
    torch.cuda.synchronize()  # no copy may be under way
    _cudart().cudaHostUnregister(address)


class _Lanes:
    """Streams for the two directions, so that both copy engines work beside the computation."""

    def __init__(self, device: torch.device) -> None:
        self.inward = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.outward = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def ranges(low: int, high: int, size: int) -> list[tuple[int, int]]:
    """``low`` … ``high`` − 1 cut into pieces of ``size``, the last one shorter."""
    return [(start, min(start + size, high)) for start in range(low, high, size)]
