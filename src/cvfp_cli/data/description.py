"""What a study's data were, for ``summary.json``, and what a reader should know about them."""

from collections.abc import Mapping
from dataclasses import dataclass

from cvfp_cli.counting import counted
from cvfp_cli.data.cache import content_hash
from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.selection import SelectedTexts
from cvfp_cli.data.sources import TextSource
from cvfp_cli.data.stream import TokenStream
from cvfp_cli.data.tables import FixedTable, Tables
from cvfp_cli.data.tokenizer import Tokenizer
from cvfp_cli.notes import Note

Run = tuple[int, int | None]  # samples, data seed
_SHOWN = 5  # characters named in one note

Streams = tuple[TokenStream, TokenStream]  # training, validation


@dataclass(frozen=True)
class Settings:
    """The data tables of a study, as given."""

    data: DataConfig
    validation: ValidationConfig
    tokenizer: TokenizerConfig
    embedding: EmbeddingConfig


def identical_texts(selection: SelectedTexts, streams: Mapping[Run, Streams]) -> dict[int, int]:
    """For each training size, how many validation samples stand word for word among the training samples.

    Where runs validate on their own tails, the samples wholly inside it count; of several data seeds, the worst.
    """
    found: dict[int, int] = {}
    for (samples, seed), (train, _) in streams.items():
        texts = selection.train[seed][:samples]
        held = selection.validation or texts[train.samples :]
        seen = set(texts[: train.samples])
        found[samples] = max(found.get(samples, 0), sum(text in seen for text in held))
    return found


def remarks(
    identical: Mapping[int, int], tokenizer: Tokenizer, asked_size: int | None, selection: SelectedTexts
) -> list[Note]:
    """Notes on texts that stand on both sides, and on a tokenizer: smaller than asked for, or without some characters."""
    texts = dict.fromkeys(text for part in (selection.validation, *selection.train.values()) for text in part)
    notes = []
    worst = max(identical.values())
    if worst:
        message = f"{counted(worst, 'validation sample stands', 'validation samples stand')} word for word among the training samples."
        notes.append(Note("identical-texts", message, "warning"))
    if asked_size is not None and tokenizer.vocab_size < asked_size:
        message = (
            f"Tokenizer {tokenizer.name} has {counted(tokenizer.vocab_size, 'token')}: the training samples hold no more "
            "pairs to merge."
        )
        notes.append(Note("tokenizer-smaller", message))
    lost = tokenizer.lost_characters(list(texts))
    if lost:
        common = sorted(lost, key=lambda character: (-lost[character], character))
        shown = ", ".join(ascii(one) if not one.isprintable() else f"'{one}'" for one in common[:_SHOWN])
        message = (
            f"Tokenizer {tokenizer.name} has no token for {len(lost)} of the text's characters ({shown}"
            f"{', ...' if len(lost) > _SHOWN else ''}), which stand {sum(lost.values())} times in it: its bits per "
            "byte are not comparable."
        )
        notes.append(
            Note(
                "tokenizer-loses-text",
                message,
                "warning",
                {"tokenizer": tokenizer.name, "characters": len(lost), "times": sum(lost.values())},
            )
        )
    return notes


def describe(
    settings: Settings,
    source: TextSource,
    tokenizer: Tokenizer,
    trained_on: int,
    table: Tables,
    held: TokenStream | None,
    identical: Mapping[int, int],
) -> dict[str, object]:
    """The ``data`` table of ``summary.json``.

    Every entry called ``fingerprint`` is the same whatever sizes a command trains, so that they identify the study.

    Args:
        settings: the study's data tables; a 0 that stood for a size of the study written out.
        source, tokenizer, table: what they came to.
        trained_on: samples that the tokenizer was trained on; 0 for a pretrained one.
        held: the validation stream; None where each run validates on its own tail.
        identical: what :func:`identical_texts` found.
    """
    data, validation = settings.data, settings.validation
    reading = [data.split if source.has_splits else "", data.text_field, data.messages, data.max_tokens]
    if data.lines:
        reading.append("lines")
    validated: list[object] = [validation.separator, held.fingerprint if held else validation.source]
    described: dict[str, object] = {
        "source": {
            "name": source.name,
            "kind": source.kind,
            "split": data.split if source.has_splits else None,
            "text_field": data.text_field,
            "messages": data.messages,
            "max_tokens": data.max_tokens,
            "fingerprint": source.fingerprint,
            **source.details,
        },
        "fingerprint": content_hash([source.fingerprint, reading, validated, tokenizer.fingerprint]),
        "tokenizer": {
            "name": tokenizer.name,
            "vocab_size": tokenizer.vocab_size,
            "samples": settings.tokenizer.samples or None,
            "trained_on_samples": trained_on or None,
            "fingerprint": tokenizer.fingerprint,
        },
        "embedding": {
            "name": settings.embedding.name,
            "embed_dim": table.width,
            **({"fingerprint": table.identity} if isinstance(table, FixedTable) else {}),
        },
        "validation": _validation(validation),
        "overlap": {"identical_texts": {str(samples): count for samples, count in sorted(identical.items())}},
    }
    if held is not None:
        described["validation"] = {
            **_validation(validation),
            "samples": held.samples,
            "tokens": len(held.ids),
            "bytes": held.sizes_bytes,
            "fingerprint": held.fingerprint,
        }
    return described


def _validation(config: ValidationConfig) -> dict[str, object]:
    after = {"after": config.after} if config.after else {}
    return {"source": config.source, "separator": config.separator, **after}
