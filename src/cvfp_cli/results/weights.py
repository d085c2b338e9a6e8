"""The weights and the model folder that a run keeps beside its figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvfp_cli.errors import InputError
from cvfp_cli.results.jsontext import read_json, with_recovery

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "model.safetensors"
MODEL_CONFIG = "config.json"
TOKENIZER_FILE = "tokenizer.json"

_HINT = (
    "Name the folder of one finished run (runs/NAME): cvfp train keeps weights, a sweep with --save-models."
)
_AGAIN = "Copy the folder again, or export the run again with cvfp export RUN FOLDER."


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
        raise InputError(f"{folder} holds no {WEIGHTS_FILE}.", hint=_HINT)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as problem:
        raise InputError(f"{path} cannot be read as weights: {problem}.") from None


def read_model_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a model folder; its ``cvfp`` says which run it is of.

    Raises:
        InputError: there is none, it is not of a model that cvfp trained, or what belongs to it is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(f"{folder} holds no {WEIGHTS_FILE}.", hint=_HINT)
    path = folder / MODEL_CONFIG
    if not path.is_file():
        raise InputError(
            f"{folder} holds weights, and no model of Transformers: {MODEL_CONFIG} is missing.",
            hint="Make one with cvfp export RUN FOLDER (an n-gram model has none).",
        )
    try:
        config = read_json(path)
    except InputError as problem:
        raise with_recovery(problem, possible=False) from None
    about = config.get("cvfp") if isinstance(config, dict) else None
    if not isinstance(about, dict) or not isinstance(about.get("kind"), str):
        raise InputError(f"{path} is of no model that cvfp trained.")
    if not (folder / TOKENIZER_FILE).is_file():
        raise InputError(f"{folder} is not whole: {TOKENIZER_FILE} is missing.", hint=_AGAIN)
    try:
        with safe_open(folder / WEIGHTS_FILE, "np"):
            pass  # its header, and that the file is as long as that says
    except (SafetensorError, OSError) as problem:
        raise InputError(
            f"{folder / WEIGHTS_FILE} cannot be read as weights: {problem}.", hint=_AGAIN
        ) from None
    return dict(config)
