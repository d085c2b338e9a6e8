"""What pyproject.toml, the lists of versions, the citation and the package index's page say; what dev.py tests."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from trove_classifiers import classifiers

from cvfp_cli import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OFFERED = [*EXTRAS["plot"], *EXTRAS["ray"], *EXTRAS["tensorboard"]]
USERS = [Requirement(line) for line in [*PROJECT["dependencies"], *OFFERED]]


def versions(name: str) -> dict[str, Version]:
    """A constraints file: package and version."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(package): Version(version) for package, version in pairs}


def lower_bound(requirement: Requirement) -> Version:
    [bound] = [part.version for part in requirement.specifier if part.operator == ">="]
    return Version(bound)


def test_the_lowest_versions_tested_are_the_lowest_admitted() -> None:
    lowest = versions("constraints-lowest.txt")
    wanted = {canonicalize_name(requirement.name): lower_bound(requirement) for requirement in USERS}
    # Builds of older versions of torch for the CPU are not on the index.
    wanted["torch"] = versions("constraints.txt")["torch"]
    assert {name: lowest.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("extra", [*sorted(set(EXTRAS) - {"fast"}), ""])
def test_every_direct_dependency_is_pinned_within_its_range(extra: str) -> None:
    pinned = versions("constraints.txt")
    for line in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(line)
        if requirement.name != "cvfp-cli":
            version = pinned.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not in constraints.txt"
            assert version in requirement.specifier, f"constraints.txt: {requirement.name} {version}"


def test_every_classifier_is_one_that_the_index_knows() -> None:
    assert set(PROJECT["classifiers"]) <= classifiers


def test_citation_and_changelog_name_this_version_and_the_same_day() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = dict(re.findall(r"(?m)^(version|date-released): (.+)$", citation))
    released = re.findall(
        r"(?m)^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    )
    assert cited == {"version": __version__, "date-released": released[0][1]}
    assert released[0][0] == __version__


def test_the_index_s_page_has_no_relative_link() -> None:
    page = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not link.startswith("https://")] == []


def test_the_licences_page_lists_what_the_package_asks_for() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    own = re.findall(r"(?m)^\| (\S+) \| ", page.split("## What those bring along")[0])
    wanted = {canonicalize_name(requirement.name) for requirement in USERS}
    assert set(own) - {"package"} == wanted


@pytest.mark.parametrize(
    ("words", "wanted", "said"),
    [
        (["test", "study", "core"], [["-n", "2", "tests/study", "tests/core"]], ""),
        (["test", "corr"], [], "no room 'corr' in tests/; there are benchmarks, cli, core, "),
        (["demo", "core"], [], "only the job test takes rooms, not demo"),
    ],
)
def test_one_room_s_tests_run_alone(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    wanted: list[list[str]],
    said: str,
) -> None:
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    commands: list[list[str]] = []
    monkeypatch.setattr(dev, "environment", lambda *_: Path("programs"))
    monkeypatch.setattr(dev, "run", lambda command, **_: commands.append(command[3:]))
    monkeypatch.setattr(sys, "argv", ["dev.py", *words])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which dev.py sets
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")  # and removes
    if said:
        with pytest.raises(SystemExit):
            dev.main()
    else:
        dev.main()
    assert commands == wanted
    assert said in capsys.readouterr().err
