"""A count with its noun, as English wants it: ``1 run``, ``2 runs``, ``1,000 samples``."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """The number, its thousands parted, and the noun in the form that goes with it.

    Args:
        plural: the noun's plural where it does not just take an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
