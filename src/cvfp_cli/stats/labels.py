"""Who shares what: runs of one size, of one draw of the samples, of one cell.

A cell is a configuration at a size; runs that are alike in all labels are its seeds.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cvfp_cli.stats.components import Rows

SIZE, DATA_SEED, CELL, SEED = "size", "data-seed", "configuration-size", "seed"


@dataclass(frozen=True)
class Labels:
    """Who shares what: one code per run, each of shape (m,).

    Attributes:
        size: which samples' number, the same for all configurations trained on them.
        configuration: which curve.
        data_seed: which draw of the samples.
    """

    size: Rows
    configuration: Rows
    data_seed: Rows

    @classmethod
    def of(
        cls,
        size: Iterable[Hashable] | ArrayLike,
        configuration: Iterable[Hashable] | ArrayLike | None = None,
        data_seed: Iterable[Hashable] | ArrayLike | None = None,
    ) -> "Labels":
        """Codes from any labels; what is left out is the same for all runs. Runs alike in all are seeds of one cell."""
        first = _codes(size)
        same = np.zeros(len(first), dtype=np.intp)
        return cls(
            first,
            same if configuration is None else _codes(configuration),
            same if data_seed is None else _codes(data_seed),
        )


def parts_of(labels: Labels) -> list[tuple[tuple[str, ...], Rows]]:
    """Parts and their groups, coarse to fine, the runs themselves last; parts with the same groups are one."""
    runs = np.arange(len(labels.size), dtype=np.intp)
    named = [
        (SIZE, labels.size),
        (DATA_SEED, _pairs(labels.size, labels.data_seed)),
        (CELL, _pairs(labels.size, labels.configuration)),
        (SEED, runs),
    ]
    classes: list[tuple[tuple[str, ...], Rows]] = []
    for name, codes in named:
        for i, (names, others) in enumerate(classes):
            # The same partition: joining the two gives no more groups than either has.
            if int(_pairs(codes, others).max()) == int(codes.max()) == int(others.max()):
                classes[i] = ((*names, name), others)
                break
        else:
            classes.append(((name,), codes))
    last = next(i for i, (names, _) in enumerate(classes) if SEED in names)
    return [*classes[:last], *classes[last + 1 :], classes[last]]


def _codes(labels: Iterable[Hashable] | ArrayLike) -> Rows:
    """Codes 0, 1, ... in the order of appearance, whatever the labels are."""
    seen: dict[Any, int] = {}
    each: Iterable[Any] = labels if isinstance(labels, Iterable) else np.asarray(labels)
    return np.array([seen.setdefault(label, len(seen)) for label in each], dtype=np.intp)


def _pairs(first: Rows, second: Rows) -> Rows:
    """Codes of what is alike in both."""
    both = first * (int(second.max()) + 1) + second
    return np.asarray(np.unique(both, return_inverse=True)[1].ravel(), dtype=np.intp)
