"""Notes and warnings as data, so that programs can act on them and every renderer words them alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["note", "warning"]


@dataclass(frozen=True)
class Note:
    """One remark about an input or a result.

    Attributes:
        code: stable machine-readable name in kebab-case, such as ``converged-inferred``.
        message: one sentence for people.
        severity: ``note`` informs; ``warning`` means a figure should be read with care.
        values: the figures and names in the message, for a renderer that words it itself.
    """

    code: str
    message: str
    severity: Severity = "note"
    values: Mapping[str, str | float] = field(default_factory=dict, hash=False)
