"""The site builds without a warning, its links lead somewhere, and it asks the network for nothing."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
# Elements that a browser fetches without being asked, and the attribute that names what it fetches.
FETCHED = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "input": "src",
    "object": "data",
    "script": "src",
    "source": "src",
    "track": "src",
    "video": "src",
}
FETCHED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest"}
STYLE_URL = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")


@dataclass
class Page(HTMLParser):
    """What a page names: its anchors, where its links go, and what a browser fetches to show it."""

    text: str
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.resources += STYLE_URL.findall("\n".join(re.findall(r"(?s)<style.*?</style>", self.text)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and FETCHED_LINKS & set(values.get("rel", "").split()):
            self.resources.append(values["href"])
        if values.get(FETCHED.get(tag, "")):
            self.resources.append(values[FETCHED[tag]])
        self.resources += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]
        self.resources += STYLE_URL.findall(values.get("style", ""))


@dataclass(frozen=True)
class Site:
    """A built site; paths are relative to its folder."""

    folder: Path
    said: str

    @cached_property
    def pages(self) -> dict[str, Page]:
        """All pages but the one that a server shows for a wrong address."""
        return {
            path.relative_to(self.folder).as_posix(): Page(path.read_text(encoding="utf-8"))
            for path in sorted(self.folder.rglob("*.html"))
            if path.name != "404.html"
        }

    def dead(self, at: str, link: str) -> str | None:
        """Why a link on page ``at`` leads nowhere; None where it does lead somewhere or off the site."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return None
        path = os.path.normpath(Path(at).parent / unquote(parts.path)) if parts.path else at
        target = "index.html" if path == "." else Path(path).as_posix()
        if not (self.folder / target).is_file():
            return f"{at}: {link} is no file"
        anchor = unquote(parts.fragment)
        if anchor and target in self.pages and anchor not in self.pages[target].anchors:
            return f"{at}: {link} has no such anchor"
        return None


def build(config: Path, folder: Path) -> Site:
    """Build a site strictly: a warning is an error."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return Site(folder, built.stdout + built.stderr)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return build(ROOT / "mkdocs.yml", tmp_path_factory.mktemp("docs") / "site")


def test_nothing_is_warned_about(site: Site) -> None:
    assert "WARNING" not in site.said


def test_every_page_is_built_and_in_the_navigation(site: Site) -> None:
    docs = ROOT / "docs"
    sources = {
        path.relative_to(docs).with_suffix(".html").as_posix()
        for kind in ("md", "ipynb")
        for path in docs.rglob(f"*.{kind}")
    }
    assert sources == set(site.pages)
    reached = {urlsplit(link).path for link in site.pages["tutorial.html"].links}
    # A study's page is in the navigation, and its reports are linked from there.
    reports = {page for page in sources if re.fullmatch(r"studies/\w+/report(\.ja)?\.html", page)}
    assert sources - reports <= reached
    for page in reports:
        study, _, name = page.rpartition("/")
        assert name in {urlsplit(link).path for link in site.pages[f"{study}/index.html"].links}


def test_every_link_and_anchor_leads_somewhere(site: Site) -> None:
    dead = [site.dead(at, link) for at, page in site.pages.items() for link in page.links]
    assert [reason for reason in dead if reason] == []


def test_nothing_is_fetched_from_the_network(site: Site) -> None:
    fetched = [(at, name) for at, page in site.pages.items() for name in page.resources]
    assert fetched  # the styles at least
    assert [each for each in fetched if urlsplit(each[1]).netloc] == []
    assert [reason for reason in (site.dead(at, name) for at, name in fetched) if reason] == []


def test_no_style_fetches_from_the_network(site: Site) -> None:
    styles = sorted(site.folder.rglob("*.css"))
    assert styles
    for style in styles:
        urls = STYLE_URL.findall(style.read_text(encoding="utf-8"))
        assert [url for url in urls if urlsplit(url).netloc] == [], style.name


def test_no_formula_is_left_as_tex(site: Site) -> None:
    method = site.pages["method.html"].text
    assert method.count("<math") > 20
    assert [at for at, page in site.pages.items() if "arithmatex" in page.text] == []


def test_no_markdown_is_left_as_text(site: Site) -> None:
    # Lists and tables that another Markdown would see, and this one does not: a blank line or indent is missing.
    raw = re.compile(
        r"<p>(?:(?!</p>).)*?(?:^|<p>)(?:\||- |\* |1\. |```|~~~)(?:(?!</p>).)*</p>", re.DOTALL | re.MULTILINE
    )
    found = [(at, raw.findall(page.text)) for at, page in site.pages.items()]
    assert [each for each in found if each[1]] == []


def test_the_japanese_tutorial_says_its_language(site: Site) -> None:
    assert '<html lang="ja"' in site.pages["tutorial.ja.html"].text
    assert '<html lang="en"' in site.pages["tutorial.html"].text


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_between_the_repository_s_files_resolve(name: str) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", (ROOT / name).read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and parts.path:
            assert (ROOT / unquote(parts.path)).exists(), link


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<a href="gone.html">x</a>', "is no file"),
        ('<a href="#gone">x</a>', "has no such anchor"),
        ('<a href="other.html#gone">x</a>', "has no such anchor"),
    ],
)
def test_a_dead_link_is_found(tmp_path: Path, body: str, wrong: str) -> None:
    (tmp_path / "index.html").write_text(body + '<a href="other.html#here">y</a>', encoding="utf-8")
    (tmp_path / "other.html").write_text('<p id="here">z</p>', encoding="utf-8")
    page = Site(tmp_path, "").pages["index.html"]
    found = [Site(tmp_path, "").dead("index.html", link) for link in page.links]
    assert found[1] is None
    assert wrong in (found[0] or "")


@pytest.mark.parametrize(
    "body",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/x.css">',
        '<img srcset="https://pictures.example/x.png 2x">',
        "<style>@import 'https://fonts.example/x.css';</style>",
        '<p style="background: url(https://pictures.example/x.png)">',
    ],
)
def test_what_would_be_fetched_is_seen(body: str) -> None:
    assert [name for name in Page(body).resources if urlsplit(name).netloc]
