# SPDX-License-Identifier: Apache-2.0
"""Ages go by a clock that a suspend does not stop."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from safe_transfer_ros.middleware import clock

PACKAGE = Path(clock.__file__).parents[1]
# Whoever judges how old a message is, an operator's view among them. Others only wait no longer than so long.
JUDGES = (
    "cli/watch.py",
    "commissioning/link.py",
    "middleware/controller_manager.py",
    "middleware/measured_effort.py",
    "middleware/operator_link.py",
    "middleware/standing_causes.py",
    "middleware/stop_topic.py",
    "nodes/controller_supervisor.py",
    "nodes/mujoco_sim.py",
    "nodes/safety_filter.py",
)


def test_it_is_the_clock_that_counts_suspension(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= clock.now_ns() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    asked: list[int] = []
    monkeypatch.setattr(time, "clock_gettime_ns", lambda number: asked.append(number) or 7)
    assert clock.now_ns() == 7 and asked == [time.CLOCK_BOOTTIME]
    assert clock.now_s() == pytest.approx(7e-9)


@pytest.mark.parametrize("file", JUDGES)
def test_whoever_judges_an_age_goes_by_it(file: str) -> None:
    """An arm's supervisor, too: a command heard before a suspend must not look fresh after it."""
    text = (PACKAGE / file).read_text()
    assert "clock.now_" in text
    assert "monotonic" not in text and "perf_counter" not in text
