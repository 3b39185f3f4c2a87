# SPDX-License-Identifier: Apache-2.0
"""Policies at work: networks that remember and follow chunks, processes whose messages come early, late or never."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from others_policies import Ppo, contract, sb3_zip

from safe_transfer_ros.learning.acting import (
    Answer,
    NetworkPolicy,
    OwnPolicy,
    ProcessPolicy,
    acting,
    answer_of,
    check_stamp,
)
from safe_transfer_ros.learning.contracted import CameraImage, ContractInTask, Sensed
from safe_transfer_ros.policies.chunk import Chunk
from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.contracted import CONTRACT, ContractedPolicy
from safe_transfer_ros.policies.foreign.importing import import_policy
from safe_transfer_ros.policies.gaussian import initial_parameters
from safe_transfer_ros.policies.loading import policy_of
from safe_transfer_ros.policies.policy import Act
from safe_transfer_ros.policies.weights import Architecture
from safe_transfer_ros.safety.filter.proposal import Distribution, Proposal
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH, N, MS = in_graph("pr2_cup_swirl"), 7, 1_000_000
STATE = Sensed(
    stamp_ns=0, position=np.zeros(N), velocity=np.zeros(N), torque_limit=1.0, observation=np.linspace(-1, 1, 18)
)
NOISE = np.ones(N)


def at(stamp_ms: float) -> Sensed:
    return dataclasses.replace(STATE, stamp_ns=round(stamp_ms * MS))


def policy(content: dict[str, Any], network: Any = None) -> ContractedPolicy:
    made = ContractedPolicy({}, {CONTRACT: read_contract(contract("process")).content})
    made.contract, made.network = read_contract(content), network
    return made


class Counting:
    """Gives how often it was asked, and keeps what it saw."""

    input_size = output_size = None
    has_log_std, description = False, "counting"

    def __init__(self, length: int = 1) -> None:
        self.length, self.seen = length, []

    def __call__(self, observation: np.ndarray) -> tuple[np.ndarray, None]:
        self.seen.append(observation)
        return (len(self.seen) + 0.1 * np.arange(self.length)[:, None] + np.zeros(N)).reshape(-1), None


def test_a_policy_of_our_own_takes_the_tasks_observation() -> None:
    own = policy_of(initial_parameters(Architecture(observation_size=18, hidden=(4,), action_size=N), 0), {})
    working = acting(own, GRAPH, lockstep=True)
    assert isinstance(working, OwnPolicy) and working.noise_size == N
    found = working.answer(at(7), NOISE, 0)
    np.testing.assert_array_equal(found.act.action, own.act(STATE.observation, NOISE).action)
    assert found.stamp_ns == 7 * MS


def test_an_imported_network_acts_with_noise() -> None:
    data = sb3_zip(Ppo(18, N))
    made = import_policy(data, read_contract(contract("sb3_ppo", "gaussian")), origin="x").policy
    working = acting(made, GRAPH, lockstep=True)
    assert isinstance(working, NetworkPolicy) and working.noise_size == N
    found = working.answer(STATE, NOISE, 0).act
    np.testing.assert_allclose(found.action, found.mean + found.stddev * NOISE)


def test_the_last_action_is_remembered_within_an_episode() -> None:
    network = Counting()
    working = acting(policy(contract("onnx", observation=[{"part": "last_action"}]), network), GRAPH, lockstep=True)
    assert working.noise_size == 0
    for _ in range(2):
        working.answer(STATE, np.empty(0), 0)
    working.begin(0)
    working.answer(STATE, np.empty(0), 0)
    assert [seen[0] for seen in network.seen[1:]] == [0.0, 2.0, 0.0]  # the first was before it began


def test_a_network_with_chunks_is_asked_when_one_is_over() -> None:
    network = Counting(length=4)
    rules = {"kind": "torque", "chunk": {"length": 4, "rate_hz": 20, "follow": 2}}
    working = acting(policy(contract("onnx", action=rules), network), GRAPH, lockstep=False)
    assert len(network.seen) == 1  # evaluated before the first action is due: that may take long
    given = [working.answer(at(stamp), np.empty(0), 0).act.action[0] for stamp in (0, 50, 100, 160, 1000)]
    np.testing.assert_allclose(given, [2.0, 2.1, 3.0, 3.1, 4.0])
    working.begin(1050 * MS)
    assert working.answer(at(1050), np.empty(0), 0).act.action[0] == 5.0


IMAGE = {"part": "image", "height": 1, "width": 2, "encoding": "mono8", "max_age": 0.1}


def seen(stamp_ms: float, image_ms: float) -> Sensed:
    pixels = np.array([[[3], [4]]], dtype=np.uint8)
    return dataclasses.replace(at(stamp_ms), image=CameraImage(stamp_ns=round(image_ms * MS), pixels=pixels))


@pytest.mark.parametrize(
    ("lockstep", "answered"),
    [
        (True, {200: True, 199: False, 201: False, 150: False}),
        (False, {200: True, 110: True, 90: False, 290: True, 310: False, 59: False}),
    ],
)
def test_a_policy_that_sees_answers_with_an_image_of_now_or_not_at_all(
    lockstep: bool, answered: dict[float, bool]
) -> None:
    network = Counting()
    working = acting(policy(contract("onnx", observation=[IMAGE]), network), GRAPH, lockstep=lockstep)
    working.begin(0)
    assert working.answer(at(200), np.empty(0), 0) is None, "there is none"
    for image_ms, expected in answered.items():
        assert (working.answer(seen(200, image_ms), np.empty(0), 0) is not None) == expected, image_ms
    assert len(network.seen) == 1 + sum(answered.values())
    np.testing.assert_array_equal(network.seen[-1], [3.0, 4.0])


def test_an_image_of_the_episode_before_is_not_this_ones() -> None:
    working = acting(policy(contract("onnx", observation=[IMAGE]), Counting()), GRAPH, lockstep=False)
    working.begin(200 * MS)
    assert working.answer(seen(210, 190), np.empty(0), 0) is None
    assert working.answer(seen(210, 200), np.empty(0), 0) is not None


def test_a_chunk_is_followed_without_another_image_until_the_next_is_due() -> None:
    rules = {"kind": "torque", "chunk": {"length": 4, "rate_hz": 20, "follow": 2}}
    content = contract("onnx", observation=[IMAGE], action=rules)
    working = acting(policy(content, Counting(length=4)), GRAPH, lockstep=True)
    working.begin(0)
    assert [working.answer(seen(stamp, 0), np.empty(0), 0) is not None for stamp in (0, 50, 100)] == [True, True, False]
    assert working.answer(seen(100, 100), np.empty(0), 0) is not None


def process(
    *, chunk: dict[str, Any] | None = None, law: str = "deterministic", lockstep: bool = False
) -> ProcessPolicy:
    rules = {"kind": "torque"} | ({} if chunk is None else {"scale": 2.0, "chunk": chunk})
    made = acting(policy(contract("process", law, action=rules)), GRAPH, lockstep=lockstep)
    assert isinstance(made, ProcessPolicy) and made.sends_chunks == (chunk is not None) and made.noise_size == 0
    return made


def proposal(stamp_ms: float, value: float = 1.0, law: str = "deterministic") -> Answer:
    action = np.full(N, value)
    return Answer(stamp_ns=round(stamp_ms * MS), act=Act(action=action, distribution=law, mean=action))


def answered(working: ProcessPolicy, stamp_ms: float, since_ms: float = 0.0) -> tuple[int, float] | None:
    found = working.answer(at(stamp_ms), np.empty(0), round(since_ms * MS))
    return None if found is None else (found.stamp_ns // MS, float(found.act.action[0]))


def test_a_proposal_keeps_its_stamp_waits_for_its_state_and_is_passed_on_once() -> None:
    working = process()
    assert answered(working, 100) is None
    working.offer(proposal(150, 3.0))
    assert answered(working, 145) is None  # its state is not here yet
    assert answered(working, 160, since_ms=150) == (150, 3.0)
    assert answered(working, 165, since_ms=150) is None


def test_a_stale_proposal_is_not_passed_on() -> None:
    working = process()
    working.offer(proposal(99))
    assert answered(working, 150, since_ms=100) is None
    with pytest.raises(ContractError, match="expected distribution deterministic, as its contract says, got gaussian"):
        working.offer(proposal(150, law="gaussian"))


CHUNK = {"length": 3, "rate_hz": 20, "follow": 2}


def chunk(stamp_ms: float, length: int = 3, period_ms: float = 50.0) -> Chunk:
    return Chunk(
        stamp_ns=round(stamp_ms * MS),
        period_ns=round(period_ms * MS),
        rows=np.arange(length, dtype=float)[:, None] + np.zeros(N),
    )


def test_chunks_of_a_process_are_followed_as_far_as_its_contract_says() -> None:
    working = process(chunk=CHUNK)
    working.begin(100 * MS)
    assert answered(working, 100) is None
    working.offer_chunk(chunk(100))
    assert [answered(working, stamp) for stamp in (100, 150, 200)] == [(100, 0.0), (150, 2.0), None]
    working.begin(150 * MS)  # another episode
    assert answered(working, 150) is None


@pytest.mark.parametrize(
    ("offered", "told"),
    [
        (chunk(100, length=2), "expected chunks of 3 actions, as its contract says, got 2"),
        (chunk(100, period_ms=20), "expected a period of 0.05 s, as its contract says, got 0.02"),
        (chunk(100, period_ms=0), "expected a period of 0.05 s, as its contract says, got 0"),
    ],
)
def test_a_chunk_of_another_kind_is_refused(offered: Chunk, told: str) -> None:
    with pytest.raises(ContractError, match=told):
        process(chunk=CHUNK).offer_chunk(offered)
    with pytest.raises(ContractError, match="expected single actions"):
        process().offer_chunk(offered)


@pytest.mark.parametrize(
    ("ahead_s", "told"), [(0.06, "0.06 s ahead of"), (1e9, "1e\\+09 s ahead of"), (-2.1, "2.1 s behind")]
)
def test_a_message_that_is_stamped_by_a_clock_is_told(ahead_s: float, told: str) -> None:
    newest_ns = 10**18
    with pytest.raises(ContractError, match=f"got one {told} the newest: copy header.stamp of joint_states"):
        check_stamp(newest_ns + round(ahead_s * 1e9), newest_ns, 0.05)
    for fine_s in (-2.0, 0.0, 0.05):
        check_stamp(newest_ns + round(fine_s * 1e9), newest_ns, 0.05)


@pytest.mark.parametrize("law", list(Distribution))
def test_a_proposal_of_a_process_is_passed_on_as_it_is(law: Distribution) -> None:
    mean, effort, bound = np.arange(7.0), np.arange(7.0) / 10.0, np.full(N, 2.0)
    drawn, squashed = law is not Distribution.DETERMINISTIC, law is Distribution.TANH_GAUSSIAN
    found = answer_of(
        Proposal(
            stamp_ns=5,
            iteration=3,
            episode=3,
            step=3,
            last=False,
            policy_version=3,
            mean=mean,
            stddev=np.full(N, 0.5) if drawn else np.zeros(N),
            effort=effort,
            distribution=law,
            bound=bound if squashed else None,
        )
    )
    assert (found.stamp_ns, found.act.distribution) == (5, law.value)
    np.testing.assert_array_equal([found.act.mean, found.act.action], [mean, effort])
    assert (found.act.stddev is not None) == drawn and (found.act.bound is bound) == squashed


def test_what_does_not_fit_the_task_does_not_begin() -> None:
    with pytest.raises(ContractError, match="for the task pr2_cup_swirl, got one for another"):
        acting(policy(contract("process", task="another")), GRAPH, lockstep=True)


def test_the_network_of_a_process_is_not_here() -> None:
    with pytest.raises(ContractError, match="has no network here"):
        ContractInTask(policy(contract("process")), GRAPH).evaluate(STATE, np.zeros(N))
