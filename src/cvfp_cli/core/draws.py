"""Random numbers that depend on (seed, iteration, token) or (seed, epoch, step) alone.

Those of tokens are drawn in fixed blocks, each from a generator seeded for that block, so neither the pieces a
run is cut into nor the place where it was resumed can change a figure. Devices draw differently.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

BLOCK = 4096


def seed_of(*key: int | str) -> int:
    """A 63-bit seed that is a function of ``key`` alone."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seeded(device: torch.device, *key: int | str) -> torch.Generator:
    """A generator whose stream is a function of ``key`` alone."""
    return torch.Generator(device=device).manual_seed(seed_of(*key))


def normal_rows(key: tuple[int | str, ...], start: int, stop: int, out: Tensor, deviation: float) -> Tensor:
    """Fill ``out`` (stop − start, D) with the N(0, deviation²) rows of tokens ``start`` … ``stop`` − 1."""
    starts = range(start // BLOCK * BLOCK, stop, BLOCK)

    def fill(first: int) -> None:
        generator = seeded(out.device, *key, first // BLOCK)
        low, high = max(start, first), min(stop, first + BLOCK)
        if (low, high) == (first, first + BLOCK):
            out[low - start : high - start].normal_(0.0, deviation, generator=generator)
        else:
            rows = torch.empty(BLOCK, out.shape[1], dtype=out.dtype, device=out.device)
            rows.normal_(0.0, deviation, generator=generator)
            out[low - start : high - start] = rows[low - first : high - first]

    # A CPU draws on one thread a call, so blocks are given to as many threads as torch may use.
    if out.device.type == "cpu" and len(starts) > 1 and torch.get_num_threads() > 1:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(fill, starts))
    else:
        for first in starts:
            fill(first)
    return out


def dropout_factors(key: tuple[int | str, ...], out: Tensor, left_out: float) -> Tensor:
    """Fill ``out`` with the factors of dropout: 0 for a share ``left_out``, and for the others what keeps the mean."""
    kept = 1 - left_out
    return out.bernoulli_(kept, generator=seeded(out.device, *key)).div_(kept)
