"""The laws' names, for commands that start without NumPy; each single law's module bears its name."""

POWER = "power"
JOINT = "joint"
# Of model and data size; the files and ``LAW`` as below.
JOINTS = (JOINT, "joint-coupled", "joint-epochs")
# Of one variable, simpler laws first. A law's file is its name with "_" for "-", and its law is called ``LAW`` there.
SINGLE = (POWER, "saturating", "exp-decay", "bnsl")
# The law that slopes are marked, tested and recommended by.
MAIN = POWER
# The laws whose forecasts are mixed where nobody knows which is true.
MIXED = (POWER, "saturating", "exp-decay")
# What people call them elsewhere.
OTHER_NAMES = {
    "power-law": POWER,
    "powerlaw": POWER,
    "exponential": "exp-decay",
    "exp": "exp-decay",
    "stretched": "exp-decay",
    "chinchilla": JOINT,
    "hoffmann": JOINT,
    "broken": "bnsl",
    "offset": "saturating",
}

_added: list[str] = []


def single() -> tuple[str, ...]:
    """The names of all laws of one variable, those that were added while the program runs too."""
    return (*SINGLE, *_added)


def add(name: str) -> None:
    """Make one more law's name known; see ``registry.register``."""
    if name not in single():
        _added.append(name)


def remove(name: str) -> None:
    """Forget a name that was added."""
    _added.remove(name)
