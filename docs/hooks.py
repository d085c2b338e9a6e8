"""What the site's build adds to MkDocs: formulae become MathML, a page can say its own language, notebooks are pages."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File

FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Give every notebook a page with its cells and what they printed; the notebook itself stays beside it."""
    for file in [one for one in files if one.src_uri.endswith(".ipynb")]:
        notebook = json.loads(Path(file.abs_src_path).read_text(encoding="utf-8"))
        page = file.src_uri.removesuffix(".ipynb") + ".md"
        files.append(File.generated(config, page, content="\n\n".join(_cells(notebook))))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to a notebook to its page."""
    return re.sub(r"(\]\([\w./-]+)\.ipynb\)", r"\1.md)", markdown)


def _cells(notebook: dict[str, Any]) -> Iterator[str]:
    """Markdown of each cell and of each output."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
            plain = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
            # The page's headings are the notebook's own, and its tables look alike.
            answer = re.sub(r"(?m)^#+ (.*)$", r"**\1**", data.get("text/markdown", ""))
            table = re.sub(r"(?s)<style.*?</style>|(?<=<table)[^>]*", "", data.get("text/html", ""))
            rich = answer or table or f"```text\n{plain}\n```"
            yield f'<div class="output" markdown>\n\n{rich}\n\n</div>'


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
