# SPDX-License-Identifier: Apache-2.0
"""Studies under benchmarks/ are too long to run here; what they import is there all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PROGRAM = """
import runpy, sys
for path in sys.argv[1:]:
    runpy.run_path(path, run_name="imported")
    print(path)
"""


def test_every_benchmark_can_be_imported() -> None:
    paths = sorted(str(path) for path in BENCHMARKS.glob("*.py"))
    assert len(paths) > 20
    done = subprocess.run([sys.executable, "-c", PROGRAM, *paths], capture_output=True, text=True, cwd=BENCHMARKS)
    assert done.stdout.split() == paths, done.stderr
