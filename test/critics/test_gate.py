# SPDX-License-Identifier: Apache-2.0
"""The filter's gate: critics are checked when they are offered, taken between episodes, and missed when none came."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from hand_made_critic import MISSING, critic, version_of
from proposed import proposed

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.critics.gate import CriticGate, NoCriticError
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.safety.reasons import Verdict
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH = in_graph("pr2_cup_swirl")


def judged(gate: CriticGate, first_torque: float) -> Verdict:
    sample = np.zeros(7)
    sample[0] = first_torque
    return gate.judge(np.zeros(18), proposed(np.zeros(7), np.full(7, 0.05), sample), 1.0)[2]


def test_nothing_is_judged_before_a_critic_has_come_and_been_taken() -> None:
    gate = CriticGate(GRAPH, FilterParameters(), seed=0)
    assert "none has come on trainer/critic_weights" in (gate.missing or "") and gate.version == ""
    with pytest.raises(NoCriticError, match="none has come"):
        judged(gate, 0.0)
    gate.refresh(0)
    with pytest.raises(NoCriticError, match="none has come"):
        judged(gate, 0.0)
    assert gate.offer(critic(threshold=0.1)) is None and gate.missing is None
    with pytest.raises(NoCriticError, match="taken when the filter is armed"):
        judged(gate, 0.0)
    gate.refresh(0)
    assert judged(gate, 0.05) is Verdict.ACCEPTED and judged(gate, 0.2) is not Verdict.ACCEPTED


def test_a_new_critic_is_taken_between_episodes_and_a_bad_one_never() -> None:
    gate = CriticGate(GRAPH, FilterParameters(), seed=0)
    first, second = critic(threshold=0.05), critic(threshold=0.09)
    assert gate.offer(first, version_of(first) + "0" * 52) is not None, "not the hash that was told"
    assert gate.missing
    assert gate.offer(first) is None
    gate.refresh(0)
    assert gate.offer(second) is None and gate.offered_version == version_of(second)
    assert gate.version == version_of(first) and judged(gate, 0.08) is not Verdict.ACCEPTED, "not within an episode"
    gate.refresh(1)
    assert gate.version == version_of(second) and judged(gate, 0.08) is Verdict.ACCEPTED
    assert "is not a safety critic" in (gate.offer(b"no critic") or "")
    gate.refresh(2)
    assert gate.version == gate.offered_version == version_of(second) and judged(gate, 0.08) is Verdict.ACCEPTED


def test_a_schedule_needs_the_gamma_of_the_card() -> None:
    data = critic(threshold=0.1, gamma=None)
    settings = FilterParameters()
    gate = CriticGate(GRAPH, settings, seed=0)
    assert gate.offer(data) is None
    gate.refresh(0)
    assert gate.epsilon == 0.1
    scheduled = CriticGate(GRAPH, dataclasses.replace(settings, critic_schedule="csc"), seed=0)
    assert "tells no gamma_safe" in (scheduled.offer(data) or "")


def test_a_run_that_goes_on_draws_the_candidates_it_would_have_drawn() -> None:
    data = critic(threshold=0.1)
    settings = FilterParameters()

    def chosen(gate: CriticGate) -> np.ndarray:
        return gate.judge(np.zeros(18), proposed(np.zeros(7), np.full(7, 0.05), np.full(7, 0.9)), 1.0)[0]

    whole, resumed = (CriticGate(GRAPH, settings, seed=3) for _ in range(2))
    assert whole.offer(data) is resumed.offer(data) is None
    for iteration in (0, 0, 0):
        whole.refresh(iteration)
        chosen(whole)
    whole.refresh(1)
    first = chosen(whole)
    whole.refresh(1)
    second = chosen(whole)
    resumed.refresh(1)
    resumed.refresh(1)  # arming was refused at first, and tried again
    np.testing.assert_array_equal(chosen(resumed), first)
    resumed.refresh(1)
    np.testing.assert_array_equal(chosen(resumed), second)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("changes", "line"),
    [({"certified": False}, "not certified .*no unsafe examples"), ({"task": "panda_push"}, "trained on task panda")],
)
def test_a_critic_that_cannot_be_relied_on_is_refused(changes: dict, line: str) -> None:
    data = critic(threshold=0.1, **changes)
    gate = CriticGate(GRAPH, FilterParameters(), seed=0)
    assert re.search(line, gate.offer(data) or "")
    assert gate.missing and not gate.offered_version


@pytest.mark.parametrize(
    ("card", "line"),
    [
        ({"certified": False, "against": [1]}, r"not certified \(1\)"),
        ({"certified": False, "against": None}, "not certified .its card does not say so"),
        ({"certified": False, "against": ["\x1b[2J" * 999]}, r"not certified \(.x1b\[2J"),
        ({"certified": False, "against": "no data"}, "not certified .its card does not say so"),
        ({"certified": "false"}, "not certified"),
        ({"certified": 1}, "not certified"),
        ({"epsilon": 10**400}, "tells no epsilon: expected a finite number, got '1000"),
        ({"epsilon": math.nan}, "tells no epsilon"),
        ({"epsilon": None}, "tells no epsilon"),
        ({"epsilon": [0.1]}, "tells no epsilon"),
        ({"epsilon": "0.1"}, "tells no epsilon"),
        ({"epsilon": True}, "tells no epsilon"),
        ({"epsilon": MISSING}, "tells no epsilon"),
        ({"epsilon": 5.0}, r"expected an epsilon in \(0, 1\) on its card, got 5"),
        ({"epsilon": 0.0}, r"expected an epsilon in \(0, 1\) on its card, got 0"),
        ({"task": MISSING}, "trained on task None"),
        ({"task": ["pr2_cup_swirl"]}, "trained on task"),
        ({"support": {"rule": "density", "limit": 10**400}}, "finite limit > 0"),
        ({"support": {"rule": "density", "limit": math.inf}}, "finite limit > 0"),
        ({"support": {"rule": "density", "limit": [1.0]}}, "is not a safety critic with its model card"),
        ({"support": None}, "is not a safety critic with its model card"),
        ({"observation_size": 10**400}, "observed numbers among"),
    ],
)
@pytest.mark.parametrize("schedule", ["fixed", "csc"])
def test_a_card_that_says_something_impossible_is_refused_and_the_critic_before_stays(
    card: dict, line: str, schedule: str
) -> None:
    gate = CriticGate(GRAPH, FilterParameters(critic_schedule=schedule), seed=0)
    good = critic(threshold=0.1)
    assert gate.offer(good) is None
    refusal = gate.offer(critic(threshold=0.2, card=card)) or ""
    assert re.search(line, refusal) and refusal.isprintable() and len(refusal) < 600
    gate.refresh(0)
    gate.refresh(1)
    assert gate.version == gate.offered_version == version_of(good)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 1.5, -0.2, math.nan, math.inf, 10**400, "0.7"])
def test_a_schedule_takes_only_a_gamma_between_0_and_1(gamma: float) -> None:
    data = critic(threshold=0.1, gamma=gamma)
    gate = CriticGate(GRAPH, FilterParameters(critic_schedule="csc"), seed=0)
    assert "gamma_safe" in (gate.offer(data) or "") and gate.missing
    assert CriticGate(GRAPH, FilterParameters(), seed=0).offer(data) is None, "which has no use for it"


def test_an_episode_asks_nothing_of_a_card_that_was_not_checked_when_it_was_offered() -> None:
    settings = FilterParameters(critic_schedule="csc", critic_chi=1e3)
    gate = CriticGate(GRAPH, settings, seed=0)
    assert gate.offer(critic(threshold=0.1, card={"epsilon": 0.999})) is None
    for iteration, rate in enumerate((0.0, 1.0, math.nan, -1.0, math.inf)):
        gate.refresh(iteration)
        assert 0.0 < gate.epsilon <= 0.999
        gate.hear(iteration, rate)


def test_whatever_a_critic_raises_when_it_is_read_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = CriticGate(GRAPH, FilterParameters(), seed=0)

    def unforeseen(*_: object, **__: object) -> None:
        raise RecursionError("too deep\x1b[2J")

    monkeypatch.setattr("safe_transfer_ros.critics.gate.critic_from_bytes", unforeseen)
    refusal = gate.offer(critic(threshold=0.1)) or ""
    assert "the critic sent cannot be used: RecursionError: too deep" in refusal and refusal.isprintable()


def test_a_clamp_that_the_critic_has_not_learned_from_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has learned from torques clamped joint by joint"):
        CriticGate(GRAPH, FilterParameters(clamp="scale"), seed=0)


def test_an_operator_may_take_an_uncertified_one_on_record() -> None:
    data = critic(threshold=0.5, certified=False)
    settings = FilterParameters(critic_uncertified=True)
    gate = CriticGate(GRAPH, settings, seed=0)
    assert gate.offer(data) is None
    gate.refresh(0)
    zeros = np.zeros(7)
    _, risk, verdict, _ = gate.judge(np.zeros(18), proposed(zeros, zeros + 0.1, zeros), 1.0)
    assert verdict is Verdict.ACCEPTED and math.isfinite(risk)
