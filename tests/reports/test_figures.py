"""``cvfp report --figures``: files that are there, are pictures, and are where the Markdown looks for them."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from report_cases import LANGUAGES, markdown, report, results, simulated

from cvfp_cli.cli import writing
from cvfp_cli.reports.figures import figures_of
from cvfp_cli.reports.markdown import render_markdown
from cvfp_cli.reports.model import Report
from cvfp_cli.reports.text import load_language


@pytest.fixture(scope="module")
def made() -> Report:
    return report(results(simulated()))


def written(made: Report, folder: Path, beside: Path, language: str = "en") -> str:
    return writing.rendered(made, "markdown", load_language(language), writing.Pictures(folder, beside))


def images(text: str) -> list[tuple[str, str, str]]:
    """Alternative text, picture and what it leads to, of every picture of a Markdown text."""
    found = []
    for token in MarkdownIt("gfm-like").parse(text):
        link = ""
        for child in token.children or []:
            if child.type == "link_open":
                link = str(child.attrs["href"])
            if child.type == "image":
                found.append((child.content, str(child.attrs["src"]), link))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_finds_its_pictures_and_they_are_not_blank(
    made: Report, tmp_path: Path, language: str
) -> None:
    image = pytest.importorskip("matplotlib.image")
    beside = tmp_path / "my report (1)"
    beside.mkdir()
    text = written(made, tmp_path / "fig ures", beside, language)
    shown = images(text)
    assert len(shown) == 11  # six charts and five heatmaps
    for says, picture, link in shown:
        assert len(says) > 12
        assert (picture[-4:], link[-4:]) == (".svg", ".png")
        assert re.fullmatch(r"\.\./fig%20ures/[a-z0-9-]+\.(en|ja)\.(svg|png)", picture)
        assert (beside / unquote(picture)).read_bytes().startswith(b"<svg ")
        pixels = image.imread(beside / unquote(link))
        assert pixels[..., :3].std() > 0.02
    assert "```text" not in text  # boxes give way to pictures
    names = {path.name for path in (tmp_path / "fig ures").iterdir()}
    assert names == {unquote(name).rpartition("/")[2] for item in shown for name in item[1:]}


def test_both_languages_fit_into_one_folder(made: Report, tmp_path: Path) -> None:
    names = [
        {name for _, name in figures_of(made, load_language(code), tmp_path, tmp_path).named}
        for code in LANGUAGES
    ]
    assert not names[0] & names[1]


def test_names_hold_nothing_of_the_data(tmp_path: Path) -> None:
    evil = report(
        results([replace(run, config=f"../{run.config}/\\: *", study="/etc") for run in simulated()])
    )
    for _, name in figures_of(evil, load_language("en"), tmp_path, tmp_path).named:
        assert re.fullmatch(r"[a-z0-9-]+\.en", name)


def test_families_have_pictures_of_their_own(tmp_path: Path) -> None:
    other = [replace(run, data_fingerprint="other", run_id=f"{run.run_id}b") for run in simulated(seed=2)]
    two = report(results([*simulated(), *other]))
    names = [name for _, name in figures_of(two, load_language("en"), tmp_path, tmp_path).named]
    assert {"laws.en", "laws-2.en", "alpha.en", "alpha-2.en"} <= set(names)
    assert len(names) == len(set(names))


def test_links_to_headings_still_lead_somewhere(made: Report, tmp_path: Path) -> None:
    words = load_language("en")
    text = render_markdown(made, words, figures_of(made, words, tmp_path, tmp_path))
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {
        "".join("-" if c == " " else c for c in head.lower().replace("\\", "") if c.isalnum() or c in "-_ ")
        for head in heads
    }
    for target in re.findall(r"\]\(#([^)]*)\)", text):
        assert re.sub(r"-\d+$", "", target) in slugs or target in slugs


@pytest.mark.pinned_only("the project's own text")
def test_alternative_text_cannot_end_early(tmp_path: Path) -> None:
    runs = [replace(run, config=f"a](x) [b {run.config}") for run in simulated(token_effect=-0.6)]
    figures = figures_of(report(results(runs)), load_language("en"), tmp_path, tmp_path)
    for block, name in figures.named:
        (shown,) = images(figures.link(block) or "")
        assert shown[1].endswith(f"{name}.svg")


@pytest.mark.pinned_only("the project's own text")
def test_without_figures_nothing_changes(made: Report) -> None:
    assert writing.rendered(made, "markdown", load_language("en")) == markdown(made)


def test_the_extra_is_named_where_matplotlib_is_missing(
    made: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvfp_cli.errors import InputError

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="'plot'"):
        written(made, tmp_path, tmp_path)
