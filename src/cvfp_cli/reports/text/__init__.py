"""The words of a report: one catalogue a language, filled by the same findings."""

from cvfp_cli.reports.text.language import LANGUAGES, Language, load_language

__all__ = ["LANGUAGES", "Language", "load_language"]
