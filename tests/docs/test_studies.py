"""The studies of docs/studies: each report is what ``cvfp report`` makes of the runs beside it.

``python tests/docs/test_studies.py`` writes the reports anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.pinned_only("figures to the last digit that is printed")

STUDIES = Path(__file__).parents[2] / "docs" / "studies"
NAMES = sorted(path.name for path in STUDIES.iterdir() if path.is_dir())
# A number with its thousands set off by commas.
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
FILES = {"en": "report.md", "ja": "report.ja.md"}


def report(name: str, language: str) -> str:
    """The report, made in the study's folder, as its page says."""
    folder = STUDIES / name
    results = sorted(path.name for path in folder.glob("summary*.json"))
    made = subprocess.run(
        [sys.executable, "-m", "cvfp_cli", "report", *results, "--lang", language],
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return made.stdout


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", FILES)
def test_a_report_is_made_of_its_runs_alone(name: str, language: str) -> None:
    made, kept = report(name, language), (STUDIES / name / FILES[language]).read_text(encoding="utf-8")
    assert NUMBER.sub("#", made) == NUMBER.sub("#", kept)
    for mine, theirs in zip(NUMBER.findall(made), NUMBER.findall(kept), strict=True):
        # Ends of profiles agree to 0.01 %: the last digit of a number that shows more is the processor's.
        if mine != theirs and len(theirs.replace(",", "").replace(".", "").lstrip("0")) > 5:
            mine, theirs = (float(number.replace(",", "")) for number in (mine, theirs))
            assert mine == pytest.approx(theirs, rel=1e-4)
        else:
            assert mine == theirs


def test_every_study_is_in_the_table() -> None:
    index = (STUDIES / "index.md").read_text(encoding="utf-8")
    assert all(f"({name}/index.md)" in index for name in NAMES)


if __name__ == "__main__":
    for study in NAMES:
        for tongue, file in FILES.items():
            (STUDIES / study / file).write_text(report(study, tongue), encoding="utf-8", newline="\n")
