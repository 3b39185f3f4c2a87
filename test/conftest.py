# SPDX-License-Identifier: Apache-2.0
"""Which tests run side by side: `make test` runs two workers.

Tests of real processes look at time, so they run one after the other on one worker; other files go to whoever is free.
(pytest-xdist's own groups rename tests in a way that pytest 9.2 has no place for.)
"""

from __future__ import annotations

from typing import Any

import pytest

PROCESSES = ("faults", "launching", "nodes", "ros2_control")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files, those of real processes as one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "processes" if file.startswith(tuple(f"test/{folder}/" for folder in PROCESSES)) else file

    return Scheduling(config, log)
