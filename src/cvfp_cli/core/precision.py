"""Which arithmetic the large matrix products use, and nothing else does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from cvfp_cli.core.config import Precision


@dataclass(frozen=True)
class Arithmetic:
    """``float32`` throughout, ``tf32`` products (NVIDIA), or ``bf16`` products with float32 sums and weights.

    Products in bf16 belong to phase 2: phase 1 decides convergence by small changes of contexts, so there ``bf16``
    means TF32 on NVIDIA devices and float32 elsewhere.
    """

    device: str
    precision: Precision = "float32"

    def for_phase1(self) -> "Arithmetic":
        """The arithmetic that this precision means for phase 1."""
        if self.precision != "bf16":
            return self
        return Arithmetic(self.device, "tf32" if self.device == "cuda" else "float32")

    def product_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype that factors of a large product are cast to."""
        return torch.bfloat16 if self.precision == "bf16" else dtype

    @contextmanager
    def products(self) -> Iterator[None]:
        """Run products in this precision; restores what was set before."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        try:
            with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
                yield
        finally:
            torch.set_float32_matmul_precision(before)
