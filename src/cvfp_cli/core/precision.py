"""Which arithmetic the large matrix products use, and nothing else does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from cvfp_cli.core.config import Precision


@dataclass(frozen=True)
class Arithmetic:
    """``float32`` throughout, ``tf32`` products (NVIDIA), or ``bf16`` products with float32 sums and weights."""

    device: str
    precision: Precision = "float32"

    @contextmanager
    def products(self) -> Iterator[None]:
        """Run the block's products in this precision; restores what was set before."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        try:
            with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
                yield
        finally:
            torch.set_float32_matmul_precision(before)
