"""pydocs: public docstrings, no near-duplicates, an order that depends on content alone."""

import ast
import hashlib
import importlib
import importlib.metadata
import random
import subprocess
import sys
from pathlib import Path

import pytest

from cvfp_cli.data import pydocs
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.hub import Hub
from cvfp_cli.data.pydocs import PackageSources, docstrings, drop_near_duplicates, extract
from cvfp_cli.data.sources import open_source
from cvfp_cli.errors import InputError

WORDS = [f"{first}{second}" for first in "bcdfghjklmnpqrstvw" for second in ("a", "el", "ion", "um", "ory")]


def long_text(seed: int, words: int = 120) -> str:
    """More than 400 characters that share next to nothing with another seed's."""
    drawn = random.Random(seed)
    return " ".join(drawn.choice(WORDS) for _ in range(words))


def package(*contents: str, name: str = "made") -> PackageSources:
    return PackageSources(name, "1", tuple((f"m{i}.py", text.encode()) for i, text in enumerate(contents)))


MODULE = '''
"""{0}"""
import os

def public():
    """{1}"""
    def inner():
        """{9}"""

def _private():
    """{9}"""

class Public(os.PathLike):
    """{2}"""
    def method(self):
        """{3}"""
    def __len__(self):
        """{9}"""
    class Inner:
        """{4}"""

class _Private:
    """{9}"""
    def method(self):
        """{9}"""

if os.name:
    async def conditional():
        """{5}"""
try:
    pass
except OSError:
    def fallback():
        r"""{6}"""

def short():
    """Too short."""

def no_docstring():
    return """{9}"""
'''


def test_public_objects_and_modules_have_one_sample_each() -> None:
    texts = [long_text(seed) for seed in range(10)]
    source = MODULE.format(*texts).encode()
    assert sorted(docstrings("m.py", source)) == sorted(texts[:7])
    assert sorted(docstrings("sub/_m.py", source)) == sorted(texts[1:7])
    assert sorted(docstrings("_sub/__init__.py", source)) == sorted(texts[1:7])
    assert sorted(docstrings("sub/__init__.py", source)) == sorted(texts[:7])


def test_files_that_are_no_python_give_nothing() -> None:
    assert list(docstrings("m.py", b'"""' + b"x" * 500 + b'"""\nprint "hello"')) == []
    assert list(docstrings("m.py", b'"""\0"""')) == []


def test_indentation_is_cleaned_as_inspect_does() -> None:
    body = long_text(1)
    [text] = docstrings("m.py", f'def f():\n    """First.\n\n    {body}\n        deeper\n    """\n'.encode())
    assert text == f"First.\n\n{body}\n    deeper"


def test_near_duplicates_go_and_different_texts_stay() -> None:
    texts = [long_text(seed) for seed in range(40)]
    changed = [text.replace(" ", " other ", 1) for text in texts[:20]]
    longer = [f"{texts[0]} {long_text(99, 20)}"]
    unlike = [f"{' '.join(texts[1].split()[:30])} {long_text(98)}"]  # a fifth of it stands elsewhere
    assert drop_near_duplicates(texts + changed + longer + unlike) == texts + unlike
    assert drop_near_duplicates(["too few words", "too few words to compare"]) == [
        "too few words",
        "too few words to compare",
    ]


def test_order_depends_on_content_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydocs, "MIN_SAMPLES", 1)
    texts = [long_text(seed) for seed in range(30)]
    modules = [f'"""{text}"""' for text in texts]
    one = extract([package(*modules[:10]), package(*modules[10:], name="other")])
    other = extract([package(*reversed(modules), *modules[:3], name="renamed")])
    assert one == other == sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())
    fewer = extract([package(*modules[:20])])
    assert fewer == [text for text in one if text in fewer]


def test_an_installation_without_docstrings_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"finds 1 docstring .*needs 2000\. Use --data"):
        extract([package(f'"""{long_text(0)}"""', "x = 1")])
    monkeypatch.setattr(pydocs, "PACKAGES", ())
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(InputError, match=r"finds no \.py files.*Use --data"):
        pydocs.read_sources()


def test_one_changed_byte_of_a_source_changes_the_fingerprint() -> None:
    assert pydocs.fingerprint([package("a", "b")]) != pydocs.fingerprint([package("a", "c")])
    assert pydocs.fingerprint([package("ab", "")]) != pydocs.fingerprint([package("a", "b")])


def test_what_is_installed_here(cache: Cache) -> None:
    """The real packages: enough samples, real docstrings, versions recorded, kept for the next time."""
    source = open_source("pydocs", cache, Hub())
    assert len(source.texts) >= 2000
    assert min(map(len, source.texts)) > 400
    assert len(set(source.texts)) == len(source.texts)
    for name in ("numpy", "scipy", "pandas", "torch"):
        assert source.details[name] == importlib.metadata.version(name)
    statistics = ast.parse(Path(importlib.import_module("statistics").__file__).read_text())
    assert (ast.get_docstring(statistics) or "").strip() in source.texts
    from scipy.optimize import minimize

    assert (
        sum(text.startswith("Minimization of scalar function of one or more") for text in source.texts) >= 1
    )
    assert minimize.__doc__ is not None
    again = open_source("pydocs", Cache(cache.folder, notify=pytest.fail), Hub())
    assert (again.texts, again.fingerprint) == (source.texts, source.fingerprint)


def test_sources_are_not_imported() -> None:
    script = (
        "import sys; from cvfp_cli.data import pydocs; found = pydocs.read_sources(); "
        "print(len(found), *[name for name in ('scipy', 'pandas', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-OO", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages: one of files, one single module, one compiled, one with another name."""
    site = tmp_path / "site"
    for number, (name, version) in enumerate([("alpha", "1.5"), ("beta", "2.0"), ("gamma", "3.0")]):
        (site / f"{name}_dist-{version}.dist-info").mkdir(parents=True)
        info = site / f"{name}_dist-{version}.dist-info"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"{name}\n")
        if name == "beta":
            (site / "beta.py").write_text(f'"""{long_text(number)}"""')
        else:
            (site / name).mkdir()
            (site / name / "__init__.py").write_text(
                "raise SystemExit" if name == "gamma" else f'"""{long_text(number)}"""'
            )
    monkeypatch.syspath_prepend(str(site))
    return site


def test_packages_can_be_chosen(site: Path, cache: Cache) -> None:
    source = open_source("pydocs:beta,alpha,beta", cache, Hub())
    assert set(source.texts) == {long_text(0), long_text(1)}
    assert source.details == {"alpha": "1.5", "beta": "2.0"}
    other = open_source("pydocs:alpha,beta", cache, Hub())
    assert (other.fingerprint, other.texts) == (source.fingerprint, source.texts)
    assert open_source("pydocs:alpha", cache, Hub()).fingerprint != source.fingerprint
    (site / "beta.py").write_text(f'"""{long_text(7)}"""')
    assert open_source("pydocs:alpha,beta", cache, Hub()).fingerprint != source.fingerprint


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pydocs:alpha,delta9", r"no package delta9 is installed beside cvfp\. Install it \(pip install delta9, or pipx"),
        ("pydocs:alpha-dist", r"'alpha-dist' is no name of a package\. Write whole packages"),
        ("pydocs:alpah", r"no package alpah .* Did you mean pydocs:alpha\?"),
        ("pydocs:gamma", r"gamma has no docstring of more than 400 characters in 1 \.py files\. Leave it out"),
        ("pydocs:json", r"json is a part of the standard library\. Write python"),
        ("pydocs:scipy.stats", r"'scipy\.stats' is no name of a package"),
        ("pydocs:", r"'' is no name of a package"),
        ("pydocs:alpha,", r"'' is no name of a package"),
        ("pydocs:../x", r"is no name of a package"),
    ],
)  # fmt: skip
def test_packages_that_cannot_be_chosen(name: str, said: str, cache: Cache) -> None:
    with pytest.raises(InputError, match=said) as caught:
        open_source(name, cache, Hub())
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("site")
def test_a_chosen_package_is_not_imported(cache: Cache) -> None:
    with pytest.raises(InputError, match="gamma has no docstring"):  # importing it would exit
        open_source("pydocs:alpha,gamma", cache, Hub())
    assert not {"alpha", "gamma"} & set(sys.modules)
