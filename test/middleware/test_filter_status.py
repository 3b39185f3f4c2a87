# SPDX-License-Identifier: Apache-2.0
"""Status of the filter: a trip is told with its cause whatever else there is to tell at that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from listener_bench import ListenerBench, started
from safe_transfer_msgs.msg import FilterStatus

from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.filter_rules import filter_rules
from safe_transfer_ros.middleware.filter_status import FilterStatusPublisher
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.safety.reasons import REASON_TEXT, Reason
from safe_transfer_ros.tasks.deployment import in_graph


@pytest.fixture
def bench() -> Iterator[ListenerBench]:
    with started(ListenerBench) as bench:
        yield bench


def test_a_trip_is_told_with_its_cause_whatever_it_is_told_with(bench: ListenerBench) -> None:
    """That the last listener is there, a limit refused: an operator must not read a trip without a word."""
    graph = in_graph("pr2_cup_swirl")
    rules = filter_rules(ExperimentParameters(), FilterParameters(), graph, graph.view(0, lockstep=True), None)
    arm_says = "the arm: the user stop is pressed"
    status = FilterStatusPublisher(
        bench.node("filter"), rules, unheard=lambda: "", arm=lambda: arm_says, critic_version=lambda: ""
    )
    told: list[FilterStatus] = []
    topics.FILTER_STATUS.listen(bench.nodes[0], told.append)

    def after(tell: Callable[[], None]) -> str:
        told.clear()
        tell()
        bench.until(lambda: bool(told), "the status")
        return str(told[-1].message)

    assert after(lambda: status.tell(accepted=True)) == "", "nothing stands in the way"
    rules.trip(Reason.NO_PERMISSION, 1)
    no_permission = REASON_TEXT[Reason.NO_PERMISSION]
    assert after(lambda: status.tell(accepted=True)) == no_permission
    assert after(lambda: status.tell(accepted=False, message="a limit")) == f"a limit; {no_permission}"
    rules.trip(Reason.ARM_STOPPED, 2)
    assert after(status.tell_changes).endswith(f"{REASON_TEXT[Reason.ARM_STOPPED]}; {arm_says}")
    arm_says = ""
    assert after(lambda: status.tell(accepted=True)).endswith("the user stop is pressed"), "it was let go meanwhile"
