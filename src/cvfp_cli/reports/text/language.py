"""Findings to sentences: fills a catalogue's templates with figures.

A template names its fields as ``{ppl:ppl}``: the finding's value ``ppl``, written as the kind ``ppl``. Besides
the kinds of ``format.py`` a field may be ``name``, ``names`` (a list, shortened), ``term``, ``terms``, ``sums``
(a list of terms, of which those joined by + are one item), ``ints`` (a list of integers), ``words`` (a small number), ``finding``,
``findings`` (a list of them), ``formula2``, ``formula3`` (a sum of terms), ``end`` (of an interval of sizes), ``s`` or ``isare``
(English forms after a count). Where the value ``x`` is None and the finding has an ``x_reason``, that takes its
place.
"""

import importlib
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvfp_cli.reports.format import KINDS, MISSING, interval, number
from cvfp_cli.reports.model import Column, Finding, Value

LANGUAGES = ("en", "ja")
PLURALS = {"s": ("", "s"), "isare": ("is", "are")}  # English endings after a count
SHOWN_NAMES = 12  # names in one list; the catalogue says how many more there are


@dataclass(frozen=True)
class Language:
    """One language's catalogue.

    Attributes:
        code: ``en`` or ``ja``.
        labels: headings, columns and terms, keyed ``section.summary``, ``column.alpha``, ``term.yes``.
        findings: a template a finding code.
        joiner, last_joiner: between the items of a list, and before its last one.
        more: template for what a shortened list leaves out.
        open_end: how an open end of an interval is written.
        number_words: small numbers from 0 on, as they are written in a sentence; digits beyond them.
    """

    code: str
    labels: Mapping[str, str]
    findings: Mapping[str, str]
    joiner: str
    last_joiner: str
    more: str
    open_end: str
    number_words: Sequence[str] = ()

    def label(self, key: str, values: Mapping[str, Any] | None = None) -> str:
        """A heading, with its fields filled."""
        return self._fill(self.labels[key], values or {})

    def heading(self, column: Column) -> str:
        """A column's heading."""
        return self.label(f"column.{column.key}", column.values)

    def term(self, word: object) -> str:
        """A fixed term; words that the catalogue does not know stay as they are."""
        return MISSING if word is None else self.labels.get(f"term.{word}", str(word))

    def sentence(self, finding: Finding) -> str:
        """A finding in words."""
        return self._fill(self.findings[finding.code], finding.values)

    def figure(self, value: Value, kind: str) -> str:
        """A table's figure, without its mark."""
        if isinstance(value.value, Finding):
            return self.sentence(value.value)
        if kind == "term":
            return self.term(value.value)
        if value.value is None or kind == "text" or isinstance(value.value, str):
            return MISSING if value.value is None else str(value.value)
        text = number(value.value, kind)
        if value.top is not None:
            text += f"-{number(value.top, kind)}"
        if value.starred:
            text += "*"
        return f"{text} {interval(value, kind, self.open_end)}" if value.bounded else text

    def _fill(self, template: str, values: Mapping[str, Any]) -> str:
        parts = []
        for text, field, spec, _ in string.Formatter().parse(template):
            parts.append(text)
            if field is not None:
                value = values[field]
                parts.append(
                    self._field(values.get(f"{field}_reason") if value is None else value, spec or "name")
                )
        return "".join(parts)

    def _field(self, value: Any, spec: str) -> str:
        if spec == "names":
            return self._listed([str(item) for item in value])
        if spec == "terms":
            return self._listed([self.term(item) for item in value])
        if spec == "sums":
            return self._listed([" + ".join(map(self.term, str(item).split("+"))) for item in value])
        if spec == "ints":
            return self._listed([number(item, "int") for item in value])
        if spec == "words":
            return self.number_words[value] if value < len(self.number_words) else number(value, "int")
        if spec in ("formula2", "formula3"):
            return _formula(value, "ratio" if spec == "formula2" else "coefficient_size")
        if spec == "finding":
            return self.sentence(value)
        if spec == "findings":
            return self._listed([self.sentence(item) for item in value])
        if spec == "term":
            return self.term(value)
        if spec in PLURALS:
            return PLURALS[spec][value not in (1, (1,))]
        if spec == "end" and isinstance(value, Finding):
            return self.sentence(value)
        if spec == "end":
            return self.open_end if value is None else number(value, "int")
        if spec == "name":
            return MISSING if value is None else str(value)
        if spec not in KINDS:
            raise KeyError(f"no kind {spec!r}")
        if isinstance(value, Value):
            return self.figure(value, spec)
        return number(value, spec)

    def _listed(self, items: list[str]) -> str:
        left_out = len(items) - SHOWN_NAMES
        if left_out > 1:
            items = [*items[:SHOWN_NAMES], self.more.format(count=left_out)]
            return self.joiner.join(items)
        if len(items) < 2:
            return "".join(items) or MISSING
        return self.joiner.join(items[:-1]) + self.last_joiner + items[-1]


def load_language(code: str) -> Language:
    """The catalogue of one of ``LANGUAGES``."""
    if code not in LANGUAGES:
        raise KeyError(code)
    catalogue: Language = importlib.import_module(f"cvfp_cli.reports.text.{code}").LANGUAGE
    return catalogue


def _formula(terms: tuple[tuple[str, float], ...], kind: str) -> str:
    """``- 0.026·(layers - 2)² + 0.005·(tokens - 2)²``."""
    signed = [
        ("-" if coefficient < 0 else "+", number(abs(coefficient), kind), name) for name, coefficient in terms
    ]
    return " ".join(f"{sign} {size}·{name}" for sign, size, name in signed)
