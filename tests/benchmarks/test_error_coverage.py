"""The program that measures coverage, in its small form."""

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "error_coverage.py"


def test_every_part_prints_its_table():
    ended = subprocess.run([sys.executable, str(PROGRAM), "--sets", "3"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for row in (
        r"\| joint 6x6, common 0.9, Huber \| E \| [\d.]+ \(",
        r"\| 2 sizes x 5 seeds, .* \| alpha \| no interval \| 100 % \|",
        r"\| saturating, 12 sizes, noise x4, CR2 \| law at 10x \|",
        r"\| power, 6 sizes, neighbours correlated 0.5 \| alpha \|",
        r"\| 9 \| 6 sizes x 1, .* \| 3 % \| [\d.]+% \| [\d.]+% \|",
    ):
        assert re.search(row, ended.stdout), row
