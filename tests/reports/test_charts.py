"""Pictures as SVG: read back as a reader would, from the ticks, they hold the figures; values without a pointer too."""

import re
from dataclasses import replace
from math import exp, log
from xml.etree import ElementTree

import pytest
from report_cases import LANGUAGES, html, report, results, simulated

from cvfp_cli.reports.charts import SHAPES, colours, draw, picture_file
from cvfp_cli.reports.figures import drawn
from cvfp_cli.reports.model import Chart, Heatmap, Report, Series
from cvfp_cli.reports.text import load_language

pytestmark = pytest.mark.pinned_only("the project's own drawing; Python decides it")

EN = load_language("en")
SVG = "{http://www.w3.org/2000/svg}"
HARD = [replace(run, config=f"<b>&\"'{run.config}" + "x" * 60) for run in simulated()]


def blocks(made: Report) -> dict[str, Chart | Heatmap]:
    """Every picture of a report by its key."""
    found = (drawn(block) for section in made.sections for block in section.blocks)
    return {block.key: block for block in found if block is not None}


def parse(text: str) -> ElementTree.Element:
    """A drawing of the page, or a file, as XML."""
    return ElementTree.fromstring(text.replace(f' xmlns="{SVG[1:-1]}"', ""))


def read(scale: dict[float, float], at: float, *, even: bool) -> float:
    """The value at a place of an axis, between the two outermost ticks."""
    (low, first), (high, last) = min(scale.items()), max(scale.items())
    share = (at - first) / (last - first)
    return low + share * (high - low) if even else exp(log(low) + share * (log(high) - log(low)))


def value(label: str) -> float:
    """What a tick says: ``50k``, ``72%``, ``1e20``."""
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "%": 0.01}.get(label[-1], 1.0)
    return float(label.rstrip("kMGT%")) * factor


def axes(drawing: ElementTree.Element) -> tuple[dict[float, float], dict[float, float]]:
    """Places of the ticks by what they say, for x and y."""
    found: tuple[dict[float, float], dict[float, float]] = ({}, {})
    for text in drawing.iter("text"):
        label = text.text or ""
        if re.fullmatch(r"[\d.]+(e\d+)?[kMGT%]?", label) and text.get("text-anchor") in ("middle", "end"):
            across = text.get("text-anchor") == "middle"
            place = float(text.get("x") or 0) if across else float(text.get("y") or 0) - 4
            found[0 if across else 1][value(label)] = place
    return found


def circles(drawing: ElementTree.Element) -> list[tuple[float, float]]:
    """Centres of the first series' dots."""
    paths = [path.get("d") or "" for path in drawing.iter("path") if path.get("class") == "dot"]
    found = (re.match(r"M([-\d.]+) ([-\d.]+)a4 4", path) for path in paths)
    return [(float(match[1]) + 4, float(match[2])) for match in found if match]


@pytest.mark.parametrize("key", ["scaling", "train-validation", "rank", "cost-parameters"])
@pytest.mark.parametrize("alone", [True, False], ids=["file", "page"])
def test_points_lie_where_the_ticks_say(key: str, alone: bool) -> None:
    chart = blocks(report(results(simulated(noise=0.1))))[key]
    if key == "scaling":
        chart = replace(chart, series=chart.series[:1])
    assert isinstance(chart, Chart)
    text = (picture_file(chart, EN) if alone else draw(chart, EN, "c")) or ""
    drawing = parse(text if alone else text[text.index("<svg") : text.index("</svg>") + 6])
    x, y = axes(drawing)
    read_back = [
        (read(x, px, even="x" in chart.linear), read(y, py, even="y" in chart.linear))
        for px, py in circles(drawing)
    ]
    expected = [point for series in chart.series if series.place == 0 for point in series.points]
    assert len(read_back) >= len(expected) > 0
    for point, place in zip(expected, read_back, strict=False):
        assert place == pytest.approx(point, rel=0.01)


def test_the_band_holds_the_curve_and_the_interval_at_its_ends() -> None:
    chart = blocks(report(results(simulated(layers=(1,), tokens=(1, 2), noise=0.1))))["laws"]
    assert isinstance(chart, Chart)
    for series in chart.series:
        curve = dict(series.curve)
        for x, low, high in series.band:
            if x in curve:
                assert low < curve[x] < high
        assert series.band[0][0] == series.curve[0][0]
        assert series.band[-1][0] == series.curve[-1][0]
    drawn = parse(picture_file(chart, EN) or "")
    assert sum(path.get("class") == "band" for path in drawn.iter("path")) == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_picture_is_xml_with_title_and_description(language: str) -> None:
    words = load_language(language)
    made = report(results(HARD))
    assert {"scaling", "laws", "rank", "train-validation", "cost-seconds", "alpha"} <= set(blocks(made))
    for block in blocks(made).values():
        text = picture_file(block, words) or ""
        drawing = parse(text)
        assert drawing.get("role") == "img"
        named = (drawing.get("aria-labelledby") or "").split()
        said = [item.text or "" for item in drawing if item.get("id") in named]
        assert len(said) == 2
        assert said[1].startswith(said[0])
        assert len(said[1]) > len(said[0])
        assert "var(" not in text
        numbers = re.findall(r'(?:d|x|y|width|height)="([^"]*)"', text)
        assert not any("nan" in number or "inf" in number for number in numbers)


def test_what_a_pointer_shows_the_keyboard_and_a_screen_reader_have_too() -> None:
    chart = Chart("scaling", (Series("a", ((50_000, 585.25), (1_200_000, 194.4))),), values={"unit": "x"})
    text = draw(chart, EN, "c")
    drawing = parse(text[text.index("<svg") : text.index("</svg>") + 6])
    (series,) = (item for item in drawing.iter("g") if item.get("class") == "series")
    assert series.get("tabindex") == "0"
    assert series.get("aria-label") == "a: 50,000: 585.2; 1,200,000: 194.4"
    shown = "".join(series.find("text").itertext())  # type: ignore[union-attr]
    assert shown == "a50k: 585.2 · 1.2M: 194.4"


def test_a_series_with_very_many_sizes_stays_within_its_lines() -> None:
    points = tuple((1000.0 * 1.1**i, 500.0 / (i + 1)) for i in range(60))
    text = draw(Chart("scaling", (Series("name" * 40, points),), values={"unit": "x"}), EN, "c")
    assert text.count("<tspan") == 3
    assert "…" in text


def test_beyond_twelve_configurations_the_rest_is_one_entry() -> None:
    made = report(results(simulated(layers=range(1, 7), tokens=range(1, 6))))
    chart = blocks(made)["cost-parameters"]
    assert isinstance(chart, Chart)
    text = draw(chart, EN, "c")
    assert text.count("<li>") == 13
    assert "18 other configurations" in text
    assert text.count('class="dot"') == 30 + 13  # and those of the legend
    assert (picture_file(chart, EN) or "").count("18 other configurations") == 1


def test_a_configuration_has_one_look_in_all_charts() -> None:
    looks: dict[str, set[int | None]] = {}
    for block in blocks(report(results(simulated(layers=range(1, 5), tokens=range(1, 5))))).values():
        for series in block.series if isinstance(block, Chart) else ():
            looks.setdefault(series.label, set()).add(series.place)
    assert all(len(found) == 1 for found in looks.values())
    told = [place for found in looks.values() for place in found if place is not None]
    assert sorted(told) == list(range(12))


def test_no_two_looks_are_alike() -> None:
    palette = colours()
    looks = {(palette[f"s{i}"], SHAPES[i % len(SHAPES)]) for i in range(12)}
    assert len(looks) == len({colour for colour, _ in looks}) == 12


def test_a_heatmap_file_holds_every_figure_with_its_mark_and_better_is_warmer() -> None:
    heatmap = blocks(report(results(simulated(token_effect=-0.6, noise=0.001))))["best_ppl"]
    assert isinstance(heatmap, Heatmap)
    drawing = parse(picture_file(heatmap, EN) or "")
    texts = [text.text for text in drawing.iter("text")]
    for row in heatmap.cells:
        for cell in row:
            mark = {"": "", "best": " ★", "tied": " ≈"}[cell.mark]
            assert f"{cell.value:.0f}{mark}" in texts or f"{cell.value:.1f}{mark}" in texts
    fills = [rect.get("fill") or "" for rect in drawing.iter("rect") if rect.get("fill")]
    values = [cell.value for row in heatmap.cells for cell in row]
    darkest = min(range(len(fills)), key=lambda i: int(fills[i][1:3], 16))
    assert values[darkest] == min(values)  # type: ignore[type-var]


def test_huge_ranges_and_what_did_not_finish_are_drawn() -> None:
    runs = [
        replace(run, val_ppl=(run.val_ppl or 1.0) * 10.0 ** (60 * (i % 4)), val_loss=None)
        for i, run in enumerate(simulated())
    ]
    runs[3] = replace(runs[3], status="diverged", val_ppl=None)
    for block in blocks(report(results(runs))).values():
        text = picture_file(block, EN) or ""
        parse(text)
        assert not re.search(r'd="[^"]*(nan|inf)', text)


@pytest.mark.parametrize(
    "runs", [simulated(samples=(100,)), simulated(layers=(1,), tokens=(1,))], ids=["size", "configuration"]
)
def test_one_size_or_one_configuration_leaves_out_what_has_no_data(runs: list) -> None:  # type: ignore[type-arg]
    made = report(results(runs))
    assert "laws" not in blocks(made)
    parse(re.sub(r"^<!DOCTYPE html>|<meta[^>]*>|<link[^>]*>|<br>", "", html(made)))
