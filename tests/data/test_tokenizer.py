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


def definition(path: Path, *, byte_level: bool = False, **changed: object) -> Path:
    """A folder with a tokenizer of the letters a to e, or of all bytes, and what else its file is to say."""
    from tokenizers import pre_tokenizers

    letters = pre_tokenizers.ByteLevel.alphabet() if byte_level else "abcde "
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        }
        if byte_level
        else None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "vocab": {letter: n for n, letter in enumerate(sorted(letters))},
            "merges": [],
        },
    }
    path.mkdir(exist_ok=True)
    (path / "tokenizer.json").write_text(json.dumps({**content, **changed}))
    return path


@pytest.mark.parametrize("configured", [False, True])
def test_a_tokenizer_brings_no_truncation_and_no_padding(
    tmp_path: Path, cache: Cache, configured: bool
) -> None:
    truncation = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": {"Fixed": 8},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": " ",
    }
    folder = definition(tmp_path / "t", truncation=truncation, padding=padding)
    if configured:
        settings_ = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 3}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings_))
    tokenizer = open_tokenizer(str(folder), cache, Hub())
    assert [len(ids) for ids in tokenizer.encode(["abcdeabcde", "a"])] == [10, 1]
    assert len(tokenizer.encode_with_offsets("abcde")[0]) == 5


def test_characters_without_a_token_are_counted(tmp_path: Path, cache: Cache) -> None:
    texts = ["ab zz", "é z\n", "abc"]
    plain = open_tokenizer(str(definition(tmp_path / "plain")), cache, Hub())
    assert plain.lost_characters(texts) == {"z": 3, "é": 1}
    assert plain.lost_characters(texts) == {"z": 3, "é": 1}  # from the cache
    assert plain.lost_characters(["abcde \n"]) == {}
    model = {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1, "b": 2}, "unk_token": "[UNK]"}
    split = {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False}
    word = open_tokenizer(str(definition(tmp_path / "word", model=model, pre_tokenizer=split)), cache, Hub())
    assert word.lost_characters(["abx"]) == {"x": 1}
    pieces = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]], "byte_fallback": False}
    unigram = open_tokenizer(str(definition(tmp_path / "unigram", model=pieces)), cache, Hub())
    assert unigram.lost_characters(["aab"]) == {"b": 1}
    whole = open_tokenizer(str(definition(tmp_path / "bytes", byte_level=True)), cache, Hub())
    assert whole.lost_characters(texts) == {}


@given(texts=st.lists(any_text, max_size=4))
def test_a_tokenizer_of_bytes_has_a_token_for_everything(trained: Tokenizer, texts: list[str]) -> None:
    assert trained.lost_characters(texts) == {}
