"""Bytes from elsewhere end in what the reader promises or in one line, never in a traceback or in code that ran."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_readers import CONFIG, KINDS, TOKENIZER, Readers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from cvfp_cli.data import embedding, hub, opening
from cvfp_cli.data import tokenizer as tokenizers
from cvfp_cli.errors import InputError

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Readers:
    return Readers(tmp_path_factory.mktemp("readers"))


def outcome(readers: Readers, kind: str, data: bytes) -> str:
    """The refusal of these bytes, or nothing."""
    try:
        readers.read(kind, data)
    except InputError as problem:
        return str(problem)
    return ""


def refusal(readers: Readers, kind: str, data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        readers.read(kind, data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def saved(value: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_fuzzers_corpus_ends_in_a_value_or_one_line(readers: Readers, path: Path) -> None:
    content = path.read_bytes()
    assert "\n" not in outcome(readers, KINDS[content[0]], content[1:])


@given(st.sampled_from(CORPUS), st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 6))
@settings(max_examples=150, deadline=None)
def test_a_changed_file_ends_in_a_value_or_one_line(
    readers: Readers, path: Path, position: int, put: bytes, removed: int
) -> None:
    content = path.read_bytes()
    body = content[1:]
    position = min(position, len(body))
    changed = body[:position] + put + body[position + removed :]
    assert "\n" not in outcome(readers, KINDS[content[0]], changed)


def test_an_archive_called_npy_is_no_table(readers: Readers) -> None:
    stream = io.BytesIO()
    np.savez(stream, table=np.ones((2, 2)))
    assert "not a readable .npy file" in refusal(readers, "table.npy", stream.getvalue())


@pytest.mark.parametrize("value", [[1, 2], {1: torch.ones(2)}, {"wte.weight": 3}, 7])
def test_a_checkpoint_that_holds_no_named_tensors(readers: Readers, value: Any) -> None:
    refused = refusal(readers, "pytorch_model.bin", saved(value))
    assert "not a readable checkpoint" in refused or "no tensor 'wte.weight'" in refused


def test_a_checkpoint_of_before_the_archives_and_one_of_parameters_are_read(readers: Readers) -> None:
    readers.read(
        "pytorch_model.bin", saved({"wte.weight": torch.ones(5, 2)}, _use_new_zipfile_serialization=False)
    )
    readers.read("pytorch_model.bin", saved({"wte.weight": torch.nn.Parameter(torch.ones(5, 2))}))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_embd": "wide"},
        {"n_head": 0},
        {"n_layer": None},
        {"vocab_size": -3},
        {"model_type": "vit"},
        {"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}, "model_type": "mine"},
    ],
)
def test_settings_that_no_model_can_have(readers: Readers, changes: dict[str, Any]) -> None:
    assert "not a known model" in refusal(readers, "config.json", json.dumps({**CONFIG, **changes}).encode())


def test_code_beside_a_model_is_not_run(readers: Readers, tmp_path: Path) -> None:
    """``auto_map`` names a module of the folder; loading it would write a file."""
    folder = tmp_path / "model"
    folder.mkdir()
    own = {"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model", "AutoTokenizer": "code.T"}}
    (folder / "config.json").write_text(json.dumps({**CONFIG, **own, "model_type": "mine"}))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({**own, "tokenizer_class": "T"}))
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    with pytest.raises(InputError, match="not a known model"):
        embedding.read_table(str(folder), readers.no_cache, hub.Hub())
    with pytest.raises(InputError, match="not loadable"):
        _ = tokenizers.open_tokenizer(str(folder), readers.no_cache, hub.Hub()).vocab_size
    assert not (tmp_path / "ran").exists()


def test_a_model_of_endless_layers_is_given_up(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_MOST_PARAMETERS", 100)
    settings_ = json.dumps({**CONFIG, "n_layer": 10**9}).encode()
    assert "more than 100 tensors" in refusal(readers, "config.json", settings_)


def vocabulary(**model: Any) -> bytes:
    return json.dumps({**TOKENIZER, "model": {**TOKENIZER["model"], **model}}).encode()  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (lambda: b"[", "not loadable"),
        (lambda: vocabulary(merges=[["x", "y"]]), "not loadable"),
        (lambda: vocabulary(unk_token="no such"), "cannot encode the text"),
        (lambda: vocabulary(vocab={"a": 0, "b": 1, "ab": 2, "u": 900}), "ids must run from 0"),
    ],
)
def test_tokenizers_that_cannot_be_used(
    readers: Readers, definition: Callable[[], bytes], words: str
) -> None:
    assert words in refusal(readers, "tokenizer.json", definition())


def test_a_tokenizer_that_is_too_large_is_not_parsed(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "_LARGEST_FILE", 100)
    assert "tokenizer.json is larger than" in refusal(readers, "tokenizer.json", b" " * 101)


@pytest.mark.parametrize("payload", [b"", b"no safetensors", save({"x": np.ones(3)})[:-1]])
def test_a_cache_entry_whose_digest_is_right_but_whose_content_is_not(
    readers: Readers, payload: bytes
) -> None:
    readers.read("payload.cvfp", payload)


def test_columns_named_by_a_file_are_quoted_on_one_line(readers: Readers) -> None:
    refused = refusal(readers, "rows.csv", b'"\x1b[31m\nname",b\nx,y\n')
    assert "\\x1b[31m\\nname" in refused
    many = ",".join(f"c{number}" for number in range(1000)).encode()
    assert "and 980 more" in refusal(readers, "rows.csv", many + b"\n" + many + b"\n")


def test_a_damaged_parquet_file_is_refused_in_one_line(readers: Readers) -> None:
    whole = next(path for path in CORPUS if path.name == "parquet").read_bytes()[1:]
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 0x55
        assert "\n" not in outcome(readers, "rows.parquet", bytes(changed))


def test_the_largest_file_held_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[" * 11)
    with pytest.raises(InputError, match="larger than"):
        opening.read_whole(path, 10)
