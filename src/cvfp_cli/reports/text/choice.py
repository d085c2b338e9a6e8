"""Which language a report is written in: the option, CVFP_LANG, the locale, English."""

import locale
import sys
from collections.abc import Mapping

from cvfp_cli.errors import InputError
from cvfp_cli.reports.text.language import LANGUAGES

LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def choose_language(option: str | None, environment: Mapping[str, str]) -> str:
    """``en`` or ``ja``.

    Args:
        option: ``--lang`` as given. environment: such as ``os.environ``.

    Raises:
        InputError: ``--lang`` or ``CVFP_LANG`` names a language that there is none of.
    """
    for name, asked in (("--lang", option), ("CVFP_LANG", environment.get("CVFP_LANG"))):
        if asked:
            if asked.lower() not in LANGUAGES:
                raise InputError(
                    f"{name}: no language '{ascii(asked)[1:-1][:40]}'.",
                    hint=f"There are {', '.join(LANGUAGES)}.",
                )
            return asked.lower()
    for name in LOCALE_VARIABLES:
        if environment.get(name):
            return of_locale(environment[name])
    return of_locale(_windows_language())


def of_locale(name: str) -> str:
    """The language of a locale such as ``ja_JP.UTF-8``; English for any that there is no catalogue of."""
    code = name.partition(".")[0].partition("_")[0].partition("-")[0].lower()
    return code if code in LANGUAGES else "en"


def _windows_language() -> str:
    """The locale of the Windows user interface; empty elsewhere."""
    if sys.platform != "win32":
        return ""
    import ctypes

    identifier = ctypes.windll.kernel32.GetUserDefaultUILanguage()
    return locale.windows_locale.get(identifier, "")
