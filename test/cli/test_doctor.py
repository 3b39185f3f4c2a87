# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer doctor` as a person runs it: one line per finding, a fix for each that is not good."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def doctor(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safe_transfer_ros.cli.main", "doctor", *options],
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_every_line_has_a_verdict_and_every_fault_a_fix() -> None:
    done = doctor()
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert len(lines) > 12 and "Traceback" not in done.stderr
    for line in lines:
        verdict, rest = line[:5].strip(), line[5:]
        assert verdict in ("ok", "warn")
        assert verdict == "ok" or ": " in rest, f"no fix: {line}"
    assert any("found each other" in line for line in lines)


@pytest.mark.parametrize(("options", "status", "verdict"), [((), 0, "warn"), (("--hardware",), 1, "FAIL")])
def test_what_only_an_arm_needs_is_asked_for_only_with_one(options: tuple[str, ...], status: int, verdict: str) -> None:
    done = doctor(*options, RMW_FASTRTPS_PUBLICATION_MODE="ASYNCHRONOUS")
    assert done.returncode == status
    assert f"{verdict:5}RMW_FASTRTPS_PUBLICATION_MODE=ASYNCHRONOUS" in done.stdout
