# SPDX-License-Identifier: Apache-2.0
"""Which tests run side by side: `make test` runs two workers.

Tests of real processes look at time, so they run one after the other, on one worker; all the others share the rest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

PROCESSES = {"faults", "launching", "nodes", "ros2_control"}
HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group them for `--dist loadgroup`; without it this changes nothing."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in PROCESSES:
            item.add_marker(pytest.mark.xdist_group("processes"))
