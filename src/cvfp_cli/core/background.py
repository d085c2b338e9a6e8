"""Work beside the work at hand."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def background() -> Iterator[ThreadPoolExecutor]:
    """A thread for what is submitted within; leaving waits for nothing, and the thread ends when all is done."""
    thread = ThreadPoolExecutor(1)
    try:
        yield thread
    finally:
        thread.shutdown(wait=False)
