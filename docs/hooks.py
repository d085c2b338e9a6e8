"""What the site's build adds to MkDocs: formulae become MathML, and a page can say its own language."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Turn the TeX that the Markdown extension arithmatex marks, ``\\(…\\)`` or ``\\[…\\]``, into MathML.

    MathML needs no script and no font from elsewhere; every current browser draws it.
    """

    def mathml(found: re.Match[str]) -> str:
        tag, marked = found.groups()
        tex = html.unescape(marked).strip()[2:-2]
        display = "block" if tag == "div" else "inline"
        return f'<{tag} class="formula">{convert(tex, display=display)}</{tag}>'

    return FORMULA.sub(mathml, content)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Mark a page with ``lang:`` in its header as being in that language: fonts and readers go by it.

    What is shown of a terminal stays English: a monospaced font for Japanese draws lines twice as wide.
    """
    language = page.meta.get("lang")
    if not language:
        return output
    output = re.sub(r'<html lang="[^"]*"', f'<html lang="{html.escape(language)}"', output, count=1)
    return output.replace("<pre>", '<pre lang="en">')
