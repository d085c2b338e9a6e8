"""Random numbers that depend on (seed, iteration, token) alone.

They are drawn in fixed blocks of tokens, each from a generator seeded for that block, so neither the pieces a
run is cut into nor the place where it was resumed can change a figure. Devices draw differently.
"""

import hashlib

import torch
from torch import Tensor

BLOCK = 4096


def seeded(device: torch.device, *key: int | str) -> torch.Generator:
    """A generator whose stream is a function of ``key`` alone."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    # Generators take 63-bit seeds on every device.
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest, "little") >> 1)


def normal_rows(key: tuple[int | str, ...], start: int, stop: int, out: Tensor, deviation: float) -> Tensor:
    """Fill ``out`` (stop − start, D) with the N(0, deviation²) rows of tokens ``start`` … ``stop`` − 1."""
    width = out.shape[1]
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        first = block * BLOCK
        generator = seeded(out.device, *key, block)
        low, high = max(start, first), min(stop, first + BLOCK)
        if (low, high) == (first, first + BLOCK):
            out[low - start : high - start].normal_(0.0, deviation, generator=generator)
        else:
            rows = torch.empty(BLOCK, width, dtype=out.dtype, device=out.device)
            rows.normal_(0.0, deviation, generator=generator)
            out[low - start : high - start] = rows[low - first : high - first]
    return out
