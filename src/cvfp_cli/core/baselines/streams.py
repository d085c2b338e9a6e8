"""A token stream as a network reads it: pieces side by side, window after window, or windows that overlap."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Tokens that go through a network at once.

    Attributes:
        inputs: (pieces, T). targets: the token after each of them, (pieces, T).
        counted: which targets there are and count, (pieces, T).
    """

    inputs: Tensor
    targets: Tensor
    counted: Tensor


def side_by_side(ids: Tensor, pieces: int, width: int, first: int) -> Iterator[Window]:
    """The stream cut into equal pieces, read at once; every target comes once.

    Args:
        ids: (N,). pieces: how many; fewer where the stream is shorter.
        width: tokens of a window; first: those of the first one, 1 to ``width``, so that borders can move.
    """
    targets = len(ids) - 1
    pieces = min(pieces, targets)
    length = -(-targets // pieces)
    pieces = -(-targets // length)
    padded = torch.nn.functional.pad(ids, (0, pieces * length + 1 - len(ids)))
    inputs, wanted = padded[:-1].view(pieces, length), padded[1:].view(pieces, length)
    counted = torch.arange(pieces * length, device=ids.device).view(pieces, length) < targets
    start = 0
    stop = min(first, length)
    while start < length:
        at = slice(start, stop)
        yield Window(inputs[:, at], wanted[:, at], counted[:, at])
        start, stop = stop, min(stop + width, length)


def overlapping(ids: Tensor, width: int, at_once: int) -> Iterator[Window]:
    """Windows that each begin half a window after the last; a target counts in the window where most stands before it.

    So every target but the stream's first ones is predicted from at least half a window.

    Args:
        ids: (N,). at_once: windows in one piece.
    """
    targets = len(ids) - 1
    step = width - width // 2
    starts = range(0, max(1, targets - width + step), step)
    offsets = torch.arange(width, device=ids.device)
    for begin in range(0, len(starts), at_once):
        rows = torch.tensor(starts[begin : begin + at_once], device=ids.device)[:, None]
        places = rows + offsets
        counted = (places < targets) & ((offsets >= width - step) | (rows == 0))
        places = places.clamp_max(targets - 1)
        yield Window(ids[places], ids[places + 1], counted)
