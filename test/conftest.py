# SPDX-License-Identifier: Apache-2.0
"""Which tests run side by side: `make test` runs two workers.

Tests of real processes look at time, so they run one after the other on one worker, from the beginning; other files go
to whoever is free, and stand back while a test of processes wants the processor. So do those in test/graphs: a graph in
lockstep gives the same numbers however late its processes are.
(pytest-xdist's own groups rename tests in a way that pytest 9.2 has no place for.)
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from safe_transfer_ros.middleware import dds

dds.set_defaults()  # the tests' own nodes talk as ours do

# A machine with other work may be slow to draw examples and to try one: that says nothing about what is tested.
settings.register_profile("shared", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("shared")

PROCESSES = tuple(f"test/{folder}/" for folder in ("faults", "franka", "launching", "nodes", "ros2_control"))
COLCON, GRAPHS = "test/test_colcon_build.py", "test/graphs/"
STAND_BACK = 15  # niceness


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their parameter and a number: workers must agree on names, and a zip archive holds the time."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first: tests of processes, together, and beside them the build by colcon and whole graphs."""
    first = PROCESSES, COLCON, GRAPHS
    items.sort(key=lambda item: [not item.nodeid.startswith(name) for name in first])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files, those of real processes as one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "processes" if nodeid.startswith(PROCESSES) else nodeid.split("::", 1)[0]

    config.option.loadscopereorder = False  # in the order above, not the longest files first
    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A worker that is through with tests of processes, or never had any, yields to the one that has."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.nodeid.startswith(PROCESSES):
        os.nice(max(0, STAND_BACK - os.nice(0)))
