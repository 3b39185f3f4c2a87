# SPDX-License-Identifier: Apache-2.0
"""The public Python API: its page runs, its names are those of `__all__`, and its import is light."""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import hand_made_critic
import numpy as np
import pytest
import torch
from decision_bags import whole, write
from others_policies import contract, mlp, saved
from synthetic_run import Messages

import safe_transfer_ros as st
from safe_transfer_ros import api
from safe_transfer_ros.critics.safety_critic import critic_from_bytes
from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.foreign.importing import import_policy
from safe_transfer_ros.robots.simulation import perturbation
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python_api.md").read_text(encoding="utf-8")
TASK = make("pr2_cup_swirl", TorqueTask)


@pytest.fixture(scope="module")
def policy() -> Any:
    return st.load_policy("pr2_cup_swirl", task="pr2_cup_swirl")


@pytest.fixture(scope="module")
def env() -> Any:
    return st.make_env("pr2_cup_swirl", perturbation="light_sticky", torque_limit=0.3)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "test" / "bags" / "recorded_0_1", "runs/first/bag")
    write(tmp_path / "runs/failing/bag", whole(Messages(), TASK, 30, 40))
    # A closing fence would be taken for output.
    blocks = re.findall(r"^```python\n(>>>.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    text = "\n".join(blocks)
    assert text.count(">>>") > 25
    test = doctest.DocTestParser().get_doctest(text, {"st": st}, "python_api.md", "docs/python_api.md", 0)
    told: list[str] = []
    doctest.DocTestRunner().run(test, out=told.append)
    assert not told, "".join(told)


def test_the_readmes_lines_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("Evaluation(episodes=5, mean_return=")


def test_the_page_names_everything_and_nothing_else() -> None:
    table = PAGE[PAGE.index("| name |") : PAGE.index("## A policy")]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(st.__all__) == st.__all__
    for name in re.findall(r"\bst\.(\w+)", PAGE):
        assert name in st.__all__, name


@pytest.mark.parametrize("name", st.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(st, name)
    assert found.__doc__ and found is getattr(importlib.import_module(found.__module__), name)
    assert name in dir(st)


def test_every_function_of_the_api_is_public() -> None:
    assert api.__all__ == sorted(name for name in st.__all__ if name.islower())
    assert st.load_policy is api.load_policy


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'safe_transfer_ros' has no attribute 'load_polizy'"):
        st.load_polizy  # noqa: B018


def test_the_import_is_light() -> None:
    program = """
import sys
import safe_transfer_ros as st
heavy = {"numpy", "torch", "mujoco", "rclpy", "gymnasium"}
print(sorted(heavy & set(sys.modules)))
st.Reason, st.Task, st.Policy, st.Bag, st.load_policy("pr2_cup_swirl")
print(sorted(heavy & set(sys.modules)))
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.stdout == "[]\n['numpy']\n", finished.stderr


def test_an_episode_is_the_one_that_studies_and_graph_run(policy: Any, env: Any) -> None:
    ours = st.rollout(policy, env, episodes=2, seed=3, first_episode=5)
    with VectorTorqueEnv(TASK, perturbation("light_sticky"), threads=1) as rows:
        theirs = rows.rollout(policy, torque_limits=[0.3, 0.3], seed=3, first_episode=5)
    for name in ("observation", "chosen", "applied", "cost", "lengths"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    np.testing.assert_allclose(ours.reward, theirs.reward, rtol=1e-14)  # sums of many rows have another order
    assert np.isnan(ours.succeeded).all() and not ours.gated.any()


def test_a_shorter_episode_is_padded() -> None:
    topple = st.load_policy("panda_push_topple", task="panda_push_topple")
    rollouts = st.rollout(topple, st.make_env("panda_push_topple"), episodes=4)
    longest = int(rollouts.lengths.max())
    assert rollouts.lengths.min() < longest < 500 and rollouts.reward.shape == (4, longest)
    short = int(np.argmin(rollouts.lengths))
    assert not rollouts.reward[short, rollouts.lengths[short] :].any()
    assert rollouts.terminated.sum() == 4 and rollouts.succeeded.tolist() == [1.0] * 4


CHUNK = {"length": 4, "rate_hz": 25, "follow": 2}  # a push decides 25 times a second


def test_an_imported_policy_is_rolled_out_as_its_contract_says(tmp_path: Path) -> None:
    """A network that gives chunks of tool motions for a push, from the block's place and what it gave last."""
    weights = mlp((5, 4, 12), seed=1)
    content = contract(
        "state_dict",
        task="panda_push_topple",
        observation=[{"part": "object_position"}, {"part": "torque_limit"}, {"part": "constant", "value": 1}],
        action={"kind": "tool_motion", "chunk": CHUNK},
    )
    names = {"w0": "0.weight", "b0": "0.bias", "w1": "2.weight", "b1": "2.bias"}
    data = saved({names[name]: torch.tensor(array) for name, array in weights.items()})
    path = tmp_path / "policy.safetensors"
    path.write_bytes(import_policy(data, read_contract(content), origin="a test").content)
    policy, env = st.load_policy(path, task="panda_push_topple"), st.make_env("panda_push_topple")
    rollouts = st.rollout(policy, env, episodes=2, seed=3)

    _, info = env.reset(seed=3, options={"episode": 1})
    for step in range(6):
        if step % 2 == 0:
            largest = float(env.unwrapped.task.robot.limits.effort.max())
            seen = np.array([*info["object_pose"][:3], largest, 1.0])
            rows = weights["w1"] @ np.tanh(weights["w0"] @ seen + weights["b0"]) + weights["b1"]
        expected = rows.reshape(4, 3)[step % 2]
        np.testing.assert_allclose(rollouts.chosen[1, step], expected, rtol=1e-5, atol=1e-6)
        info = env.step(rollouts.chosen[1, step])[4]
    assert np.isfinite(st.evaluate(policy, env, episodes=1).mean_return)


def test_a_process_of_its_own_is_for_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(import_policy(None, read_contract(contract("process")), origin="a test").content)
    policy = st.load_policy(path, task="pr2_cup_swirl")
    with pytest.raises(ValueError, match="got the contract of a process of its own, which a graph waits for"):
        st.rollout(policy, st.make_env("pr2_cup_swirl"))
    with pytest.raises(ValueError, match="expected a contract for the task panda_push_topple, got one for pr2_cup"):
        st.load_policy(path, task="panda_push_topple")


def test_evaluation_takes_other_episodes_than_a_run(policy: Any, env: Any) -> None:
    found, again = (st.evaluate(policy, env, episodes=2, seed=3) for _ in range(2))
    trained_on = st.Evaluation.of(st.rollout(policy, env, episodes=2, seed=3))
    assert found.episodes == 2 and found.mean_return == again.mean_return != trained_on.mean_return


def critic(**about: Any) -> Any:
    return critic_from_bytes(hand_made_critic.critic(**about), name="by hand")


def test_a_critic_refuses_what_is_above_its_threshold(policy: Any, env: Any) -> None:
    """The one made by hand minds the first joint's torque alone."""
    free = st.rollout(policy, env, seed=1)
    gated = st.rollout(policy, env, seed=1, critic=critic(threshold=0.05))
    assert (free.applied[..., 0] > 0.05).any() and not free.gated.any()
    assert gated.gated.any() and not gated.gated.all()
    above = [float((rollouts.applied[..., 0] > 0.05).mean()) for rollouts in (gated, free)]
    later = st.rollout(policy, env, seed=1, first_episode=1, critic=critic(threshold=0.05))
    both = st.rollout(policy, env, episodes=2, seed=1, critic=critic(threshold=0.05))
    np.testing.assert_array_equal(both.chosen, np.concatenate([gated.chosen, later.chosen]))
    assert above[0] < 0.8 * above[1], "what is left is the least risky of a hundred"


def test_a_critic_that_may_not_judge_is_refused(policy: Any, env: Any) -> None:
    not_certified = critic(threshold=0.05, certified=False)
    with pytest.raises(ValueError, match=r"is not certified .*; allow_uncertified=True takes it all the same"):
        st.rollout(policy, env, critic=not_certified)
    assert st.rollout(policy, env, critic=not_certified, allow_uncertified=True).gated.any()
    with pytest.raises(ValueError, match="was trained on task panda_push_topple, not pr2_cup_swirl"):
        st.evaluate(policy, env, critic=critic(threshold=0.05, task="panda_push_topple"))


class AlwaysPushing:
    """A controller without a standard deviation."""

    kind = "deterministic"
    observation_size, action_size, noise_size = TASK.observation_size, TASK.action_size, 0

    def __init__(self) -> None:
        self.begun = 0

    def begin(self) -> None:
        self.begun += 1

    def act(self, observation: np.ndarray, noise: np.ndarray) -> st.Act:
        torque = np.full(self.action_size, 0.2)
        return st.Act(action=torque, distribution="deterministic", mean=torque)


def test_a_policy_of_ones_own_is_rolled_out(env: Any) -> None:
    controller = AlwaysPushing()
    rollouts = st.rollout(controller, env, episodes=2)
    assert (rollouts.chosen == 0.2).all() and rollouts.steps == 400 and controller.begun == 2
    with pytest.raises(ValueError, match="a deterministic policy has no other sample"):
        st.rollout(AlwaysPushing(), env, critic=critic(threshold=0.05))


def test_what_does_not_fit_is_refused_by_name(policy: Any, env: Any) -> None:
    with pytest.raises(
        ValueError, match="panda_push_topple has .* observations and 3 actions, this policy is for 18 and"
    ):
        st.load_policy("pr2_cup_swirl", task="panda_push_topple")
    with pytest.raises(ValueError, match="panda_push_topple has .* this policy is for 18 and 7"):
        st.rollout(policy, st.make_env("panda_push_topple"))
    with pytest.raises(ValueError, match=r"policy .*README\.md: expected a policy as a safetensors file"):
        st.load_policy(ROOT / "README.md")
    with pytest.raises(ValueError, match="no policy file 'nowhere', and none is shipped under that name"):
        st.load_policy("nowhere")
    with pytest.raises(ValueError, match="did you mean 'pr2_cup_swirl'"):
        st.make_env("pr2_cup_swirll")
    with pytest.raises(ValueError, match="did you mean 'light_sticky'"):
        st.make_env("pr2_cup_swirl", perturbation="light_sticki")
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        st.rollout(policy, env, episodes=0)
    with pytest.raises(ValueError, match="expected an environment of a task of this package"):
        st.rollout(policy, gymnasium.make("CartPole-v1"))
