"""Data sets and model files in the Hugging Face hub's format: from the hub itself, or from a folder.

The hub's libraries are imported only where they are used. They wait and retry for most of a minute where there is no
network, so the hub is asked once, briefly, before they are.
"""

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from cvfp_cli.data.files import Row
from cvfp_cli.errors import InputError, WorkError, first_line

# A table other than GPT-2's needs the head's scale and bias (docs/method.md); pydocs has no split of 50,000 samples.
OFFLINE_OPTIONS = (
    "--data pydocs --validation last:40 --tokenizer bpe:4096 --embedding ppmi:256 "
    "--set head.learn_logit_scale=true --set head.logit_scale=0.05 --set head.bias=unigram"
)
OFFLINE_WAY = f"Offline: --recipe demo; or in any recipe {OFFLINE_OPTIONS}; or a local folder for each."
ANSWER_SECONDS = 5

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class HubUnreachableError(InputError):
    """Something of the hub is wanted, is not on this machine, and the hub does not answer.

    Attributes:
        wanted: what was to come from the hub, such as ``tokenizer 'gpt2'``.
        endpoint: the hub's address.
    """

    def __init__(self, wanted: Sequence[str], endpoint: str) -> None:
        super().__init__(
            f"Wanted from the hub: {', '.join(wanted)}; but {endpoint} cannot be reached and there is no copy here.",
            hint=OFFLINE_WAY,
        )
        self.wanted = tuple(wanted)
        self.endpoint = endpoint


def is_hub_name(name: str) -> bool:
    """Whether a string has the form of a name on the hub: ``NAME`` or ``OWNER/NAME``."""
    return _NAME.fullmatch(name) is not None


class Hub:
    """The hub as one command sees it: asked once whether it answers."""

    @cached_property
    def endpoint(self) -> str:
        """Address of the hub (``HF_ENDPOINT``)."""
        from huggingface_hub import constants

        return str(constants.ENDPOINT)

    @cached_property
    def reachable(self) -> bool:
        """Whether the hub answers within a few seconds; false under ``HF_HUB_OFFLINE``."""
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE:
            return False
        try:
            with urllib.request.urlopen(f"{self.endpoint}/api/models/gpt2", timeout=ANSWER_SECONDS):
                return True
        except urllib.error.HTTPError:
            return True  # it answered
        except (OSError, ValueError):
            return False

    def dataset_revision(self, name: str) -> str:
        """The commit that a data set's main branch stands at.

        Raises:
            HubUnreachableError: the hub does not answer.
            InputError: the hub has no such data set.
        """
        from huggingface_hub import HfApi

        if not self.reachable:
            raise HubUnreachableError([f"data set '{name}'"], self.endpoint)
        try:
            return str(HfApi().dataset_info(name, timeout=2 * ANSWER_SECONDS).sha)
        except _hub_errors() as error:
            raise _not_served(f"data set '{name}'", error) from error

    def model_files(self, name: str, patterns: Sequence[str], wanted: str) -> Path:
        """A local folder with those files of a model repository, downloaded where they are not here yet.

        Args:
            name: name on the hub.
            patterns: which files, as shell patterns.
            wanted: what they are for, such as ``tokenizer``.

        Raises:
            HubUnreachableError: the hub does not answer and no copy is here.
            InputError: the hub has no such repository.
        """
        from huggingface_hub import snapshot_download

        try:
            return Path(
                snapshot_download(name, allow_patterns=list(patterns), local_files_only=not self.reachable)
            )
        except _hub_errors() as error:
            if not self.reachable:
                raise HubUnreachableError([f"{wanted} '{name}'"], self.endpoint) from error
            raise _not_served(f"{wanted} '{name}'", error) from error


def dataset_rows(name: str, split: str, start: int, stop: int | None, revision: str | None) -> Iterator[Row]:
    """Rows ``start`` to ``stop`` of a split, read as a stream.

    Args:
        name: name on the hub, or the path of a folder in its format.
        split: name of the split.
        start, stop: range of rows; ``stop`` None reads to the end.
        revision: commit of a data set on the hub; None for a folder.

    Raises:
        InputError: there is no such split, or the data set cannot be read.
        WorkError: the connection broke.
    """
    import datasets
    import pyarrow as pa

    datasets.config.HF_DATASETS_TRUST_REMOTE_CODE = False  # older versions would ask whether to run a script
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    try:
        if revision is None and is_saved(Path(name)):
            loaded: Any = datasets.load_from_disk(name)
            splits: Any = loaded if isinstance(loaded, datasets.DatasetDict) else {split: loaded}
        else:
            splits = datasets.load_dataset(name, revision=revision, streaming=True)
        if split not in splits:
            raise InputError(f"{name}: no split '{split}'; there are {', '.join(splits)}.")
        length = None if stop is None else stop - start
        for number, row in enumerate(islice(splits[split].skip(start), length), start=start):
            yield f"{name}, {split} row {number}", row
    except _broken_connections() as error:
        raise WorkError(
            f"Data set '{name}' stopped coming ({first_line(error)}).", hint="Try again."
        ) from error
    except InputError:
        raise
    except (
        datasets.exceptions.DatasetsError,
        pa.ArrowException,
        OSError,
        ValueError,
        KeyError,  # the last two: of what describes a saved data set, when something is missing in it
        TypeError,
    ) as error:
        raise InputError(f"{name}: not readable as a data set ({first_line(error)}).") from error


def is_saved(folder: Path) -> bool:
    """Whether ``datasets.save_to_disk`` wrote this folder, with splits or without."""
    return has_saved_splits(folder) or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def has_saved_splits(folder: Path) -> bool:
    """Whether it wrote this folder with splits."""
    return (folder / "dataset_dict.json").is_file()


def _broken_connections() -> tuple[type[BaseException], ...]:
    """What reading on raises when the hub is gone."""
    return (ConnectionError, TimeoutError, *_http_errors())


def _hub_errors() -> tuple[type[BaseException], ...]:
    """What the hub's client raises."""
    return (OSError, ValueError, *_http_errors())


def _http_errors() -> tuple[type[BaseException], ...]:
    """What the client's HTTP library raises; it changed between versions."""
    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    found: list[type[BaseException]] = [library.HTTPError for library in libraries]
    return tuple(found)


def _not_served(wanted: str, error: BaseException) -> InputError | WorkError:
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return InputError(
            f"The hub gives {wanted} only to those who accepted its terms.", hint="Log in first."
        )
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return InputError(f"The hub has no {wanted}, and no local path is called so.", hint="Check the name.")
    return WorkError(
        f"The hub did not give {wanted} ({first_line(error)}).", hint="Try again. " + OFFLINE_WAY
    )
