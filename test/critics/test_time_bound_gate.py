# SPDX-License-Identifier: Apache-2.0
"""A critic that is late, stuck or broken cannot keep the filter waiting, and never passes for one that agreed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from proposed import proposed

from safe_transfer_ros.critics.time_bound_gate import TimeBoundGate
from safe_transfer_ros.safety.critic.gate import ask
from safe_transfer_ros.safety.filter.proposal import Proposal
from safe_transfer_ros.safety.reasons import Reason, Verdict

ZEROS = np.zeros(2)


class Critic:
    """Answers with the sample, when it is let."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.error: Exception | None = None
        self.asked = 0

    def judge(self, observation: Any, proposal: Proposal, torque_limit: float) -> Any:
        self.asked += 1
        assert self.gate.wait(30.0)
        if self.error:
            raise self.error
        return proposal.effort, 0.25, Verdict.ACCEPTED, Reason.NONE


def question(number: float) -> tuple[Any, ...]:
    return ZEROS, proposed(ZEROS, ZEROS + 1.0, ZEROS + number), 1.0


def test_an_answer_in_time_is_passed_on() -> None:
    critic = Critic()
    critic.gate.set()
    bounded = TimeBoundGate(critic, 30.0)
    for number in range(100):
        effort, risk, _, _ = bounded.judge(*question(number))
        assert (effort[0], risk) == (number, 0.25)


def test_a_late_answer_is_never_taken_for_the_next_question() -> None:
    critic = Critic()
    bounded = TimeBoundGate(critic, 0.02)
    with pytest.raises(TimeoutError, match=r"within 0\.02 s"):
        bounded.judge(*question(1.0))
    with pytest.raises(TimeoutError, match="still busy"):
        bounded.judge(*question(2.0))
    assert critic.asked == 1, "a stuck critic is not asked again"
    critic.gate.set()
    bounded._timeout_s = 30.0
    while True:
        try:
            effort, *_ = bounded.judge(*question(3.0))
            break
        except TimeoutError:
            continue
    assert effort[0] == 3.0


def test_what_it_raises_is_a_refusal() -> None:
    critic = Critic()
    critic.gate.set()
    critic.error = ZeroDivisionError("nothing learned yet")
    array = np.zeros(2)
    proposal = Proposal(
        stamp_ns=0, iteration=0, episode=0, step=0, last=False, policy_version=0, mean=array, stddev=array, effort=array
    )
    answer = ask(TimeBoundGate(critic, 30.0), lambda *_: array, array, array, proposal, 1.0)
    assert answer == "ZeroDivisionError: nothing learned yet"
