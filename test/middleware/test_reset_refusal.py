# SPDX-License-Identifier: Apache-2.0
"""No episode is reset unless the filter is known to be still: whatever it tells, and whoever else tells it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from safe_transfer_msgs.msg import FilterStatus

from safe_transfer_ros.middleware.reset_refusal import ARMED, UNHEARD, ResetRefusal
from safe_transfer_ros.safety.reasons import Mode

GRAPH = ("mujoco_sim", "safety_filter")


def why(newest: FilterStatus | None, doubt: str = "", graph: tuple[str, ...] = GRAPH) -> str:
    return ResetRefusal(SimpleNamespace(newest=newest, doubt=doubt), graph).why()


@pytest.mark.parametrize("mode", list(Mode))
def test_it_is_refused_while_the_arm_may_move(mode: Mode) -> None:
    assert why(FilterStatus(mode=mode)) == (ARMED if mode in (Mode.ARMED, Mode.HOLDING) else "")


@pytest.mark.parametrize("mode", [4, 255])
def test_a_mode_that_stands_for_nothing_is_not_still(mode: int) -> None:
    assert why(FilterStatus(mode=mode)) == f"the safety filter's mode is {mode}, which stands for nothing"


def test_a_filter_that_was_not_heard_counts_as_armed_where_one_belongs() -> None:
    assert why(None) == UNHEARD
    assert why(None, graph=("mujoco_sim",)) == ""


def test_a_status_of_two_filters_is_none() -> None:
    for graph in (GRAPH, ("mujoco_sim",)):
        assert why(None, "safety_filter/status has 2 publishers", graph) == "safety_filter/status has 2 publishers"
