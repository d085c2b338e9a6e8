"""A count with its noun, as English wants it: ``1 run``, ``2 runs``, ``1,000 samples``."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """The number, its thousands parted, and what goes with it.

    Args:
        noun: with one of it; a verb may follow, as in ``run is``.
        plural: with any other number; the noun with an s where it is empty.
    """
    return f"{count:,} {agreeing(count, noun, plural)}"


def agreeing(count: int, noun: str, plural: str = "") -> str:
    """The noun of ``counted`` alone, for where something stands between it and the number."""
    return noun if count == 1 else plural or noun + "s"
