"""Token streams: nothing lost, nothing between, boundaries and bytes where they belong."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.data.cache import Cache
from cvfp_cli.data.encoding import Encoded, encode_samples, split_tail
from cvfp_cli.data.tokenizer import Tokenizer, train_bpe

TRAINING = [f"The sum of {n} and {n + 1} is {2 * n + 1}. Ende – 終わり." for n in range(100)]

sample = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip)
samples = st.lists(sample, min_size=1, max_size=6)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train_bpe("bpe:350", 350, TRAINING, Cache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("shared"))


def parts(encoded: Encoded) -> list[list[int]]:
    bounds = encoded.boundaries.tolist()
    return [encoded.ids[a:b].tolist() for a, b in pairwise(bounds)]


def decoded(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return str(tokenizer.backend.decode(list(ids)))


@given(samples)
@settings(max_examples=60)
def test_samples_one_by_one(tokenizer: Tokenizer, shared: Cache, texts: list[str]) -> None:
    encoded = encode_samples(tokenizer, texts, 0, shared)
    assert [decoded(tokenizer, part) for part in parts(encoded)] == texts
    assert encoded.sample_bytes.tolist() == [len(text.encode()) for text in texts]
    for count in range(1, len(texts) + 1):
        stream = encoded.stream(count)
        assert stream.samples == count
        assert stream.boundaries[-1] == len(stream.ids)
        assert stream.ids.tolist() == [token for part in parts(encoded)[:count] for token in part]
        assert stream.sizes_bytes == len("".join(texts[:count]).encode())


@given(samples, st.sampled_from(["\n\n", "\n", " ", "###"]))
@settings(max_examples=60)
def test_samples_joined(tokenizer: Tokenizer, shared: Cache, texts: list[str], separator: str) -> None:
    encoded = encode_samples(tokenizer, texts, 0, shared, separator=separator)
    joined = separator.join(texts)
    assert decoded(tokenizer, encoded.ids.tolist()) == joined
    assert int(encoded.sample_bytes.sum()) == len(joined.encode())
    assert len(encoded.boundaries) == len(texts) + 1
    assert (np.diff(encoded.boundaries) >= 0).all()
    # Every token starts in the sample, or in the separator after it, that it is counted to.
    _, starts, _ = tokenizer.encode_with_offsets(joined)
    begins = np.cumsum([0, *(len(text) + len(separator) for text in texts)])
    for index in range(len(texts)):
        first, last = encoded.boundaries[index : index + 2]
        assert (starts[first:last] >= begins[index]).all()
        assert (starts[first:last] < begins[index + 1]).all()


@given(samples, st.integers(1, 8))
@settings(max_examples=60)
def test_cut_samples_are_prefixes(tokenizer: Tokenizer, shared: Cache, texts: list[str], limit: int) -> None:
    whole = parts(encode_samples(tokenizer, texts, 0, shared))
    cut = encode_samples(tokenizer, texts, limit, shared)
    assert parts(cut) == [part[:limit] for part in whole]
    for text, size, part in zip(texts, cut.sample_bytes.tolist(), whole, strict=True):
        assert text.encode()[:size].decode() == text[: len(text.encode()[:size].decode())]
        assert (size == len(text.encode())) or len(part) > limit


def test_joined_samples_are_cut_by_themselves(tokenizer: Tokenizer, cache: Cache) -> None:
    texts = ["The sum of 1 and 2 is 3.", "short", "The sum of 3 and 4 is 7."]
    whole = encode_samples(tokenizer, texts, 0, cache, separator="\n\n")
    cut = encode_samples(tokenizer, texts, 4, cache, separator="\n\n")
    assert parts(cut) == [part[:4] for part in parts(whole)]
    assert decoded(tokenizer, parts(cut)[0]) == texts[0][: cut.sample_bytes[0]]


@given(samples, st.fractions(Fraction(1, 50), Fraction(1, 2)), st.data())
@settings(max_examples=60)
def test_the_tail_is_cut_off(
    tokenizer: Tokenizer, shared: Cache, texts: list[str], share: Fraction, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(texts)))
    encoded = encode_samples(tokenizer, texts, 0, shared)
    whole = encoded.stream(count)
    train, tail = split_tail(encoded, count, share, texts, tokenizer, shared)
    assert len(tail.ids) == int(len(whole.ids) * share)
    assert [*train.ids, *tail.ids] == whole.ids.tolist()
    assert train.sizes_bytes + tail.sizes_bytes == whole.sizes_bytes
    for stream in (train, tail):
        assert stream.boundaries[0] == 0
        assert stream.boundaries[-1] == len(stream.ids)
        assert (np.diff(stream.boundaries) >= 0).all()
    rebuilt = {*train.boundaries.tolist(), *(tail.boundaries + len(train.ids)).tolist()}
    assert set(whole.boundaries.tolist()) <= rebuilt
    # A token's bytes belong to the text up to its end, a character that two tokens share to the first.
    text = "".join(texts[:count]).encode()
    assert (
        text[: train.sizes_bytes].decode().startswith(decoded(tokenizer, train.ids.tolist()).rstrip("\ufffd"))
    )


def test_streams_cannot_be_written_and_their_fingerprints_tell_them_apart(
    tokenizer: Tokenizer, cache: Cache
) -> None:
    encoded = encode_samples(tokenizer, TRAINING[:3], 0, cache)
    stream = encoded.stream(2)
    with pytest.raises(ValueError, match="read-only"):
        stream.ids[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        stream.boundaries[0] = 1
    together = encode_samples(tokenizer, ["".join(TRAINING[:2])], 0, cache).stream(1)
    prints = {stream.fingerprint, encoded.stream(3).fingerprint, together.fingerprint}
    assert len(prints) == 3
    assert encoded.stream(2).fingerprint == stream.fingerprint


def test_streams_are_kept(tokenizer: Tokenizer, cache: Cache) -> None:
    first = encode_samples(tokenizer, TRAINING, 5, cache)
    again = encode_samples(tokenizer, TRAINING, 5, Cache(cache.folder, notify=pytest.fail))
    np.testing.assert_array_equal(first.ids, again.ids)
    np.testing.assert_array_equal(first.boundaries, again.boundaries)
