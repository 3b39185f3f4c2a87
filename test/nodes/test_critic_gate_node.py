# SPDX-License-Identifier: Apache-2.0
"""A critic sent to the real filter process: it refuses, it is replaced between episodes, it fails closed."""

from __future__ import annotations

import time
from array import array

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from filter_bench import Bench, with_parameters
from hand_made_critic import TASK, critic, version_of
from safe_transfer_msgs.msg import CriticWeights, SafetyDecision, TorqueLimit, UnsafetyEstimate

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.policies.weights import sha256_of


@pytest.fixture
def parameters(request: pytest.FixtureRequest) -> list[str]:
    more = [f"{name}:={value}" for name, value in getattr(request, "param", {}).items()]
    return ["critic:=required", *more]


class Critics:
    """The trainer's side: sends critics to the filter of a bench."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._publisher = bench.create_publisher(CriticWeights, "trainer/critic_weights", qos.LATCHED)
        bench.until(lambda: self._publisher.get_subscription_count() > 0, "the filter listens to critics")

    def send(self, data: bytes) -> str:
        """Send a critic and wait for the filter's word on it; its version."""
        version, before = version_of(data), self._bench.status
        self._publisher.publish(CriticWeights(data=array("B", data), sha256=sha256_of(data)))
        self._bench.until(lambda: self._bench.status is not before, "the filter's word on the critic")
        return version


@pytest.fixture
def critics(bench: Bench) -> Critics:
    critics = Critics(bench)
    critics.send(critic(threshold=0.05))
    return critics


def test_a_risky_proposal_is_replaced_and_a_safe_one_is_not(bench: Bench, critics: Critics) -> None:
    bench.state()
    assert bench.armed().success
    command, decision = bench.step(0, [0.04, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert decision.verdict == SafetyDecision.VERDICT_ACCEPTED and command[0] == 0.04 and decision.risk < 0.01
    assert decision.chosen == decision.proposed_effort and decision.action_names == decision.joint_names
    command, decision = bench.step(1, [5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert decision.verdict == SafetyDecision.VERDICT_RESAMPLED
    assert decision.reasons & SafetyDecision.REASON_CRITIC_RISK
    assert command[0] <= 0.0501 and decision.risk <= 0.1 and decision.proposed_effort[0] == 5.0
    assert list(decision.chosen[1:]) != [0.0] * 6, "the sample the critic let pass"
    assert command[0] == np.clip(decision.chosen[0], -decision.torque_limit, decision.torque_limit)
    assert len(decision.critic_version) == 12


def test_a_new_critic_is_taken_between_episodes_and_a_bad_one_is_not(bench: Bench, critics: Critics) -> None:
    proposal = [0.08, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    bench.state()
    assert bench.armed().success
    _, before = bench.step(0, proposal)
    version = critics.send(critic(threshold=0.09))
    assert bench.status.critic_version == version and bench.status.accepted
    _, within = bench.step(1, proposal)
    assert within.critic_version == before.critic_version != version, "not within an episode"
    assert bench.armed(False).success
    bench.state()
    assert bench.armed().success
    _, after = bench.step(2, proposal)
    assert after.critic_version == version and after.verdict == SafetyDecision.VERDICT_ACCEPTED
    assert bench.armed(False).success
    critics.send(b"no critic")
    bench.until(lambda: not bench.status.accepted, "a refusal")
    assert bench.status.message.startswith("critic refused, ") and bench.status.critic_version == version
    bench.state()
    assert bench.armed().success
    _, kept = bench.step(3, proposal)
    assert kept.critic_version == version


def test_without_the_critic_it_requires_the_filter_is_not_armed(bench: Bench) -> None:
    bench.state()
    refused = bench.armed()
    assert not refused.success and "none has come on trainer/critic_weights" in refused.message
    critics = Critics(bench)
    critics.send(critic(threshold=0.05, certified=False))
    assert "is not certified" in bench.status.message and bench.status.critic_version == ""
    bench.state()
    assert not bench.armed().success, "one that was refused is none"
    critics.send(critic(threshold=0.05))
    bench.state()
    assert bench.armed().success


@with_parameters(critic_schedule="csc", critic_chi=1.0, critic_floor=1e-5)
def test_epsilon_follows_what_was_measured_between_episodes_only(bench: Bench, critics: Critics) -> None:
    told: list[dict[str, str]] = []
    bench.create_subscription(
        DiagnosticArray,
        "diagnostics",
        lambda message: told.append({pair.key: pair.value for pair in message.status[0].values}),
        qos.RECORD,
    )
    estimates = bench.create_publisher(UnsafetyEstimate, "unsafety_monitor/estimate", qos.LATCHED)
    bench.until(lambda: estimates.get_subscription_count() > 0, "the filter listens to estimates")
    harmless = [0.04, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]  # its risk is 1.2e-4
    bench.state()
    assert bench.armed().success
    assert bench.step(0, harmless)[1].verdict == SafetyDecision.VERDICT_LEAST_RISKY, "nothing was measured yet"
    bench.until(lambda: bool(told), "diagnostics")
    assert told[-1]["critic_epsilon"] == "1e-05" and told[-1]["critic_schedule"] == "csc, no estimate: the floor"
    # .8 unsafe steps per episode: .3 (1 - .8) = .06.
    estimates.publish(UnsafetyEstimate(iteration=0, unsafety_rate=0.8 / TASK.horizon))
    time.sleep(0.3)
    bench.limits.publish(TorqueLimit(iteration=1, torque_limit=0.1, lease=Duration(sec=30)))
    bench.until(lambda: bench.status.iteration == 1, "the limit is accepted")
    assert bench.step(1, harmless)[1].verdict == SafetyDecision.VERDICT_LEAST_RISKY, "not within an episode"
    assert bench.armed(False).success
    bench.state()
    assert bench.armed().success
    assert bench.step(2, harmless)[1].verdict == SafetyDecision.VERDICT_ACCEPTED
    seen = len(told)
    bench.until(lambda: len(told) > seen, "diagnostics")
    assert told[-1]["critic_epsilon"] == "0.06" and told[-1]["critic_schedule"] == "csc, 0.8 failures per episode"
