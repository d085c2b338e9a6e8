"""The English catalogue."""

from cvfp_cli.reports.text.en.answers import ANSWERS
from cvfp_cli.reports.text.en.checks import CHECKS
from cvfp_cli.reports.text.en.figures import FIGURES
from cvfp_cli.reports.text.en.judgements import JUDGEMENTS
from cvfp_cli.reports.text.en.labels import LABELS
from cvfp_cli.reports.text.language import Language

LANGUAGE = Language(
    code="en",
    labels=LABELS,
    findings={**ANSWERS, **FIGURES, **JUDGEMENTS, **CHECKS},
    joiner=", ",
    last_joiner=" and ",
    more="{count} more",
    open_end="open",
    number_words=("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
)
