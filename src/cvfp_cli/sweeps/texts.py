"""The text and the table of each run: kept while runs share them, and made ahead of the runs that need others."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from cvfp_cli.core.background import background
from cvfp_cli.data.description import Settings
from cvfp_cli.data.stream import Text
from cvfp_cli.data.study import StudyData
from cvfp_cli.sweeps.grid import Experiment

# Data tables, training samples and data seed.
Key = tuple[Settings, int, int | None]


class Texts:
    """The text at hand, and the next one in the making.

    Args:
        data: makes them, by the data tables.
        order: the experiments to come, in order.
        ahead: whether to make the next one while a run trains, which suits devices that leave the processor idle.
    """

    def __init__(
        self, data: Mapping[Settings, StudyData], order: Sequence[Experiment], *, ahead: bool
    ) -> None:
        self._data = data
        self._order = list(order)
        self._ahead = ahead
        self._at_hand: tuple[Key, Text] | None = None
        self._coming: tuple[Key, Future[Text]] | None = None

    def of(self, experiment: Experiment) -> Text:
        """Streams and table of one experiment of the order. What failed when it was made ahead fails here."""
        key = key_of(experiment)
        if self._at_hand is None or self._at_hand[0] != key:
            self._at_hand = None  # lets go of its table before another is made
            self._at_hand = (key, self._new(key))
        if self._ahead and self._coming is None:
            self._begin_next(experiment)
        return self._at_hand[1]

    def _new(self, key: Key) -> Text:
        coming, self._coming = self._coming, None
        return coming[1].result() if coming is not None and coming[0] == key else self._make(key)

    def _begin_next(self, experiment: Experiment) -> None:
        """Make the next other text in a thread."""
        later = map(key_of, self._order[self._order.index(experiment) :])
        following = next((key for key in later if key != key_of(experiment)), None)
        if following is not None:
            with background() as thread:
                self._coming = (following, thread.submit(self._make, following))

    def _make(self, key: Key) -> Text:
        settings, samples, data_seed = key
        return self._data[settings].experiment(samples, data_seed)


def key_of(experiment: Experiment) -> Key:
    """What decides an experiment's text."""
    return experiment.settings, experiment.samples, experiment.data_seed
