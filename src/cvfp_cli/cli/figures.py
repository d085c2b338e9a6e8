"""How figures look on the screen: four digits, shares as percent, times and sizes in words."""

MISSING = "–"


def four_digits(value: float | None) -> str:
    """Four significant digits, trailing zeros kept: 189.4, 0.9842, 2.672e+05."""
    return MISSING if value is None else f"{value:#.4g}".rstrip(".")


def percent(share: float | None) -> str:
    """A share as percent with one decimal."""
    return MISSING if share is None else f"{share:.1%}"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def byte_size(count: int | None) -> str:
    """``812 MB`` or ``1.6 GB`` (1 MB = 10^6 bytes)."""
    if count is None:
        return MISSING
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
