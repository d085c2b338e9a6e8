"""The weights that a run keeps beside its figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from cvfp_cli.errors import InputError

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "model.safetensors"


def read_weights(folder: str) -> "dict[str, torch.Tensor]":
    """``context.*``, ``token.*`` and ``head.*`` of a finished run, by its folder or its file of weights.

    Raises:
        InputError: there is no such file, or it holds no weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder)
    path = path / WEIGHTS_FILE if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"{folder} holds no {WEIGHTS_FILE}.",
            hint="Name the folder of one finished run (runs/NAME): cvfp train keeps weights, a sweep with --save-models.",
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as problem:
        raise InputError(f"{path} cannot be read as weights: {problem}.") from None
