"""What ``report`` and ``compare`` share: reading their files, rendering, writing bytes whatever the locale."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cvfp_cli.cli.shared import check_there
from cvfp_cli.cli.terminal import say, screen

if TYPE_CHECKING:
    from cvfp_cli.reports.figures import PictureFiles
    from cvfp_cli.reports.model import Report
    from cvfp_cli.reports.text.language import Language
    from cvfp_cli.results import Results


@contextmanager
def without_collector() -> Iterator[None]:
    """Pause Python's cycle collector: a report makes a million small objects and no cycles, and looking through
    them again and again takes a quarter of its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def read_all(paths: Sequence[Path], *, recover: bool) -> "tuple[Results, ...]":
    """Read every file or folder, and say on stderr what had to be left out or recovered.

    Raises:
        InputError: one of them cannot be read.
    """
    from cvfp_cli.results import read_results

    check_there(paths)
    found = tuple(read_results(path, recover=recover) for path in paths)
    for results in found:
        for note in results.notes:
            if note.severity == "warning":
                warn(note.message)
    return found


def warn(text: str) -> None:
    """One line on stderr."""
    say(f"cvfp: warning: {' '.join(text.split())}")


class Pictures(NamedTuple):
    """Where the pictures of a report go, and the folder of the report that shows them."""

    folder: Path
    beside: Path


def rendered(report: "Report", form: str, language: "Language", pictures: Pictures | None = None) -> str:
    """A report or comparison in one of the forms of ``--format``; what people read has its warnings summed up.

    Raises:
        WorkError: a picture cannot be written.
    """
    from cvfp_cli.reports.compare import with_summed_warnings

    figures = _drawn(report, language, pictures) if pictures is not None else None
    if form == "json":
        from cvfp_cli.reports.model import dump_json

        return dump_json(report)
    if form == "csv":
        from cvfp_cli.reports.plain import render_csv

        return render_csv(report)
    report = with_summed_warnings(report)
    if form == "html":
        from cvfp_cli.reports.html import render_html

        return render_html(report, language)
    if form == "markdown":
        from cvfp_cli.reports.markdown import render_markdown

        return render_markdown(report, language, figures)
    from cvfp_cli.reports.plain import render_plain

    return render_plain(report, language, screen(sys.stdout))


def _drawn(report: "Report", language: "Language", pictures: Pictures) -> "PictureFiles":
    """The report's pictures, written into their folder."""
    from cvfp_cli.reports.figures import figures_of
    from cvfp_cli.results.atomic import make_folder, write_atomic

    figures = figures_of(report, language, *pictures)
    make_folder(pictures.folder)
    for name, data in figures.files():
        write_atomic(pictures.folder / name, data)
    return figures


def write_answer(text: str, out: Path | None) -> None:
    """Write UTF-8 with ``\\n`` to a file, or to stdout past its own encoding and line ends.

    Raises:
        WorkError: the file cannot be written.
    """
    data = text.encode("utf-8", "replace")
    if out is not None:
        from cvfp_cli.results.atomic import write_atomic

        write_atomic(out, data)
        return
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:  # a stand-in without bytes beneath, as in some notebooks
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    stream.write(data)
    stream.flush()
