"""Embedding tables that exist before training: a model's input embedding, a table in a file, or random rows."""

import json
import re
import tokenize
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.data import files, hub
from cvfp_cli.data.cache import Cache, content_hash, pack_texts, unpack_texts
from cvfp_cli.data.opening import read_whole
from cvfp_cli.data.ppmi import ROW_SCALE
from cvfp_cli.errors import InputError, first_line

Table = NDArray[np.float32]

RANDOM_SEED = 0

_MADE = re.compile(r"(ppmi|random):([0-9]{1,9})")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_LARGEST_SETTINGS = 2**26  # bytes of a config.json or an index
_MOST_PARAMETERS = 200_000  # tensors of a model that is laid out for the name of one
_SAVE_IT = "Save the table as .npy and name that file."


@dataclass(frozen=True)
class MadeTable:
    """A table that is made here: ``kind`` is ``ppmi`` or ``random``, ``width`` its E."""

    kind: str
    width: int


def made_table(name: str) -> MadeTable | None:
    """Read ``ppmi:WIDTH`` and ``random:WIDTH``; None for other names.

    Raises:
        InputError: the width is missing or 0.
    """
    if name.partition(":")[0] not in ("ppmi", "random"):
        return None
    match = _MADE.fullmatch(name)
    if match is None or int(match[2]) < 1:
        raise InputError(f"--embedding {name}: a width of at least 1 is needed.", hint="Write ppmi:256.")
    return MadeTable(match[1], int(match[2]))


def random_table(vocab_size: int, width: int) -> Table:
    """Independent normal entries, shape (vocab_size, width), with rows about as long as those of PPMI tables."""
    normal = np.random.default_rng(RANDOM_SEED).standard_normal((vocab_size, width), dtype=np.float32)
    return normal * np.float32(ROW_SCALE)


def read_table(name: str, cache: Cache, connection: hub.Hub) -> Table:
    """The table of a file, of a folder that holds a model, or of a model on the hub.

    Returns:
        float32, shape (rows, E), all entries finite.

    Raises:
        InputError: there is none of this name, or it is no table of finite floats.
    """
    path = files.existing(name)
    if path is None:
        if name.endswith((".npy", ".safetensors")) or not hub.is_hub_name(name):
            raise InputError(f"--embedding {name}: no such file or folder.")
        table = _model_table(name, lambda wanted: connection.model_files(name, wanted, "embedding"), cache)
    elif path.is_dir():
        table = _model_table(name, lambda wanted: path, cache)
    elif path.suffix == ".npy":
        table = _npy(path)
    elif path.suffix == ".safetensors":
        table = _safetensors(path, None)
    else:
        raise InputError(f"--embedding {name}: neither .npy nor .safetensors.")
    return _checked(table, name)


def _checked(table: NDArray[Any], name: str) -> Table:
    if table.ndim != 2 or 0 in table.shape:
        raise InputError(
            f"--embedding {name}: a table has two dimensions (V, E), this has shape {table.shape}."
        )
    if table.dtype.kind != "f":
        raise InputError(f"--embedding {name}: a table holds floats, this holds {table.dtype}.")
    with np.errstate(over="ignore"):  # what float32 cannot hold is found below
        result = np.array(table, dtype=np.float32, order="C")
    if not np.isfinite(result).all():
        row = int(np.flatnonzero(~np.isfinite(result).all(axis=1))[0])
        raise InputError(f"--embedding {name}: row {row} has an entry that is not finite.")
    return result


def _npy(path: Path) -> NDArray[Any]:
    try:
        # Mapped, so that a header that promises more than the file holds is refused before memory is asked for.
        table: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (
        OSError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        MemoryError,
        SyntaxError,
        tokenize.TokenError,
    ) as error:
        raise InputError(f"--embedding {path}: not a readable .npy file ({first_line(error)}).") from error
    return table


def _safetensors(path: Path, parameter: str | None) -> NDArray[Any]:
    """The tensor of this parameter name, or with None the file's only two-dimensional one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as opened:
            names = list(opened.keys())
            if parameter is None:
                tensor = _only_table({name: opened.get_slice(name).get_shape() for name in names}, path)
            else:
                tensor = _match(parameter, names, path)
            half = opened.get_slice(tensor).get_dtype() == "BF16"
            table: NDArray[Any] = np.empty(0) if half else opened.get_tensor(tensor)
        if half:  # NumPy has no bfloat16
            with safe_open(path, framework="pt") as opened:
                table = opened.get_tensor(tensor).float().numpy()
    except (SafetensorError, OSError, TypeError) as error:
        raise InputError(
            f"--embedding {path}: not a readable safetensors file ({first_line(error)})."
        ) from error
    return table


def _pickled(path: Path, parameter: str) -> NDArray[Any]:
    """The tensor of this parameter name in a PyTorch checkpoint, read without running any code in it."""
    import torch

    try:
        # Only an archive can be mapped; checkpoints of before 2020 are none.
        archive = zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
        tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
        names = [name for name in tensors if isinstance(name, str)]
    except Exception as error:  # whatever torch's unpickler makes of bytes from elsewhere
        raise InputError(f"--embedding {path}: not a readable checkpoint ({first_line(error)}).") from error
    table: NDArray[Any] = tensors[_match(parameter, names, path)].detach().float().numpy()
    return table


def _model_table(name: str, fetch: Callable[[Sequence[str]], Path], cache: Cache) -> NDArray[Any]:
    """The input embedding of a model in the hub's format, reading no other tensor.

    Args:
        name: as the user wrote it.
        fetch: gives the folder that holds the named files, those that exist.
        cache: keeps what the model class calls its input embedding.
    """
    folder = fetch(["config.json", *(f"{file}.index.json" for file in _WEIGHTS)])
    try:
        config = read_whole(folder / "config.json", _LARGEST_SETTINGS)
    except OSError as error:
        raise InputError(
            f"--embedding {name}: the folder has no readable config.json.", hint=_SAVE_IT
        ) from error
    key = {"config": content_hash(config)}
    found = cache.fetch("embedding-name", key, lambda: pack_texts([_input_embedding_name(folder, name)]))
    [parameter] = unpack_texts(found)
    for weights in _WEIGHTS:
        index = folder / f"{weights}.index.json"
        file = fetch([weights]) / weights
        if index.is_file():
            parts = _parts(index)
            part = parts[_match(parameter, list(parts), index)]
            file = fetch([part]) / part
        if file.is_file():
            return (
                _safetensors(file, parameter) if file.suffix == ".safetensors" else _pickled(file, parameter)
            )
    raise InputError(f"--embedding {name}: neither {' nor '.join(_WEIGHTS)} is there.", hint=_SAVE_IT)


def _parts(index: Path) -> dict[str, str]:
    """Which file of a checkpoint in parts holds which tensor; only names within the folder count."""
    try:
        found = json.loads(read_whole(index, _LARGEST_SETTINGS))["weight_map"]
        return {str(tensor): Path(str(part)).name for tensor, part in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"--embedding {index}: not a readable index of a checkpoint.", hint=_SAVE_IT
        ) from error


def _match(parameter: str, tensors: Sequence[str], file: Path) -> str:
    """The tensor that holds a parameter; a checkpoint may put the name of the model around it before its name."""
    for tensor in tensors:
        if tensor == parameter or tensor.endswith(f".{parameter}"):
            return tensor
    raise InputError(f"--embedding {file}: no tensor '{parameter}' in it.", hint=_SAVE_IT)


def _only_table(shapes: dict[str, list[int]], file: Path) -> str:
    tables = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(tables) != 1:
        held = f"{len(tables)} tables ({', '.join(tables[:5])})" if tables else "no table"
        raise InputError(f"--embedding {file}: it holds {held}.", hint="Save the one to use alone.")
    return tables[0]


def _input_embedding_name(folder: Path, name: str) -> str:
    """What the model class calls its input embedding; the model is laid out without memory for its weights."""
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook
    from transformers import AutoConfig, AutoModel

    count = 0

    def bounded(*registered: object) -> None:
        nonlocal count
        count += 1
        if count > _MOST_PARAMETERS:
            raise ValueError(f"more than {_MOST_PARAMETERS:,} tensors")

    hook = register_module_parameter_registration_hook(bounded)
    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            model: Any = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
        table = model.get_input_embeddings().weight
        found: str = next(key for key, parameter in model.named_parameters() if parameter is table)
    except Exception as error:  # whatever a model's class makes of settings that it did not expect
        raise InputError(
            f"--embedding {name}: not a known model ({first_line(error)}).", hint=_SAVE_IT
        ) from error
    finally:
        hook.remove()
    return found
