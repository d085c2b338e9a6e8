"""The embedding table of each run: one for all, or made from the run's own training stream."""

from dataclasses import dataclass

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.data import ppmi
from cvfp_cli.data.cache import Cache, content_hash
from cvfp_cli.data.config import EmbeddingConfig
from cvfp_cli.data.embedding import MadeTable, Table, random_table
from cvfp_cli.data.stream import TokenStream
from cvfp_cli.data.tokenizer import Tokenizer
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note


@dataclass(frozen=True)
class FixedTable:
    """One table for all runs: pretrained, from a file, or random.

    Attributes:
        table: float32, read-only, shape (V, E).
        identity: hash of the table.
    """

    table: Table
    identity: str

    @property
    def vocab_size(self) -> int:
        """V."""
        return int(self.table.shape[0])

    @property
    def width(self) -> int:
        """E."""
        return int(self.table.shape[1])

    def fingerprint(self, stream: TokenStream) -> str:
        """Identifies the table for runs on this stream."""
        return self.identity

    def of(self, stream: TokenStream) -> Table:
        """The table for runs on this stream."""
        return self.table


@dataclass(frozen=True)
class PpmiTable:
    """A PPMI table for each training stream, kept in the cache."""

    vocab_size: int
    width: int
    cache: Cache

    def fingerprint(self, stream: TokenStream) -> str:
        """Identifies the table by what it is made from, so that it need not be made to be named."""
        return content_hash(self._key(stream))

    def of(self, stream: TokenStream) -> Table:
        """The table for runs on this stream."""
        made = self.cache.fetch(
            "ppmi",
            self._key(stream),
            lambda: {"table": ppmi.ppmi_table(stream.ids, self.vocab_size, self.width)},
            doing=f"Making the ppmi:{self.width} table of {counted(len(stream.ids), 'token')}",
        )
        return read_only(made["table"])

    def _key(self, stream: TokenStream) -> dict[str, object]:
        return {
            "ppmi": [ppmi.FORMAT, ppmi.WINDOW, ppmi.ROW_SCALE],
            "stream": content_hash(stream.ids),
            "vocabulary": self.vocab_size,
            "width": self.width,
        }


Tables = FixedTable | PpmiTable


def fixed(table: Table) -> FixedTable:
    """A table that all runs share."""
    return FixedTable(read_only(table), content_hash(table))


def made(kind: MadeTable, vocab_size: int, cache: Cache) -> Tables:
    """``ppmi:WIDTH`` or ``random:WIDTH`` for a vocabulary.

    Raises:
        InputError: PPMI vectors cannot be wider than the vocabulary.
    """
    if kind.kind == "random":
        return fixed(random_table(vocab_size, kind.width))
    if kind.width > vocab_size:
        raise InputError(
            f"--embedding ppmi:{kind.width}: vectors of width {kind.width} do not fit a tokenizer of "
            f"{counted(vocab_size, 'token')}.",
            hint=f"Ask for ppmi:{vocab_size} or less.",
        )
    return PpmiTable(vocab_size, kind.width, cache)


def fitted(
    table: Table, tokenizer: Tokenizer, embedding: EmbeddingConfig
) -> tuple[FixedTable, tuple[Note, ...]]:
    """A table cut to the tokenizer's vocabulary, and a note if there was something to cut.

    Raises:
        InputError: it has too few rows, or not the width that was asked for.
    """
    rows, width = table.shape
    size = tokenizer.vocab_size
    name = embedding.name
    if rows < size:
        turned = " It looks transposed." if width == size else ""
        raise InputError(
            f"--embedding {name}: the table has {counted(rows, 'row')} of width {width}, and tokenizer {tokenizer.name} has "
            f"{counted(size, 'token')}.{turned}",
            hint="Table and tokenizer must be of one model.",
        )
    if embedding.width not in (0, width):
        raise InputError(
            f"--embedding {name}: the table is {width} wide, and the recipe asks for {embedding.width}.",
            hint=f"To use it, add --set embedding.width={width}.",
        )
    if rows == size:
        return fixed(table), ()
    message = (
        f"Embedding {name} has {counted(rows, 'row')}, tokenizer {tokenizer.name} has {counted(size, 'token')}: rows from {size} on "
        "are left out."
    )
    return fixed(np.ascontiguousarray(table[:size])), (Note("embedding-rows-unused", message, "warning"),)


def read_only(table: Table) -> Table:
    """The same table, protected against writing."""
    table.flags.writeable = False
    return table
