"""Embedding tables: from models in the hub's format, from files, and refused where they do not fit."""

import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as save_torch

from cvfp_cli.data.cache import Cache
from cvfp_cli.data.embedding import MadeTable, made_table, random_table, read_table
from cvfp_cli.data.hub import Hub, HubUnreachableError
from cvfp_cli.errors import InputError

TABLE = np.random.default_rng(1).standard_normal((7, 3)).astype(np.float32)


@pytest.fixture
def model(gpt2_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny GPT-2 that a test may change."""
    folder = tmp_path / "model"
    shutil.copytree(gpt2_folder, folder)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_gpt2s_input_embedding(gpt2_folder: Path, cache: Cache) -> None:
    from transformers import AutoModel

    table = read_table(str(gpt2_folder), cache, Hub())
    assert table.shape == (50257, 8)
    model = AutoModel.from_pretrained(gpt2_folder, local_files_only=True)
    np.testing.assert_array_equal(table, model.get_input_embeddings().weight.detach().numpy())


def test_names_without_the_model_around_them(model: Path, cache: Cache) -> None:
    """The hub's own gpt2 says ``wte.weight``, what transformers saves ``transformer.wte.weight``."""
    expected = read_table(str(model), cache, Hub())
    bare = {name.removeprefix("transformer."): tensor for name, tensor in weights(model).items()}
    assert "wte.weight" in bare
    save_torch(bare, model / "model.safetensors")
    np.testing.assert_array_equal(read_table(str(model), cache, Hub()), expected)


def test_a_checkpoint_in_parts_reads_the_one_that_holds_it(model: Path, cache: Cache) -> None:
    tensors = weights(model)
    (model / "model.safetensors").unlink()
    table = tensors.pop("transformer.wte.weight")
    save_torch({"transformer.wte.weight": table}, model / "part-2.safetensors")
    places = dict.fromkeys(tensors, "part-1.safetensors") | {"transformer.wte.weight": "part-2.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    np.testing.assert_array_equal(read_table(str(model), cache, Hub()), table.numpy())


def test_a_pickled_checkpoint(model: Path, cache: Cache) -> None:
    tensors = weights(model)
    (model / "model.safetensors").unlink()
    torch.save(tensors, model / "pytorch_model.bin")
    expected = tensors["transformer.wte.weight"].numpy()
    np.testing.assert_array_equal(read_table(str(model), cache, Hub()), expected)


def test_code_in_a_pickled_checkpoint_is_not_run(model: Path, cache: Cache, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (model / "model.safetensors").unlink()
    torch.save({"transformer.wte.weight": Harmful()}, model / "pytorch_model.bin")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        read_table(str(model), cache, Hub())
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(InputError, match="not a readable checkpoint"):
        read_table(str(model), cache, Hub())
    assert not (tmp_path / "ran").exists()


def test_models_that_cannot_be_read(model: Path, cache: Cache) -> None:
    tensors = weights(model)
    tensors["other"] = tensors.pop("transformer.wte.weight")
    save_torch(tensors, model / "model.safetensors")
    with pytest.raises(InputError, match=r"no tensor 'wte\.weight'.*Save the table as \.npy"):
        read_table(str(model), cache, Hub())
    (model / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        read_table(str(model), cache, Hub())
    (model / "model.safetensors.index.json").write_text(
        '{"weight_map": {"wte.weight": "../../../etc/passwd"}}'
    )
    with pytest.raises(InputError, match="neither"):
        read_table(str(model), cache, Hub())
    (model / "config.json").write_text('{"model_type": "no such model"}')
    with pytest.raises(InputError, match="not a known model"):
        read_table(str(model), cache, Hub())
    (model / "config.json").unlink()
    with pytest.raises(InputError, match=r"no readable config\.json"):
        read_table(str(model), cache, Hub())


@pytest.mark.parametrize("kind", ["npy", "npy-float64", "npy-fortran", "safetensors", "bfloat16"])
def test_tables_in_files(tmp_path: Path, cache: Cache, kind: str) -> None:
    path = tmp_path / ("table.npy" if kind.startswith("npy") else "table.safetensors")
    match kind:
        case "npy":
            np.save(path, TABLE)
        case "npy-float64":
            np.save(path, TABLE.astype(np.float64))
        case "npy-fortran":
            np.save(path, np.asfortranarray(TABLE))
        case "safetensors":
            save_file({"bias": TABLE[0], "vectors": TABLE}, path)
        case "bfloat16":
            save_torch({"vectors": torch.from_numpy(TABLE).bfloat16()}, path)
    found = read_table(str(path), cache, Hub())
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, TABLE, rtol=1e-2 if kind == "bfloat16" else 0)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(5, dtype=np.float32), r"two dimensions \(V, E\), this has shape \(5,\)"),
        (np.zeros((2, 0), dtype=np.float32), r"this has shape \(2, 0\)"),
        (np.zeros((2, 3, 4)), r"this has shape \(2, 3, 4\)"),
        (np.zeros((2, 3), dtype=np.int64), "holds floats, this holds int64"),
        (np.array([[1.0], [np.nan]]), "row 1 has an entry that is not finite"),
        (np.array([[1e300, 0.0]]), "row 0 has an entry that is not finite"),
    ],
)
def test_arrays_that_are_no_tables(tmp_path: Path, cache: Cache, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "table.npy", array)
    with pytest.raises(InputError, match=said):
        read_table(str(tmp_path / "table.npy"), cache, Hub())


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path, cache: Cache) -> None:
    np.save(tmp_path / "table.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable"):
        read_table(str(tmp_path / "table.npy"), cache, Hub())


def test_a_file_with_several_tables(tmp_path: Path, cache: Cache) -> None:
    save_file({"one": TABLE, "two": TABLE + 1}, tmp_path / "table.safetensors")
    with pytest.raises(InputError, match=r"it holds 2 tables \(one, two\)"):
        read_table(str(tmp_path / "table.safetensors"), cache, Hub())


@pytest.mark.parametrize("name", ["missing.npy", "missing.safetensors", "./nowhere", "a/b/c", ""])
def test_files_that_are_not_there(name: str, cache: Cache) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read_table(name, cache, Hub())


def test_other_files(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "table.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"neither \.npy nor \.safetensors"):
        read_table(str(tmp_path / "table.txt"), cache, Hub())


@pytest.mark.usefixtures("no_hub")
def test_a_hub_that_cannot_be_reached(cache: Cache) -> None:
    with pytest.raises(HubUnreachableError, match="embedding 'nobody/nothing'"):
        read_table("nobody/nothing", cache, Hub())


def test_names_of_made_tables() -> None:
    assert made_table("ppmi:256") == MadeTable("ppmi", 256)
    assert made_table("random:3") == MadeTable("random", 3)
    assert made_table("gpt2") is None
    for name in ("ppmi", "ppmi:", "ppmi:0", "random:x", "random:-1", "ppmi:2.5"):
        with pytest.raises(InputError, match=f"--embedding {name}: a width"):
            made_table(name)


def test_random_tables_are_seeded_and_as_long_as_gpt2s_rows() -> None:
    table = random_table(500, 64)
    np.testing.assert_array_equal(table, random_table(500, 64))
    assert table.dtype == np.float32
    assert table.std() == pytest.approx(0.14, rel=0.02)


def saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, TABLE)
        return buffer.getvalue()
    from safetensors.numpy import save

    return save({"vectors": TABLE})


@given(st.sampled_from(["npy", "safetensors"]), st.integers(0, 400), st.binary(max_size=8), st.booleans())
@settings(max_examples=150)
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, position: int, patch: bytes, cut: bool
) -> None:
    content = bytearray(saved(kind))
    position = min(position, len(content))
    content[position : position + len(patch)] = patch
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(bytes(content[:position] if cut else content))
    cache = Cache(tmp_path_factory.getbasetemp() / "cache")
    table, message = None, ""
    try:
        table = read_table(str(path), cache, Hub())
    except InputError as error:
        message = str(error)
    assert (table is None) == message.startswith("--embedding")
    assert "\n" not in message
    assert table is None or np.isfinite(table).all()
