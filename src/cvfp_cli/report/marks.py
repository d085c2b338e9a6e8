"""Which figures a table marks, and how the noise behind the marks is told."""

from collections.abc import Sequence
from math import isfinite

from cvfp_cli.report.model import Finding, Mark
from cvfp_cli.stats.noise import StandardErrors, as_low_as_best


def marks(
    values: Sequence[float | None], noise: StandardErrors | None, *, level: float = 0.95
) -> tuple[Mark, ...]:
    """Mark the lowest figure best, or all that cannot be told from it; no noise estimate, no marks."""
    chosen = as_low_as_best(values, noise, level=level)
    mark: Mark = "best" if sum(chosen) == 1 else "tied"
    return tuple(mark if one else "" for one in chosen)


def noise_finding(column: str, noise: StandardErrors | None) -> Finding:
    """How the noise of a column was estimated, or that it was not."""
    if noise is None:
        return Finding("noise-unknown", {"column": column}, "note")
    values: dict[str, object] = {"column": column}
    if isfinite(noise.df):
        values["df"] = int(noise.df)
        return Finding(f"noise-{noise.method}", values, "note")
    return Finding(f"noise-{noise.method}-normal", values, "note")
