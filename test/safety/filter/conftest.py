# SPDX-License-Identifier: Apache-2.0
"""Control loops in both modes."""

from __future__ import annotations

import pytest
from control_loops import Loop


@pytest.fixture
def realtime(rig):
    return lambda **changes: Loop(rig, **changes)


@pytest.fixture
def lockstep(rig):
    return lambda **changes: Loop(rig, lockstep=True, **changes)
