"""The Japanese catalogue."""

from cvfp_cli.reports.text.ja.answers import ANSWERS
from cvfp_cli.reports.text.ja.checks import CHECKS
from cvfp_cli.reports.text.ja.figures import FIGURES
from cvfp_cli.reports.text.ja.judgements import JUDGEMENTS
from cvfp_cli.reports.text.ja.labels import LABELS
from cvfp_cli.reports.text.language import Language

LANGUAGE = Language(
    code="ja",
    labels=LABELS,
    findings={**ANSWERS, **FIGURES, **JUDGEMENTS, **CHECKS},
    joiner="、",
    last_joiner="、",
    more="ほか{count}件",
    open_end="限りなし",
)
