"""From texts to token streams: one by one, joined by a separator, or cut off a run's own tail."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.counting import counted
from cvfp_cli.data.cache import Arrays, Cache, content_hash, pack_texts
from cvfp_cli.data.stream import TokenStream
from cvfp_cli.data.tokenizer import Tokenizer

_RULES = 2  # raised whenever the same tokenizer and texts would have to give other ids


@dataclass(frozen=True)
class Encoded:
    """Samples as token ids, from which streams of fewer samples are cut.

    Attributes:
        ids: token ids of all samples, int64, shape (N,).
        boundaries: offsets of the samples in ``ids``, int64, shape (samples + 1,), from 0 to N.
        sample_bytes: UTF-8 bytes that each sample's ids stand for, int64, shape (samples,).
    """

    ids: NDArray[np.int64]
    boundaries: NDArray[np.int64]
    sample_bytes: NDArray[np.int64]

    def stream(self, samples: int) -> TokenStream:
        """The first ``samples`` samples."""
        return token_stream(
            self.ids[: self.boundaries[samples]],
            self.boundaries[: samples + 1],
            int(self.sample_bytes[:samples].sum()),
        )


def token_stream(ids: NDArray[np.int64], boundaries: NDArray[np.int64], sizes_bytes: int) -> TokenStream:
    """A stream with its fingerprint; its arrays are made read-only."""
    for array in (ids, boundaries):
        array.flags.writeable = False
    return TokenStream(ids, boundaries, sizes_bytes, content_hash(ids, boundaries, sizes_bytes))


def encode_samples(
    tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int, cache: Cache, *, separator: str = ""
) -> Encoded:
    """Tokenise samples, each cut after ``max_tokens`` tokens (0: never).

    Args:
        separator: tokenise them as one text with this between them: a token belongs to the sample in which it starts;
            those of the separator, to the sample before it. Empty: one by one.
    """
    packed = pack_texts(texts)
    key = {
        "rules": _RULES,
        "tokenizer": tokenizer.fingerprint,
        "texts": content_hash(packed["utf8"], packed["ends"]),
        "max_tokens": max_tokens,
        "separator": separator or None,
    }

    def make() -> Arrays:
        if separator:
            made = _as_one_text(tokenizer, texts, separator, max_tokens)
        else:
            made = _one_by_one(tokenizer, texts, max_tokens)
        return {"ids": made.ids, "boundaries": made.boundaries, "sample_bytes": made.sample_bytes}

    return Encoded(**cache.fetch("tokens", key, make, doing=f"Tokenising {counted(len(texts), 'sample')}"))


def split_tail(
    encoded: Encoded, samples: int, share: Fraction, texts: Sequence[str], tokenizer: Tokenizer, cache: Cache
) -> tuple[TokenStream, TokenStream]:
    """Cut the last ``share`` of the first samples' tokens off, for validation.

    Returns:
        training stream and validation stream; the sample that the cut falls into is in both, in part.
    """
    bounds = encoded.boundaries[: samples + 1]
    total = int(bounds[-1])
    cut = _tail_start(bounds, share)
    straddled = int(np.searchsorted(bounds, cut, side="right")) - 1  # bounds[straddled] <= cut
    inside = cut - int(bounds[straddled])
    train_bytes = int(encoded.sample_bytes[:straddled].sum())
    if inside:
        train_bytes += _prefix_bytes(texts[straddled], inside, tokenizer, cache)
    all_bytes = int(encoded.sample_bytes[:samples].sum())
    train_bounds = np.append(bounds[bounds < cut], cut)
    val_bounds = np.append(cut, bounds[bounds > cut]) - cut
    return (
        token_stream(encoded.ids[:cut], train_bounds, train_bytes),
        token_stream(encoded.ids[cut:total], val_bounds, all_bytes - train_bytes),
    )


def whole_before_tail(encoded: Encoded, share: Fraction) -> int:
    """How many samples lie wholly before the last ``share`` of all tokens."""
    return int(np.searchsorted(encoded.boundaries[1:], _tail_start(encoded.boundaries, share), side="right"))


def _tail_start(boundaries: NDArray[np.int64], share: Fraction) -> int:
    total = int(boundaries[-1])
    return total - int(total * share)


def _one_by_one(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> Encoded:
    pieces = tokenizer.encode(texts)
    sizes = [len(text.encode()) for text in texts]
    if max_tokens:
        for index, ids in enumerate(pieces):
            if len(ids) > max_tokens:
                pieces[index] = ids[:max_tokens]
                sizes[index] = _bytes_of_tokens(tokenizer, texts[index], max_tokens)
    return Encoded(
        np.concatenate(pieces), _offsets([len(ids) for ids in pieces]), np.array(sizes, dtype=np.int64)
    )


def _as_one_text(tokenizer: Tokenizer, texts: Sequence[str], separator: str, max_tokens: int) -> Encoded:
    text = separator.join(texts)
    ids, starts, ends = tokenizer.encode_with_offsets(text)
    first_characters = _offsets([len(piece) + len(separator) for piece in texts])[:-1]
    bounds = np.searchsorted(starts, first_characters)
    bounds[0] = 0
    bounds = np.append(bounds, len(ids))
    character_ends = np.append(first_characters[1:], len(text))
    pieces, sizes = [], []
    for index in range(len(texts)):
        first, last = int(bounds[index]), int(bounds[index + 1])
        end = int(character_ends[index])
        if max_tokens and last - first > max_tokens:
            last = first + max_tokens
            end = int(ends[last - 1])
        pieces.append(ids[first:last])
        sizes.append(len(text[int(first_characters[index]) : end].encode()))
    return Encoded(
        np.concatenate(pieces), _offsets([len(piece) for piece in pieces]), np.array(sizes, dtype=np.int64)
    )


def _bytes_of_tokens(tokenizer: Tokenizer, text: str, tokens: int) -> int:
    """UTF-8 bytes of a text up to the end of its first ``tokens`` tokens."""
    _, _, ends = tokenizer.encode_with_offsets(text)
    return len(text[: int(ends[tokens - 1])].encode())


def _prefix_bytes(text: str, tokens: int, tokenizer: Tokenizer, cache: Cache) -> int:
    key = {"tokenizer": tokenizer.fingerprint, "text": content_hash(text), "tokens": tokens}
    found = cache.fetch(
        "prefix", key, lambda: {"bytes": np.array([_bytes_of_tokens(tokenizer, text, tokens)])}
    )
    return int(found["bytes"][0])


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
