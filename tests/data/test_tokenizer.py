"""Tokenizers: GPT-2's gives GPT-2's ids; a trained one depends on its texts alone."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.data.cache import Cache
from cvfp_cli.data.hub import Hub, HubUnreachableError
from cvfp_cli.data.tokenizer import Tokenizer, bpe_size, open_tokenizer, train_bpe
from cvfp_cli.errors import InputError

TEXTS = [f"def function_{n}(value): return value + {n}  # the sum of value and {n}" for n in range(200)]

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train_bpe("bpe:400", 400, TEXTS, Cache(tmp_path_factory.mktemp("cache")))


def test_gpt2s_files_give_gpt2s_ids(gpt2_folder: Path, cache: Cache) -> None:
    tokenizer = open_tokenizer(str(gpt2_folder), cache, Hub())
    assert tokenizer.vocab_size == 50257
    # As OpenAI's own encoder gives them.
    known = {
        "Hello world": [15496, 995],
        "Hello, my dog is cute": [15496, 11, 616, 3290, 318, 13779],
        "a\n\nb": [64, 198, 198, 65],
        "<|endoftext|>": [50256],
    }
    for text, ids in known.items():
        [found] = tokenizer.encode([text])
        assert found.tolist() == ids
        assert found.dtype == np.int64


def test_the_vocabulary_size_is_known_without_loading(gpt2_folder: Path, cache: Cache) -> None:
    assert open_tokenizer(str(gpt2_folder), cache, Hub()).vocab_size == 50257
    again = open_tokenizer(str(gpt2_folder), cache, Hub())
    again._load = lambda: pytest.fail("loaded")
    assert again.vocab_size == 50257


def test_one_changed_byte_of_a_folder_changes_the_fingerprint(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    before = open_tokenizer(str(tmp_path), cache, Hub()).fingerprint
    (tmp_path / "tokenizer.json").write_text("{ ")
    assert open_tokenizer(str(tmp_path), cache, Hub()).fingerprint != before


@pytest.mark.parametrize("content", ["{}", "{", '{"model": {"type": "BPE"}}'])
def test_a_broken_tokenizer_is_named(tmp_path: Path, cache: Cache, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"})
    )
    with pytest.raises(InputError, match=r"--tokenizer .*not loadable") as caught:
        open_tokenizer(str(tmp_path), cache, Hub()).backend  # noqa: B018
    assert "\n" not in str(caught.value)


def test_remote_code_is_not_run(tmp_path: Path, cache: Cache) -> None:
    settings = {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="--tokenizer"):
        open_tokenizer(str(tmp_path), cache, Hub()).backend  # noqa: B018
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["./missing", "a/b/c", "a.jsonl:3", ""])
def test_a_folder_that_is_not_there(name: str, cache: Cache) -> None:
    with pytest.raises(InputError, match=r"--tokenizer .*no such folder"):
        open_tokenizer(name, cache, Hub())


@pytest.mark.usefixtures("no_hub")
def test_a_hub_that_cannot_be_reached(cache: Cache) -> None:
    with pytest.raises(HubUnreachableError, match="tokenizer 'nobody/nothing'"):
        open_tokenizer("nobody/nothing", cache, Hub())


def test_bpe_names() -> None:
    assert bpe_size("gpt2") is None
    assert bpe_size("bpe:4096") == 4096
    for name in ("bpe:", "bpe:256", "bpe:x", "bpe:-1", "bpe:4096.0"):
        with pytest.raises(InputError, match="--tokenizer bpe"):
            bpe_size(name)


def test_training_reaches_the_size_and_is_kept(cache: Cache) -> None:
    first = train_bpe("bpe:300", 300, TEXTS, cache)
    assert first.vocab_size == 300
    again = train_bpe("bpe:300", 300, TEXTS, Cache(cache.folder, notify=pytest.fail))
    assert again.fingerprint == first.fingerprint
    other = train_bpe("bpe:300", 300, [*TEXTS[:-1], "something else, something else"], cache)
    assert other.fingerprint != first.fingerprint


def test_training_gives_the_same_in_another_process(cache: Cache, tmp_path: Path) -> None:
    script = (
        "import sys, json; from pathlib import Path; from cvfp_cli.data.cache import Cache; "
        "from cvfp_cli.data.tokenizer import train_bpe; "
        "print(train_bpe('bpe:300', 300, json.loads(sys.stdin.read()), Cache(Path(sys.argv[1]))).fingerprint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "other")],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == train_bpe("bpe:300", 300, TEXTS, cache).fingerprint


@given(st.lists(any_text, min_size=1, max_size=5))
@settings(max_examples=50)
def test_a_trained_tokenizer_loses_nothing(trained: Tokenizer, texts: list[str]) -> None:
    for ids, text in zip(trained.encode(texts), texts, strict=True):
        assert trained.backend.decode(ids.tolist()) == text
        alone, starts, ends = trained.encode_with_offsets(text)
        np.testing.assert_array_equal(alone, ids)
        assert (starts <= ends).all()
        if text:
            assert starts[0] == 0
            assert ends[-1] == len(text)
