# SPDX-License-Identifier: Apache-2.0
"""What `train-critic` learns from: the recordings as they are now."""

from __future__ import annotations

import shutil
from argparse import Namespace

import numpy as np
import pytest
from decision_bags import whole, write
from synthetic_run import Messages

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.cli.train_critic import _transitions
from safe_transfer_ros.critics.safety_critic import load_critic
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.tasks.task import make

TASK, MESSAGES = make("pr2_cup_swirl"), Messages()


def test_transitions_are_made_anew_where_something_was_recorded_since(tmp_path):
    bag = write(tmp_path / "bag", whole(MESSAGES, TASK, 1, 10))
    options = Namespace(bags=[bag], out=tmp_path / "critic", task=TASK.name)
    options.out.mkdir()
    assert len(_transitions(options)) == 10
    made = (options.out / "transitions" / "about.json").stat().st_mtime_ns
    assert len(_transitions(options)) == 10
    assert (options.out / "transitions" / "about.json").stat().st_mtime_ns == made, "the same, taken as they were"
    shutil.rmtree(bag)
    write(bag, whole(MESSAGES, TASK, 2, 10))
    assert len(_transitions(options)) == 20


def test_a_critic_of_a_recording_and_a_policy_become_one_file_to_fine_tune_from(tmp_path, capsys):
    bag = write(tmp_path / "bag", whole(MESSAGES, TASK, 10, 30))
    policy, out = tmp_path / "sac.safetensors", tmp_path / "critic"
    policy.write_bytes(Sac(18, np.full(7, 3.0), SacSettings(hidden=(8,)), seed=0).policy_file({"task": TASK.name}))
    command = ["train-critic", "--bags", str(bag), "--out", str(out), "--updates", "20", "--hidden", "8"]
    assert main([*command, "--policy", str(policy)]) in (0, 1)
    assert f"{out / 'policy.safetensors'}\n" in capsys.readouterr().out
    joined, card = policy_from_bytes((out / "policy.safetensors").read_bytes())
    critic = load_critic(out / "critic.safetensors")
    assert (joined.kind, card["critic"], card["task"]) == ("masked", critic.version, TASK.name)
    # The recording was under .5 N·m, which its observations tell: what is beyond is judged as it acts.
    position, velocity = np.tile(TASK.robot.home, (9, 1)), np.zeros((9, 7))
    torque = np.random.default_rng(0).uniform(-3.0, 3.0, (9, 7))
    seen = TASK.observe(position, velocity, 0.5)
    assert critic.critic.support.rule == "density"
    expected = critic.critic.probabilities(seen, np.clip(torque, -0.5, 0.5)).mean(axis=0)
    np.testing.assert_allclose(joined.risk(seen, torque), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--policy", "pr2_cup_swirl"], "expected one that SAC or SQRL has learned"),
        (["--policy", "pr2_cup_swirl", "--conservative"], "--policy is for a critic of SQRL"),
    ],
)
def test_a_policy_that_cannot_be_joined_is_refused_before_the_training(tmp_path, capsys, words, told):
    assert main(["train-critic", "--bags", str(tmp_path), "--out", str(tmp_path / "out"), *words]) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()
