"""Token streams: what text has become when an experiment begins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TokenStream:
    """Samples as one stream of token ids, in order, with nothing between them.

    Attributes:
        ids: token ids, int64, shape (N,).
        boundaries: offsets of the samples in ``ids``, int64, shape (samples + 1,), from 0 to N.
        sizes_bytes: UTF-8 bytes of the text the ids stand for.
        fingerprint: hash of ids, boundaries and sizes_bytes.
    """

    ids: NDArray[np.int64]
    boundaries: NDArray[np.int64]
    sizes_bytes: int
    fingerprint: str

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.boundaries) - 1


@dataclass(frozen=True)
class Text:
    """Everything one experiment reads: two streams and the embedding table.

    Attributes:
        train, validation: the two token streams.
        table: raw embedding table, float32, read-only, shape (V, E).
        table_fingerprint: identifies the table; for a table made from the training samples, its inputs.
        fingerprint: identifies both streams and the table.
    """

    train: TokenStream
    validation: TokenStream
    table: NDArray[np.float32]
    table_fingerprint: str
    fingerprint: str
