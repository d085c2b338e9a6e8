"""The HTML: one file, no scripts, no requests, sound structure, readable contrast in light and dark."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from report_cases import LANGUAGES, MATRIX, full_summary, html, published, report, results, simulated

from cvfp_cli.reports.charts import LogScale
from cvfp_cli.reports.model import Report
from cvfp_cli.scaling.ticks import compact, label_log_axes, tick_labels

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)

VOID = {"meta", "link", "br", "img", "hr", "input"}
SVG_LEAVES = {"path"}


class Page(HTMLParser):
    """Collects elements and checks that they close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def matrix() -> Report:
    return report(published(MATRIX))


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_fetched_and_nothing_runs(matrix: Report, language: str) -> None:
    text = html(matrix, language)
    page = Page(text)
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "iframe", "object", "embed", "img", "form", "input", "video"}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,"
    assert "url(" not in text
    assert "@import" not in text
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("language", LANGUAGES)
def test_structure_is_sound(matrix: Report, language: str) -> None:
    page = Page(html(matrix, language))
    assert page.all("html") == [{"lang": language}]
    assert len(page.all("h1")) == 1
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in identifiers
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            for reference in (attributes.get(name) or "").split():
                assert reference in identifiers
    names = [item["aria-label"] for item in page.all("div") if item.get("role") == "group"]
    assert len(names) == len(set(names))
    assert all(heading.get("scope") in ("row", "col") for heading in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert any("viewport" in str(item.get("name")) for item in page.all("meta"))


def test_what_comes_from_data_is_text() -> None:
    evil = "<script>alert(1)</script>\"'&"
    document = report(
        results(simulated(), data={evil: evil}, recipe={"name": evil, "overrides": {evil: evil}}), title=evil
    )
    page = Page(html(document))
    assert not page.all("script")
    assert any(evil in text for text in page.texts)


def test_charts_are_drawn_with_a_name_and_a_legend(matrix: Report) -> None:
    page = Page(html(matrix))
    charts = [item for item in page.all("svg") if item.get("class") == "chart"]
    assert len(charts) == 5  # first page, parameters, effective rank, laws, training against validation
    assert all(item.get("role") == "group" and item.get("aria-describedby") for item in charts)
    assert len(page.all("figure")) == 5
    dashed = [item for item in page.all("path") if item.get("class") == "line beyond"]
    assert len(dashed) == 2 * 9
    numbers = re.findall(r'd="([^"]*)"', html(matrix))
    assert not any("nan" in path or "inf" in path for path in numbers)


def test_of_very_many_lines_the_lowest_are_drawn_and_it_says_so() -> None:
    document = report(results(simulated(layers=range(1, 5), tokens=range(1, 5))))
    text = html(document)
    assert "the 12 lowest of 16 configurations" in text


def test_phone_print_and_both_schemes_are_provided(matrix: Report) -> None:
    text = html(matrix)
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem", "overflow-x: auto"):
        assert rule in text


def rules(text: str) -> dict[str, str]:
    """The style sheet's rules on screen, selector to declarations; what is for print or phones is left out."""
    style = re.search(r"<style>\n(.*?)</style>", text, re.DOTALL)
    assert style is not None
    screen = re.sub(r"/\*.*?\*/", "", style[1].split("@media (max-width")[0], flags=re.DOTALL)
    return {name.strip(): body for name, body in re.findall(r"([^{}]+)\{([^{}]*)\}", screen)}


def test_headings_may_wrap_whatever_their_columns_hold(matrix: Report) -> None:
    found = rules(html(matrix))
    assert "white-space: normal" in found["thead th"]
    for selector, body in found.items():
        if "white-space: nowrap" in body:
            assert all(part.strip().startswith(("tbody ", ".heatmap td")) for part in selector.split(","))


def test_what_scrolls_shows_it_and_can_be_reached_by_keyboard(matrix: Report) -> None:
    text = html(matrix)
    found = rules(text)
    assert found[".scroll"].count("no-repeat local") == 2
    assert found[".scroll"].count("var(--shade)") == 2
    assert "transparent) padding-box" in found[".heatmap td"]  # lets the shade shine through
    page = Page(text)
    boxes = [item for item in page.all("div") if item.get("class") == "scroll"]
    assert len(boxes) == len(page.all("table"))
    assert all(item.get("tabindex") == "0" and item.get("aria-label") for item in boxes)


def test_paper_holds_every_column(matrix: Report) -> None:
    text = html(matrix)
    printed = text[text.index("@media print") :]
    assert "overflow: visible" in printed
    assert "80pt / var(--columns)" in printed
    counts = [int(count) for count in re.findall(r'<table[^>]* style="--columns:(\d+)">', text)]
    tables = re.findall(r"<thead>(.*?)</thead>", text)
    assert counts == [head.count("<th ") for head in tables]


def contrast(first: str, second: str) -> float:
    """WCAG contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mixed(colour: str, share: float, ground: str) -> str:
    parts = [
        round(share * int(colour[i : i + 2], 16) + (1 - share) * int(ground[i : i + 2], 16))
        for i in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in parts)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(matrix: Report, scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", html(matrix), re.DOTALL)
    colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", blocks[scheme]))
    for name in ("fg", "soft", "accent", "warn"):
        assert contrast(colours[name], colours["bg"]) >= 4.5, name
    assert contrast(colours["fg"], mixed(colours["accent"], 0.40, colours["bg"])) >= 4.5
    assert contrast(colours["fg"], colours["panel"]) >= 4.5
    for name in [f"s{i}" for i in range(12)]:
        assert contrast(colours[name], colours["bg"]) >= 3.0, name


@pytest.mark.parametrize("values", [[1.0, 1.0], [3.0, 3e12], [50.0, 500.0], [0.1, 0.11], [5.0, 5.0]])
def test_axes_have_a_few_round_ticks(values: list[float]) -> None:
    scale = LogScale(values, 0.0, 100.0)
    ticks = scale.ticks()
    assert 3 <= len(ticks) <= 10
    assert all(-1e-6 <= scale.at(tick) <= 100.000001 for tick in ticks)
    assert all(-1e-6 <= scale.at(value) <= 100.000001 for value in values)


def test_ticks_are_short() -> None:
    assert [compact(value) for value in (200, 50e3, 1.5e6, 0.25, 2e12)] == [
        "200",
        "50k",
        "1.5M",
        "0.25",
        "2T",
    ]


def test_ticks_close_together_are_told_apart() -> None:
    assert tick_labels([3.051, 3.052, 3.053]) == ["3.051", "3.052", "3.053"]
    assert tick_labels([100.0, 200.0, 500.0]) == ["100", "200", "500"]


@pytest.mark.parametrize("values", [(98.0, 702.0), (62_891.0, 1.2e7), (2.9, 3.4), (3.0501, 3.0533)])
def test_pictures_and_the_page_name_their_ticks_alike(values: tuple[float, float]) -> None:
    figure = pytest.importorskip("matplotlib.figure")
    axes = figure.Figure().subplots()
    scale = LogScale(values, 0.0, 100.0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for limits in (axes.set_xlim, axes.set_ylim):
        limits(10.0**scale.low, 10.0**scale.high)
    label_log_axes(axes)
    for axis in (axes.xaxis, axes.yaxis):
        names = [label.get_text() for label in axis.get_ticklabels()]
        assert names == tick_labels(scale.ticks())
        assert len(set(names)) == len(names) >= 3
        assert not axis.get_ticklabels(minor=True)
        assert not any("10^" in name or "e" in name for name in names)


def test_a_summary_with_everything_is_shown() -> None:
    page = Page(html(report(full_summary(simulated())), "ja"))
    assert any("pydocs" in text for text in page.texts)
