"""Triton kernels for NVIDIA devices, where passes over memory and not arithmetic would set the pace.

They compute what the modules that call them compute with torch operations elsewhere: ``head`` the cross-entropy,
``layer`` what follows a layer's product, ``phase1`` noise, loss and gradient of the fixed-point training. Triton
comes with torch's CUDA builds on Linux; where it is missing, or on other devices, the torch path is taken and
recorded.
"""

from importlib.util import find_spec

import torch

PRESENT = find_spec("triton") is not None


def usable(device: torch.device) -> bool:
    """Whether these kernels run on this device."""
    return PRESENT and device.type == "cuda"
