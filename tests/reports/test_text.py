"""The catalogues: the same findings in both languages, no figures of their own, one style, fixed terms."""

import re
import string
from pathlib import Path

import pytest
from report_cases import LANGUAGES

from cvfp_cli.errors import InputError
from cvfp_cli.reports.format import KINDS
from cvfp_cli.reports.model import Finding, Value
from cvfp_cli.reports.text import load_language
from cvfp_cli.reports.text.choice import choose_language, of_locale

EN, JA = load_language("en"), load_language("ja")
ALLOWED_DIGITS = re.compile(
    r"P1|[Pp]hase-?\s?[12]|フェーズ[12]|n = 1\b|k = 1\b|\(1 |\^\(1/k\)|\(p - 1\)|10\^"
)
SPECS = {
    "name",
    "names",
    "term",
    "terms",
    "sums",
    "ints",
    "finding",
    "findings",
    "words",
    "formula2",
    "formula3",
    "end",
    "s",
    "isare",
}


def fields(template: str) -> dict[str, set[str]]:
    """Fields of a template with their kinds; English plural endings are left out."""
    found: dict[str, set[str]] = {}
    for _, field, spec, _ in string.Formatter().parse(template):
        if field is not None and spec not in ("s", "isare"):
            found.setdefault(field, set()).add(spec or "name")
    return found


def literal(template: str) -> str:
    return "".join(text for text, _, _, _ in string.Formatter().parse(template))


def everything(language: str) -> dict[str, str]:
    catalogue = load_language(language)
    return {**catalogue.labels, **catalogue.findings}


def test_both_languages_word_the_same_findings_with_the_same_figures() -> None:
    assert set(EN.labels) == set(JA.labels)
    assert set(EN.findings) == set(JA.findings)
    for key, template in everything("en").items():
        assert fields(template) == fields(everything("ja")[key]), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_has_a_known_kind(language: str) -> None:
    for key, template in everything(language).items():
        for _, field, spec, conversion in string.Formatter().parse(template):
            if field is not None:
                assert (spec or "name") in SPECS | set(KINDS), f"{key}: {spec}"
                assert conversion is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_templates_hold_no_figures_of_their_own(language: str) -> None:
    for key, template in everything(language).items():
        rest = ALLOWED_DIGITS.sub("", literal(template))
        assert not re.search(r"\d", rest), f"{key}: {rest}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_ranges_use_no_tilde_and_digits_are_half_width(language: str) -> None:
    for key, template in everything(language).items():
        assert "~" not in template, key
        assert not re.search(r"[０-９％]", template), key


def test_japanese_keeps_one_style_and_its_terms() -> None:
    for key, sentence in JA.findings.items():
        assert not re.search(r"です|ます[。、]|ません|でしょう", sentence), key
        assert not re.search(r"コンフィデンス|オーバーフィット|コンバージェンス|エフェクティブ", sentence), (
            key
        )
    for key in (key for key in JA.findings if key.startswith("undecided-")):
        assert JA.findings[key].startswith("このデータからは決まらない。"), key
    for key in (key for key in JA.findings if key.endswith("-undecided")):
        assert "このデータからは決まらない" in JA.findings[key], key
    joined = "".join(JA.findings.values()) + "".join(JA.labels.values())
    for term in ("信頼区間", "予測区間", "有効ランク", "収束", "汎化", "外挿", "固定点", "検証データ"):
        assert term in joined, term


def test_english_says_not_decided_where_nothing_is_decided() -> None:
    for key, sentence in EN.findings.items():
        if key.startswith("undecided-"):
            assert sentence.startswith("Not decided by these data:"), key


def test_a_list_is_joined_and_shortened() -> None:
    names = tuple(f"c{i}" for i in range(20))
    assert EN.sentence(Finding("not-converged", {"configs": ("a", "b", "c")})).endswith("a, b and c.")
    assert "8 more" in EN.sentence(Finding("not-converged", {"configs": names}))
    assert "ほか8件" in JA.sentence(Finding("not-converged", {"configs": names}))


def test_figures_of_each_sort() -> None:
    assert EN.figure(Value(-0.54609, -0.75, None, bounded=True), "alpha") == "-0.5461 [-0.7500, open]"
    assert JA.figure(Value(-0.54609, None, 1.0, bounded=True), "alpha") == "-0.5461 [限りなし, 1.0000]"
    assert EN.figure(Value(16, top=17), "int") == "16-17"
    assert EN.figure(Value(40, starred=True), "int") == "40*"
    assert EN.figure(Value(None), "ppl") == "-"
    assert EN.figure(Value(float("inf")), "ppl") == "-"


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (267470.0, "scientific", "2.67×10⁵"),
        (9.999e5, "scientific", "1.00×10⁶"),
        (1.2345e12, "ppl", "1.234×10¹²"),
        (1503.3, "ppl", "1,503.3"),
        (4.5, "ppl", "4.50"),
        (1181952, "million", "1.18M"),
        (0.046, "p", "0.046"),
        (9.7e-9, "p", "9.7×10⁻⁹"),
        (0.7756, "share", "77.6%"),
        (-0.104, "change", "-10.4%"),
        (0, "significant", "0"),
        (128.66, "significant", "128.7"),
        (-1e-300, "scientific", "-1.00×10⁻³⁰⁰"),
    ],
)
def test_numbers(value: float, kind: str, shown: str) -> None:
    from cvfp_cli.reports.format import number

    assert number(value, kind) == shown


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        ("ja", {"CVFP_LANG": "en"}, "ja"),
        (None, {"CVFP_LANG": "ja", "LANG": "en_US.UTF-8"}, "ja"),
        (None, {"LC_ALL": "ja_JP.UTF-8", "LANG": "en_US.UTF-8"}, "ja"),
        (None, {"LC_ALL": "", "LC_MESSAGES": "ja_JP", "LANG": "C"}, "ja"),
        (None, {"LANG": "ja_JP.eucJP"}, "ja"),
        (None, {"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"),
        (None, {"LANG": "fr_FR.UTF-8"}, "en"),
        (None, {}, "en"),
    ],
)
def test_the_language_follows_option_variable_and_locale(
    option: str | None, environment: dict[str, str], expected: str
) -> None:
    assert choose_language(option, environment) == expected


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="--lang: no language 'fr'"):
        choose_language("fr", {})
    with pytest.raises(InputError, match="CVFP_LANG: no language 'xx'"):
        choose_language(None, {"CVFP_LANG": "xx"})
    assert of_locale("ja-JP") == "ja"


def test_the_windows_interface_language_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from cvfp_cli.reports.text import choice

    monkeypatch.setattr(choice, "_windows_language", lambda: "ja_JP")
    assert choose_language(None, {}) == "ja"


GLOSSARY = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")


def test_the_glossary_s_terms_are_the_ones_in_use() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", GLOSSARY, re.MULTILINE)[1:]
    assert len(rows) > 25
    joined = "".join(JA.findings.values()) + "".join(JA.labels.values()) + JA.open_end
    for _, japanese in rows:
        for term in japanese.split("、"):
            assert term in joined, term


def test_words_that_the_glossary_bans_are_not_used() -> None:
    banned = GLOSSARY.partition("Words that are not used:")[2]
    words = re.findall(r"[ァ-ヶー]{4,}|有意|significant", banned)
    assert len(words) >= 6
    for language in LANGUAGES:
        for key, template in everything(language).items():
            assert not any(word in literal(template) for word in words), key
