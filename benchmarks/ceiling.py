"""What torch itself reaches on this device: the ceiling beside every rate that the programs here print."""

import time

import torch


def ceiling(device: str, precision: str, small: bool = False) -> float:
    """Operations a second of a large square product in this precision, the best of six; ``small`` takes no time."""
    size = 512 if small else 8192 if device == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(4):
            a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 4 * 2 * size**3 / (time.perf_counter() - began))
    torch.set_float32_matmul_precision("highest")
    return best
