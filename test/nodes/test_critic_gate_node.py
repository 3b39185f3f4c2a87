# SPDX-License-Identifier: Apache-2.0
"""A critic from a file in the real filter process: it refuses, it is replaced between episodes, it fails closed."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from safe_transfer_msgs.msg import SafetyDecision, TorqueLimit, UnsafetyEstimate
from test_safety_filter import Bench, bench, filter_process, with_parameters  # noqa: F401

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.critics.file_gate import CriticFileGate
from safe_transfer_ros.critics.safety_critic import save_critic
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.parameters.settings import FilterSettings
from safe_transfer_ros.safety.reasons import Verdict
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH = in_graph("pr2_cup_swirl")
TASK = GRAPH.task


def critic(
    path: Path, *, threshold: float, certified: bool = True, task: str = "pr2_cup_swirl", gamma: float | None = 0.7
) -> str:
    """A critic by hand: risk 1 where the first joint's applied torque is above the threshold, else nearly 0."""
    inputs = TASK.observation_size + TASK.action_size
    first = np.zeros((1, 1, inputs), dtype=np.float32)
    first[0, 0, TASK.observation_size] = 1.0
    parameters = {
        "input.mean": np.zeros(inputs, dtype=np.float32),
        "input.scale": np.ones(inputs, dtype=np.float32),
        "support.factor": np.eye(inputs, dtype=np.float32),
        "layer.0.weight": first,
        "layer.0.bias": np.full((1, 1), -threshold, dtype=np.float32),
        "layer.1.weight": np.full((1, 1, 1), 1e4, dtype=np.float32),
        "layer.1.bias": np.full((1, 1), -9.0, dtype=np.float32),
    }
    card = {"certified": certified, "against": ["no unsafe examples"], "task": task, "epsilon": 0.1}
    card |= {} if gamma is None else {"gamma_safe": gamma}
    card |= {"observation_size": TASK.observation_size, "support": {"rule": "off", "limit": 1.0}}
    return save_critic(path, parameters, card)[:12]


@pytest.fixture
def parameters(tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    critic(tmp_path / "critic.safetensors", threshold=0.05)
    more = [f"{name}:={value}" for name, value in getattr(request, "param", {}).items()]
    return [f"critic:={tmp_path / 'critic.safetensors'}", *more]


def test_a_risky_proposal_is_replaced_and_a_safe_one_is_not(bench: Bench, tmp_path: Path) -> None:  # noqa: F811
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


def test_a_new_file_is_taken_between_episodes_and_a_bad_one_is_not(bench: Bench, tmp_path: Path) -> None:  # noqa: F811
    path, proposal = tmp_path / "critic.safetensors", [0.08, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    bench.state()
    assert bench.armed().success
    _, before = bench.step(0, proposal)
    version = critic(path, threshold=0.09)
    _, within = bench.step(1, proposal)
    assert within.critic_version == before.critic_version != version, "not within an episode"
    assert bench.armed(False).success
    bench.state()
    assert bench.armed().success
    _, after = bench.step(2, proposal)
    assert after.critic_version == version and after.verdict == SafetyDecision.VERDICT_ACCEPTED
    assert bench.armed(False).success
    path.write_bytes(b"no critic")
    bench.state()
    assert bench.armed().success
    _, kept = bench.step(3, proposal)
    assert kept.critic_version == version


@with_parameters(critic_schedule="csc", critic_chi=1.0, critic_floor=1e-5)
def test_epsilon_follows_what_was_measured_between_episodes_only(bench: Bench) -> None:  # noqa: F811
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
    # .8 unsafe steps an episode: .3 (1 - .8) = .06.
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
    assert told[-1]["critic_epsilon"] == "0.06" and told[-1]["critic_schedule"] == "csc, 0.8 failures an episode"


def test_a_schedule_needs_the_gamma_of_the_card(tmp_path: Path) -> None:
    critic(tmp_path / "c.safetensors", threshold=0.1, gamma=None)
    settings = FilterSettings(critic=str(tmp_path / "c.safetensors"))
    assert CriticFileGate(GRAPH, settings, seed=0).epsilon == 0.1
    with pytest.raises(ConfigurationError, match="tells no gamma_safe"):
        CriticFileGate(GRAPH, dataclasses.replace(settings, critic_schedule="csc"), seed=0)


def test_a_run_that_goes_on_draws_the_candidates_it_would_have_drawn(tmp_path: Path) -> None:
    critic(tmp_path / "c.safetensors", threshold=0.1)
    settings = FilterSettings(critic=str(tmp_path / "c.safetensors"))

    def chosen(gate: CriticFileGate) -> np.ndarray:
        return gate.judge(np.zeros(18), np.zeros(7), np.full(7, 0.05), np.full(7, 0.9), 1.0)[0]

    whole, resumed = (CriticFileGate(GRAPH, settings, seed=3) for _ in range(2))
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
def test_a_critic_that_cannot_be_relied_on_is_refused_at_start(tmp_path: Path, changes: dict, line: str) -> None:
    critic(tmp_path / "c.safetensors", threshold=0.1, **changes)
    with pytest.raises(ConfigurationError, match=line):
        CriticFileGate(GRAPH, FilterSettings(critic=str(tmp_path / "c.safetensors")), seed=0)


def test_a_clamp_that_the_critic_has_not_learned_from_is_refused(tmp_path: Path) -> None:
    critic(tmp_path / "c.safetensors", threshold=0.1)
    with pytest.raises(ConfigurationError, match="has learned from torques clamped joint by joint"):
        CriticFileGate(GRAPH, FilterSettings(critic=str(tmp_path / "c.safetensors"), clamp="scale"), seed=0)


def test_an_operator_may_take_an_uncertified_one_on_record(tmp_path: Path) -> None:
    critic(tmp_path / "c.safetensors", threshold=0.5, certified=False)
    settings = FilterSettings(critic=str(tmp_path / "c.safetensors"), critic_uncertified=True)
    gate = CriticFileGate(GRAPH, settings, seed=0)
    zeros = np.zeros(7)
    _, risk, verdict, _ = gate.judge(np.zeros(18), zeros, zeros + 0.1, zeros, 1.0)
    assert verdict is Verdict.ACCEPTED and math.isfinite(risk)


def test_the_filter_does_not_start_without_the_critic_it_was_given(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args"]
    finished = subprocess.run(
        [*command, "-p", f"critic:={tmp_path / 'none.safetensors'}"], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode != 0 and "cannot read the critic" in finished.stderr
    assert "Traceback" not in finished.stderr
