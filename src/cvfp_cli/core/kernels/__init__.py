"""Triton kernels for NVIDIA devices, where passes over memory and not arithmetic would set the pace.

``head`` is the cross-entropy, ``layer`` what follows a layer's product, ``phase1`` noise, loss and gradient of the
fixed-point training. Beside each function stands the same by torch's own operators, as ``plain_…``: what the tests
compare it with (of the random numbers as well), and in ``phase1`` what other devices run. Triton comes with torch's CUDA builds on Linux; where it is
missing, or on other devices, the torch path is taken and recorded.
"""

from importlib.util import find_spec

import torch

PRESENT = find_spec("triton") is not None


def usable(device: torch.device) -> bool:
    """Whether these kernels run on this device."""
    return PRESENT and device.type == "cuda"
