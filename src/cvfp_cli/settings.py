"""A key of a recipe's table, as a field of the dataclass that the table fills."""

from dataclasses import field
from typing import Any


def setting(default: Any, doc: str, **told: Any) -> Any:
    """A dataclass field with what the recipe's checker, its reference and a run's identity read of it.

    Args:
        doc: one clause for people.
        told: ``min``, ``max`` and ``above`` (an open lower bound) are checked. ``needs`` (a field and its value) names
            when the key decides a run, ``identity=False`` that it never does; ``no_axis`` says why a study cannot vary
            it; ``since`` and ``before`` (its value in older runs) keep what identifies those.
    """
    return field(default=default, metadata={"doc": doc, **told})
