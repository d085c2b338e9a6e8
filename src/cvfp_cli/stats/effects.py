"""What each factor of a design does to a response: main effects by ordinary least squares."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.regression import Regression, determined


@dataclass(frozen=True)
class MainEffects:
    """The fit of a response on the levels of the factors that vary, without interactions.

    Attributes:
        levels: of each factor that varies, ascending: numbers by size, then words.
        fit: None where the design cannot tell the factors apart or leaves no freedom.
    """

    levels: dict[str, tuple[Any, ...]]
    fit: Regression | None

    def contrast(self, factor: str, low: Any, high: Any) -> Estimate | None:
        """Change of the response from one level of a factor to another."""
        if self.fit is None:
            return None
        ends = {f"{factor}={high}": 1.0, f"{factor}={low}": -1.0}
        return self.fit.contrast([ends.get(name, 0.0) for name in self.fit.names])


def main_effects(rows: Sequence[Mapping[str, Any]], y: Sequence[float], *, level: float) -> MainEffects:
    """Fit y on the factors of each row; every row has the same ones. Without y only the levels are told."""
    names = rows[0] if rows else ()
    found = {name: _ascending({row[name] for row in rows}) for name in names}
    levels = {name: values for name, values in found.items() if len(values) > 1}
    if not levels or not y:
        return MainEffects(levels, None)
    terms = [(name, value) for name, values in levels.items() for value in values[1:]]
    matrix = [[1.0, *(float(row[name] == value) for name, value in terms)] for row in rows]
    labels = ("constant", *(f"{name}={value}" for name, value in terms))
    return MainEffects(levels, determined(matrix, y, names=labels, level=level))


def _ascending(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(values, key=lambda value: (isinstance(value, str), value)))
