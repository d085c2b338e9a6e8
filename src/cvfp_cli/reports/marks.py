"""Which figures a table marks, how the noise behind the marks is told, and what would decide between two."""

from collections.abc import Sequence
from math import isfinite

from cvfp_cli.reports.model import Finding, Mark
from cvfp_cli.stats.best import MOST, POWER, Question, needed_to_decide
from cvfp_cli.stats.labels import SEED
from cvfp_cli.stats.lines import Lines
from cvfp_cli.stats.noise import FigureNoise, as_low_as_best, best_by

MOST_NAMES = 6  # told one by one in a sentence; of more than these the tables tell which


def marks(
    values: Sequence[float | None], noise: FigureNoise | None, *, level: float = 0.95
) -> tuple[Mark, ...]:
    """Mark the lowest figure best, or all that may be the lowest; no noise estimate, no marks."""
    chosen = as_low_as_best(values, noise, level=level)
    mark: Mark = "best" if sum(chosen) == 1 else "tied"
    return tuple(mark if one else "" for one in chosen)


def tied_finding(tied: Sequence[str], every: Sequence[str]) -> Finding:
    """Who cannot be told from the best, itself among them, in the fewest names."""
    others = tuple(name for name in every if name not in tied)
    if not others:
        return Finding("tied-all" if len(every) > 2 else "tied-both", {"of": len(every)})
    if len(others) < len(tied):
        code, names = "tied-but", others
    else:
        code, names = "tied-names", tuple(tied)
    if len(names) > MOST_NAMES:
        return Finding("tied-some", {"count": len(tied), "of": len(every)})
    return Finding(code, {"others": names} if code == "tied-but" else {"names": names})


def noise_finding(column: str, noise: FigureNoise | None) -> Finding:
    """How the noise of a column was estimated, or that it was not."""
    if noise is None:
        return Finding("noise-unknown", {"column": column}, "note")
    values: dict[str, object] = {"column": column}
    if isfinite(noise.df):
        values["df"] = round(noise.df, 1)
        return Finding(f"noise-{noise.method}", values, "note")
    return Finding(f"noise-{noise.method}-normal", values, "note")


def parts_finding(lines: Lines | None) -> Finding | None:
    """Which parts of the error the runs show, which only together, and which were taken as 0."""
    if lines is None:
        return None
    seen = tuple("+".join(part.names) for part in lines.model.parts if part.variance is not None)
    if lines.model.unseen:
        return Finding("error-parts-unseen", {"seen": seen, "unseen": lines.model.unseen}, "note")
    return Finding("error-parts", {"seen": seen}, "note")


def needed_finding(
    values: Sequence[float | None], noise: FigureNoise | None, of: Question, *, level: float = 0.95
) -> Finding:
    """How many seeds or sizes would tell the lowest figure from its nearest rival at this noise."""
    found = best_by(values, noise, level=level)
    if found is None or noise is None or noise.lines is None or found.rival < 0 or noise.lines.assumed:
        return Finding("needed-unknown")
    lines = noise.lines
    low, other = values[found.best], values[found.rival]
    assert low is not None
    assert other is not None
    if low == other:
        return Finding("needed-none", {"most": MOST})
    cell, seed = lines.variances
    needed = needed_to_decide(
        other - low,
        cell_variance=cell,
        seed_variance=seed,
        sizes=len(lines.sizes),
        seeds=lines.seeds,
        configurations=len(lines.labels),
        of=of,
        step=lines.step,
        significance=1.0 - level,
    )
    if needed.seeds == lines.seeds and needed.sizes == len(lines.sizes):
        return Finding(
            "needed-unknown"
        )  # enough by itself: another rival, or the correction, stands against it
    together = any(SEED in names and len(names) > 1 for names in lines.model.told_together)
    least = "-least" if together and needed.seeds is not None else ""
    counts = {"seeds": needed.seeds, "sizes": needed.sizes, "chance": POWER}
    if needed.seeds is not None and needed.sizes is not None:
        return Finding(f"needed-both{least}", counts)
    if needed.seeds is not None:
        return Finding(f"needed-seeds{least}", counts)
    if needed.sizes is not None:
        return Finding("needed-sizes", counts)
    return Finding("needed-none", {"most": MOST})
