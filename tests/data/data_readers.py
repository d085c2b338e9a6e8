"""Bytes under the name that each reader of ``cvfp_cli.data`` expects, for the fuzzer and for the test of its corpus."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cvfp_cli.data import files
from cvfp_cli.data.cache import Arrays, Cache, pack_texts
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.embedding import read_table
from cvfp_cli.data.hub import Hub
from cvfp_cli.data.samples import sample_text
from cvfp_cli.data.tokenizer import open_tokenizer

TABLES = ("table.npy", "table.safetensors")
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")
SETTINGS = ("config.json",)
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")
ENTRIES = ("entry.cvfp", "payload.cvfp")
TEXTS = ("rows.jsonl", "rows.json", "rows.parquet", "rows.csv", "rows.txt")
MORE_TEXTS = ("rows.tsv", "rows.md", "rows.jsonl.gz", "rows.csv.zst")
# A corpus file's first byte is a place in this list: new kinds go to its end.
KINDS = (*TABLES, *WEIGHTS, *SETTINGS, *TOKENIZERS, *ENTRIES, *TEXTS, *MORE_TEXTS)

CONFIG = {"model_type": "gpt2", "vocab_size": 5, "n_embd": 2, "n_layer": 1, "n_head": 1, "n_positions": 4}
TOKENIZER = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": None,
    "model": {
        "type": "BPE",
        "unk_token": "u",
        "vocab": {"a": 0, "b": 1, "ab": 2, "u": 3},
        "merges": [["a", "b"]],
    },
}


class NoCache(Cache):
    """A cache that keeps nothing, so that every input is read anew."""

    def get(self, kind: str, key: Mapping[str, object]) -> Arrays | None:
        """Nothing."""
        return None

    def put(self, kind: str, key: Mapping[str, object], arrays: Arrays) -> None:
        """Nothing."""


class Readers:
    """A folder with one file of each kind, which is rewritten for each input.

    Attributes:
        no_cache: keeps nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cache = Cache(folder / "cache")
        self.no_cache = NoCache()
        self._connection = Hub()
        for name in (*WEIGHTS, *SETTINGS):
            (folder / name).mkdir()
            (folder / name / "config.json").write_text(json.dumps(CONFIG))
        for name in TOKENIZERS:
            (folder / name).mkdir()
            (folder / name / "tokenizer.json").write_text(json.dumps(TOKENIZER))
        # The name of the input embedding is looked up once, as the cache does for a user.
        self._cache.put("probe", {}, pack_texts(["text"]))
        [self._entry] = self._cache.folder.iterdir()

    def read(self, kind: str, data: bytes) -> None:
        """Read the bytes as a file of this kind.

        Raises:
            InputError: as the reader does.
            AssertionError: the reader took what it should not have taken.
        """
        if kind in ENTRIES:
            self._read_entry(data if kind == ENTRIES[0] else hashlib.sha256(data).digest() + data)
        elif kind in (*TEXTS, *MORE_TEXTS):
            self._read_text(self._written(self._folder / kind, data))
        elif kind in TOKENIZERS:
            self._written(self._folder / kind / kind, data)
            self._read_tokenizer(self._folder / kind)
        else:
            path = self._written(self._folder / kind if kind in TABLES else self._folder / kind / kind, data)
            self._read_table(path if kind in TABLES else path.parent, once=kind in SETTINGS)

    def _written(self, path: Path, data: bytes) -> Path:
        path.write_bytes(data)
        return path

    def _read_table(self, path: Path, *, once: bool) -> None:
        cache = self.no_cache if once else self._cache
        table = read_table(str(path), cache, self._connection)
        assert table.dtype == np.float32
        assert table.ndim == 2
        assert np.isfinite(table).all()

    def _read_tokenizer(self, folder: Path) -> None:
        tokenizer = open_tokenizer(str(folder), self.no_cache, self._connection)
        size = tokenizer.vocab_size
        for ids in (*tokenizer.encode(["ab ba", "été"]), tokenizer.encode_with_offsets("ab u")[0]):
            assert ((ids >= 0) & (ids < size)).all()

    def _read_entry(self, data: bytes) -> None:
        self._entry.write_bytes(data)
        self._cache.get("probe", {})
        self._cache.notes.clear()

    def _read_text(self, path: Path) -> None:
        for where, row in files.rows(files.data_files(path), folder=False):
            assert sample_text(row, DataConfig(empty="refuse"), where).strip()
