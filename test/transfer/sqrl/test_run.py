# SPDX-License-Identifier: Apache-2.0
"""Runs of SQRL on the drunk spider: what goes into D_safe, what is counted, the file between the phases, resuming."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.masked import MaskedPolicy
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.transfer.methods import METHODS
from safe_transfer_ros.transfer.off_policy.start import CRITICS_FIRST
from safe_transfer_ros.transfer.sqrl import method, run
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings
from safe_transfer_ros.transfer.training import TrainingPlan

PLAN = TrainingPlan(task="drunk_spider", episodes=2, phase="pretrain")
SMALL = {"hidden": (8,), "updates": 2, "batch": 16, "episodes": 3, "candidates": 6}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    usual = method.settings_of

    def made(plan: TrainingPlan) -> SqrlSettings:
        return dataclasses.replace(usual(plan), **SMALL)

    for module in (method, run):
        monkeypatch.setattr(module, "settings_of", made)
    yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sqrl")


@pytest.fixture
def pretrained(folder: Path) -> str:
    path = folder / "spider.safetensors"
    if not path.exists():
        with METHODS["sqrl"].begin(PLAN) as training:
            training.epoch()
            path.write_bytes(training.policy_file({"task": "drunk_spider"}))
    return str(path)


def test_d_safe_holds_on_policy_data_and_the_replay_buffer_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[np.ndarray] = []
    usual = SqrlAgent.on_policy

    def watched(self: SqrlAgent, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        taken.append(usual(self, observation, noise))
        return taken[-1]

    monkeypatch.setattr(SqrlAgent, "on_policy", watched)
    with METHODS["sqrl"].begin(PLAN) as training:
        records = [training.epoch() for _ in range(2)]
        safe, other = training._agent.safety.transitions, training._loop.buffer
        chains = set(safe["chain"].tolist())
        assert chains == {FirstEpisode.SAFETY_CRITIC + number for number in range(6)}
        assert not chains & set(other["chain"].tolist())
        drawn = {tuple(action) for actions in taken for action in actions.astype(np.float32)}
        assert {tuple(action) for action in safe["chosen"].astype(np.float32)} <= drawn
        assert not {tuple(action) for action in other["chosen"].astype(np.float32)} & drawn
        # Whole episodes: each ends by itself, and is counted beside those of the replay buffer.
        assert records[-1].steps == other.added + safe.added == 120 + safe.added
        fell = int((safe["cost"] > 0.0).sum())
        assert records[-1].cumulative_failures == training._failures + fell
        assert records[-1].episodes == training._episodes + 6
    assert records[0].epsilon == 0.1 and 0.0 <= records[0].gated <= 1.0 and records[0].multiplier == 0.0


def test_the_pre_trained_file_has_policy_critic_and_card(pretrained: str) -> None:
    policy, card = policy_from_bytes(Path(pretrained).read_bytes())
    assert isinstance(policy, MaskedPolicy) and card["task"] == "drunk_spider"
    assert (card["epsilon"], card["gamma_safe"], card["horizon"]) == ("0.1", "0.65", "6")
    assert float(card["temperature"]) > 0.0 and int(card["failures_seen"]) >= 0
    assert int(card["on_policy_transitions"]) > 0


def test_fine_tuning_explores_behind_the_mask_and_keeps_the_critic(pretrained: str) -> None:
    plan = dataclasses.replace(PLAN, phase="finetune", start=pretrained)
    with METHODS["sqrl"].begin(plan) as training:
        agent = training._agent
        before = agent.safety.parameters()
        policy, _ = policy_from_bytes(Path(pretrained).read_bytes())
        seen, noise = np.zeros((3, 2)), np.random.default_rng(0).standard_normal((3, agent.noise_size))
        # The file's masked policy and the agent are the same; the first step of the run is already behind the mask.
        np.testing.assert_allclose(agent.act(seen, noise), policy.act(seen, noise).action, atol=1e-6)
        agent.counted()
        first, second = training.epoch(), training.epoch()
        assert agent.safety.transitions.added == 0 and second.steps == 120
        assert math.isfinite(first.gated) and math.isfinite(second.gated)
        for name, array in agent.safety.parameters().items():
            np.testing.assert_array_equal(array, before[name])
        # New reward critics come first: the policy has not moved yet.
        assert 0 < training._loop.updates < CRITICS_FIRST
        np.testing.assert_allclose(agent.act(seen, noise), policy.act(seen, noise).action, atol=1e-6)


def test_the_online_critic_learns_on_from_its_own_steps(pretrained: str) -> None:
    settings = dataclasses.replace(PLAN.settings, online_critic=True)
    plan = dataclasses.replace(PLAN, phase="finetune", start=pretrained, settings=settings)
    with METHODS["sqrl"].begin(plan) as training:
        # The settings are those of the plan, but small.
        assert training._settings.online
        training.epoch()
        np.testing.assert_array_equal(training._agent.safety.transitions["chosen"], training._loop.buffer["chosen"])


def test_the_source_has_no_noise_and_the_target_has(pretrained: str) -> None:
    assert PLAN.environment_settings() == {"noise": 0.0}
    assert dataclasses.replace(PLAN, phase="").environment_settings() == {}
    asked = dataclasses.replace(PLAN, environment=(("noise", 0.2),))
    assert asked.environment_settings() == {"noise": 0.2}
    with METHODS["sac"].begin(asked) as training:
        assert training._rows._amount == 0.2 and training._judge._rows._amount == 0.2


def test_torques_are_pre_trained_under_limits_of_the_whole_range_and_tuned_under_the_same_bound(folder: Path) -> None:
    plan = TrainingPlan(task="pr2_cup_swirl", episodes=1, phase="pretrain")
    assert plan.environment_settings() == {"torque_limit": None, "ends_on_failure": True}
    with METHODS["sqrl"].begin(plan) as training:
        np.testing.assert_array_equal(training._agent._bound, np.full(7, 3.0))
        columns = training._collect(0)
        limits = {round(3.0 * float(seen), 6) for seen in columns["observation"][:, 17]}
        assert len(limits) == 3 and min(limits) >= 0.1 and max(limits) <= 3.0
        (folder / "swirl.safetensors").write_bytes(training.policy_file({}))
    _, card = policy_from_bytes((folder / "swirl.safetensors").read_bytes())
    assert (card["limit_index"], card["limit_unit"]) == ("17", "3.0")
    tuned = dataclasses.replace(plan, phase="finetune", start=str(folder / "swirl.safetensors"))
    with pytest.raises(
        ValueError, match=r"expected a policy whose actions are bounded by .*environment torque_limit=X"
    ):
        METHODS["sqrl"].begin(tuned)
    with METHODS["sqrl"].begin(dataclasses.replace(tuned, environment=(("torque_limit", 3.0),))) as training:
        assert training._agent._masked_exploration


def test_a_run_is_resumed_exactly() -> None:
    with METHODS["sqrl"].begin(PLAN) as whole, METHODS["sqrl"].begin(PLAN) as again:
        whole.epoch()
        again.restore(whole.state())
        expected, found = whole.epoch(), again.epoch()
        timeless = {"wall_time_s": 0.0}
        np.testing.assert_equal(
            dataclasses.asdict(dataclasses.replace(found, **timeless)),
            dataclasses.asdict(dataclasses.replace(expected, **timeless)),
        )
        assert again.policy_file({}) == whole.policy_file({})


def test_sac_and_the_risk_sensitive_rival_begin_with_the_same_file(pretrained: str) -> None:
    seen = np.zeros((1, 2))
    policy, _ = policy_from_bytes(Path(pretrained).read_bytes())
    for name in ("sac", "ensemble-sac", "risk-sensitive"):
        with METHODS[name].begin(dataclasses.replace(PLAN, phase="finetune", start=pretrained)) as training:
            agent = training._loop.agent
            mean = agent.act(seen, np.zeros((1, agent.noise_size)))
            np.testing.assert_allclose(mean, policy._policy.act(seen, np.zeros((1, 2))).action, atol=1e-6)
            found, _ = policy_from_bytes(training.policy_file({}))
            assert found.kind == "squashed", "what is evaluated, and no critic"


def test_what_cannot_be_begun_is_refused(pretrained: str, folder: Path) -> None:
    tuned = dataclasses.replace(PLAN, phase="finetune")
    with pytest.raises(ValueError, match="SQRL is fine-tuned from the file of its pre-training: name it with --from"):
        METHODS["sqrl"].begin(tuned)
    with pytest.raises(ValueError, match="risk-sensitive is pre-trained as SQRL is"):
        METHODS["risk-sensitive"].begin(PLAN)
    with METHODS["sac"].begin(PLAN) as training:
        (folder / "sac.safetensors").write_bytes(training.policy_file({}))
    bare = dataclasses.replace(tuned, start=str(folder / "sac.safetensors"))
    with pytest.raises(WeightsError, match="expected a safety critic beside it"):
        METHODS["sqrl"].begin(bare)
    with pytest.raises(WeightsError, match="expected one that SAC or SQRL has learned"):
        METHODS["sac"].begin(dataclasses.replace(tuned, start="pr2_cup_swirl"))
    with pytest.raises(ValueError, match="TD3 begins with nothing: leave out --from"):
        METHODS["td3"].begin(dataclasses.replace(tuned, start=pretrained))
    with pytest.raises(ValueError, match="expected a phase of pretrain, finetune or none, got 'tune'"):
        dataclasses.replace(PLAN, phase="tune")
