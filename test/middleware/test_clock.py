# SPDX-License-Identifier: Apache-2.0
"""Ages go by a clock that a suspend does not stop."""

from __future__ import annotations

import time

import pytest

from safe_transfer_ros.middleware import clock


def test_it_is_the_clock_that_counts_suspension(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= clock.now_ns() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    asked: list[int] = []
    monkeypatch.setattr(time, "clock_gettime_ns", lambda number: asked.append(number) or 7)
    assert clock.now_ns() == 7 and asked == [time.CLOCK_BOOTTIME]
