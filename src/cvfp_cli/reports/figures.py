"""The pictures of a report as files beside it: ``cvfp report --figures``."""

from collections.abc import Iterator
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from cvfp_cli.markdown import escape
from cvfp_cli.reports.charts import alternative, picture_file
from cvfp_cli.reports.model import Block, Chart, Heatmap, Picture, Report
from cvfp_cli.reports.text import Language

# A bracket within the text of a link is escaped, but once: others stand in while the rest is.
_HELD = str.maketrans("[]", "\ue001\ue002")
_BRACKETS = {0xE001: "\\[", 0xE002: "\\]"}


@dataclass(frozen=True)
class PictureFiles:
    """What is drawn, and where it goes.

    Attributes:
        folder: of the files. links: the way to it from the report, as a link has it.
        named: each picture once, with its file's name without the ending, which says the language.
    """

    folder: Path
    links: str
    named: tuple[tuple[Chart | Heatmap, str], ...]
    language: Language

    def link(self, block: Block) -> str | None:
        """A picture in Markdown: the SVG, which leads to the PNG; None for what is no picture."""
        shown = drawn(block)
        name = next((name for other, name in self.named if other == shown), None)
        if shown is None or name is None:
            return None
        says = escape(alternative(shown, self.language).translate(_HELD)).translate(_BRACKETS)
        return f"[![{says}]({self.links}/{name}.svg)]({self.links}/{name}.png)"

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Each file's name and what it holds.

        Raises:
            InputError: matplotlib is not installed.
        """
        from cvfp_cli.reports.plot import render_picture

        for block, name in self.named:
            yield f"{name}.svg", (picture_file(block, self.language) or "").encode()
            yield f"{name}.png", render_picture(block, self.language, "png", option="--figures")


def drawn(block: Block) -> Chart | Heatmap | None:
    """The picture that a block shows where pictures are drawn."""
    if isinstance(block, Picture):
        return block.chart or block.box
    return block if isinstance(block, Chart | Heatmap) else None


def figures_of(report: Report, language: Language, folder: Path, beside: Path) -> PictureFiles:
    """The pictures of a report, named after what they show.

    Args:
        beside: the folder that the report goes into.
    """
    shown: list[tuple[Chart | Heatmap, str]] = []
    for block in (drawn(block) for section in report.sections for block in section.blocks):
        if block is None or any(block == other for other, _ in shown):
            continue
        if picture_file(block, language) is None:
            continue
        key = block.key.replace("_", "-")
        same = 1 + sum(other.key == block.key for other, _ in shown)
        shown.append((block, f"{key}{f'-{same}' if same > 1 else ''}.{language.code}"))
    return PictureFiles(folder, _way(folder, beside), tuple(shown), language)


def _way(folder: Path, beside: Path) -> str:
    """From one folder to another, as a link has it."""
    try:
        way = Path(relpath(folder, beside)).as_posix()
    except ValueError:  # another drive
        return folder.absolute().as_uri()
    return quote(way)
