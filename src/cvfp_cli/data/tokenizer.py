"""Tokenizers: one of the hub or a folder, or a byte-level BPE trained on the study's own samples."""

import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.counting import counted
from cvfp_cli.data import files, hub
from cvfp_cli.data.cache import Arrays, Cache, content_hash, pack_texts, unpack_texts
from cvfp_cli.errors import InputError, first_line

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

    # The object, and its special tokens by their part.
    Loaded = tuple[Backend, dict[str, str]]

MIN_BPE_VOCABULARY = 257  # the 256 bytes and one merge

_LARGEST_FILE = 2**28  # bytes; the largest vocabularies in use take a tenth of it
_BPE = re.compile(r"bpe:([0-9]{1,9})")
_CONFIGURATIONS = ("config.json", "tokenizer_config.json")
_FILES = (
    "tokenizer*",
    "vocab*",
    "merges*",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
    "*.model",
)


class Tokenizer:
    """A tokenizer that is loaded only when it is first needed.

    Attributes:
        name: as the user wrote it.
        fingerprint: hash of what defines it.
    """

    def __init__(self, name: str, fingerprint: str, cache: Cache, load: Callable[[], "Loaded"]) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._cache = cache
        self._load = load

    @cached_property
    def _loaded(self) -> "Loaded":
        return self._load()

    @property
    def backend(self) -> "Backend":
        """The ``tokenizers`` object."""
        return self._loaded[0]

    @property
    def special_tokens(self) -> dict[str, str]:
        """Tokens with a part of their own, by it: ``bos_token``, ``eos_token``, ``pad_token``, ``unk_token`` and their like."""
        return self._loaded[1]

    @cached_property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included (V)."""
        found = self._cache.fetch(
            "vocabulary",
            {"tokenizer": self.fingerprint},
            lambda: {"size": np.array([self.backend.get_vocab_size(with_added_tokens=True)])},
        )
        return int(found["size"][0])

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Token ids of each text by itself, without special tokens.

        Raises:
            InputError: the tokenizer has no token for something in a text.
        """
        with self._encoding():
            encodings = self.backend.encode_batch(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]

    def lost_characters(self, texts: Sequence[str]) -> dict[str, int]:
        """Characters, spaces left out, that no token stands for, and how often each is in the texts.

        A character without a token is dropped or becomes the unknown token; each is tried by itself.

        Raises:
            InputError: the tokenizer has no token for something in a text.
        """
        characters = sorted(one for one in set[str]().union(*texts) if not one.isspace())
        found = self._cache.fetch(
            "lost", {"tokenizer": self.fingerprint, "characters": characters}, lambda: self._lost(characters)
        )
        lost = bytes(found["utf8"]).decode()
        return {character: sum(text.count(character) for text in texts) for character in lost}

    def _lost(self, characters: Sequence[str]) -> Arrays:
        unknown = _unknown_token(self.backend)
        lost = [
            character
            for character, ids in zip(characters, self.encode(characters), strict=True)
            if all(int(id_) == unknown for id_ in ids)
        ]
        return {"utf8": np.frombuffer("".join(lost).encode(), dtype=np.uint8)}

    def encode_with_offsets(
        self, text: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Token ids of a text, and where each token starts and ends in it, in characters.

        Raises:
            InputError: the tokenizer has no token for something in the text.
        """
        with self._encoding():
            encoding = self.backend.encode(text, add_special_tokens=False)
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        return np.array(encoding.ids, dtype=np.int64), spans[:, 0], spans[:, 1]

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if not _from_library(error):
                raise
            raise InputError(
                f"--tokenizer {self.name}: cannot encode the text ({first_line(error)})."
            ) from error


def bpe_size(name: str) -> int | None:
    """The N of ``bpe:N``; None for other names.

    Raises:
        InputError: N is missing or too small.
    """
    if not name.startswith("bpe:"):
        return None
    match = _BPE.fullmatch(name)
    if match is None or int(match[1]) < MIN_BPE_VOCABULARY:
        raise InputError(
            f"--tokenizer {name}: a vocabulary of at least {MIN_BPE_VOCABULARY} is needed.",
            hint="Write bpe:4096.",
        )
    return int(match[1])


def train_bpe(name: str, size: int, texts: Sequence[str], cache: Cache) -> Tokenizer:
    """A byte-level BPE trained on texts; the same texts give the same tokenizer.

    Args:
        name: as the user wrote it, ``bpe:SIZE``.
        size: vocabulary to reach; texts with too few different words give a smaller one.
        texts: the study's training samples of its largest size.
        cache: where the trained tokenizer is kept.
    """
    packed = pack_texts(texts)
    key = {
        "texts": content_hash(packed["utf8"], packed["ends"]),
        "size": size,
        "tokenizers": importlib.metadata.version("tokenizers"),
    }

    def make() -> Arrays:
        from tokenizers import Tokenizer as Backend
        from tokenizers import decoders, models, pre_tokenizers, trainers

        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )
        backend.train_from_iterator(texts, trainer)
        return pack_texts([backend.to_str()])

    doing = f"Training tokenizer {name} on {counted(len(texts), 'sample')}"
    [definition] = unpack_texts(cache.fetch("bpe", key, make, doing=doing))

    def load() -> "Loaded":
        from tokenizers import Tokenizer as Backend

        return Backend.from_str(definition), {}

    return Tokenizer(name, content_hash(definition), cache, load)


def open_tokenizer(name: str, cache: Cache, connection: hub.Hub) -> Tokenizer:
    """The tokenizer of a local folder, or of the hub (downloaded once).

    Raises:
        InputError: there is none of this name.
    """
    folder = files.existing(name)
    if folder is None and hub.is_hub_name(name):
        folder = connection.model_files(name, _FILES, "tokenizer")
    if folder is None or not folder.is_dir():
        raise InputError(
            f"--tokenizer {name}: no such folder.", hint="A hub name, a folder, or bpe:4096 works."
        )
    found = sorted({file for pattern in _FILES for file in folder.glob(pattern) if file.is_file()})
    if not found:
        raise InputError(f"--tokenizer {name}: the folder holds no tokenizer files.")
    for file in found:
        if file.stat().st_size > _LARGEST_FILE:
            raise InputError(f"--tokenizer {name}: {file.name} is larger than {_LARGEST_FILE >> 20} MiB.")
    version = importlib.metadata.version("transformers")
    identity = content_hash([files.fingerprint(found, folder), version])
    return Tokenizer(name, identity, cache, lambda: _pretrained(name, folder))


def _pretrained(name: str, folder: Path) -> "Loaded":
    from tokenizers import Tokenizer as Fast

    alone = folder / "tokenizer.json"
    special: dict[str, str] = {}
    try:
        ours = _of_our_model(folder)
        if alone.is_file() and (ours or not any((folder / file).exists() for file in _CONFIGURATIONS)):
            # It says all there is to know; not every version of transformers loads it without a configuration, or
            # beside one with a class of its own.
            backend: Backend = Fast.from_file(str(alone))
            if ours:
                told = json.loads((folder / "tokenizer_config.json").read_bytes())
                special = {part: str(token) for part, token in told.items() if part.endswith("_token")}
        else:
            from transformers import AutoTokenizer  # takes seconds

            loaded: Any = AutoTokenizer.from_pretrained(
                str(folder), trust_remote_code=False, local_files_only=True
            )
            if not loaded.is_fast:
                raise InputError(f"--tokenizer {name}: it has no tokenizer.json, which is needed.")
            backend = loaded.backend_tokenizer
            known = loaded.special_tokens_map.items()
            special = {part: str(token) for part, token in known if not isinstance(token, list | tuple)}
    except InputError:
        raise
    except BaseException as error:
        if not _from_library(error):
            raise
        raise InputError(f"--tokenizer {name}: not loadable ({first_line(error)}).") from error
    backend.no_truncation()  # both are kept in tokenizer.json, and are about a model's batches
    backend.no_padding()
    ids = backend.get_vocab(with_added_tokens=True).values()
    if ids and max(ids) >= len(ids):
        raise InputError(
            f"--tokenizer {name}: {counted(len(ids), 'token has', 'tokens have')} ids up to {max(ids)}; ids must run from 0 without gaps."
        )
    return backend, special


def _of_our_model(folder: Path) -> bool:
    """Whether it is a model folder that cvfp wrote with a class of its own."""
    files = [folder / file for file in _CONFIGURATIONS]
    return (
        all(file.is_file() for file in files)
        and json.loads(files[0].read_bytes()).get("model_type") == "cvfp"
    )


def _unknown_token(backend: "Backend") -> int | None:
    """Id of the token that stands for whatever has none."""
    model = json.loads(backend.to_str())["model"]
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    name = model.get("unk_token")
    return backend.token_to_id(name) if isinstance(name, str) else None


def _from_library(error: BaseException) -> bool:
    """Whether the tokenizers library failed: it raises no class of its own, and its panics are no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
