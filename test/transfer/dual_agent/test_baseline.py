# SPDX-License-Identifier: Apache-2.0
"""Baselines: a policy file or a function, checked when it is loaded and whenever it is asked."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from others_policies import contract, mlp, mlp_model

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contracted import CONTRACT, ONNX
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.transfer.dual_agent.baseline import GivenBaseline, fingerprint, given_baseline

CONTROLLERS = Path(__file__).with_name("controllers.py")
SEEN = np.random.default_rng([0, 9]).standard_normal((5, 2))


def test_a_function_of_a_file_is_a_controller_and_is_cut_to_the_bound() -> None:
    found = given_baseline(f"{CONTROLLERS}:outward", observation_size=2, bound=np.array([0.2, 1.0])).act(SEEN)
    np.testing.assert_array_equal(found, np.clip(5.0 * SEEN, [-0.2, -1.0], [0.2, 1.0]))


def test_a_policy_file_acts_without_its_noise(tmp_path: Path) -> None:
    agent = Sac(2, np.array([0.2, 0.5]), SacSettings(hidden=(8,)), seed=0)
    (tmp_path / "sac.safetensors").write_bytes(agent.policy_file({"task": "point"}))
    given = given_baseline(str(tmp_path / "sac.safetensors"), observation_size=2, bound=np.ones(2))
    np.testing.assert_allclose(given.act(SEEN), agent.act(SEEN, np.zeros((5, 2))), atol=1e-6)
    with pytest.raises(ValueError, match="3 observations and 2 actions, this is for 2 and 2"):
        given_baseline(str(tmp_path / "sac.safetensors"), observation_size=3, bound=np.ones(2))


def imported(folder: Path, **changes: Any) -> str:
    """An ONNX model for the push past the obstacle, as import-policy writes it."""
    weights = mlp((21, 8, 3))
    about = contract("onnx", task="panda_push_obstacle", action={"kind": "tool_motion", "scale": 0.5}, **changes)
    made = {"kind": "contracted", CONTRACT: read_contract(about).content}
    made[ONNX] = base64.b64encode(mlp_model(weights)).decode()
    (folder / "onnx.safetensors").write_bytes(policy_to_bytes({}, made))
    return str(folder / "onnx.safetensors")


def test_an_imported_network_that_sees_the_tasks_observation_is_a_controller(tmp_path: Path) -> None:
    seen, weights = np.random.default_rng([0, 4]).standard_normal((4, 21)), mlp((21, 8, 3))
    hidden = np.tanh(seen @ weights["w0"].T + weights["b0"])
    wanted = 0.5 * (hidden @ weights["w1"].T + weights["b1"])
    name = imported(tmp_path)
    found = given_baseline(name, observation_size=21, bound=np.full(3, 9.0)).act(seen)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    with pytest.raises(ValueError, match="the task has 20 observations and 3 actions, this is for 21 and 3"):
        given_baseline(name, observation_size=20, bound=np.ones(3))
    # It would be asked about past observations, which do not tell what it saw besides.
    other = imported(tmp_path, observation=[{"part": "object_position"}, {"part": "constant", "value": [0.0] * 18}])
    with pytest.raises(ValueError, match="`task` alone, got one of constant, object_position"):
        given_baseline(other, observation_size=21, bound=np.ones(3))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_policy", "no policy file 'no_such_policy'"),
        (f"{CONTROLLERS}:inward", "expected module:function, or path:function for a Python file, got .*inward"),
        (f"{CONTROLLERS}:NOT_CALLABLE", "expected a function of observations, got 3"),
        ("no_such_module:outward", "expected module:function, .* No module named"),
        ("/nowhere/controller.py:outward", "expected module:function, or path:function"),
    ],
)
def test_what_is_no_controller_is_refused(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        given_baseline(name, observation_size=2, bound=np.ones(2))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda seen: seen[:, :1], r"shape \(5, 2\) from the baseline, got shape \(5, 1\)"),
        (lambda seen: np.full((5, 2), np.nan), "got some that are not finite"),
    ],
)
def test_what_a_controller_must_not_do_is_refused(given, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GivenBaseline(given, np.ones(2)).act(SEEN)


def test_a_changed_controller_is_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def act(seen):\n    return seen\n")
    before = fingerprint(f"{file}:act")
    assert fingerprint(f"{file}:act") == before
    file.write_text("def act(seen):\n    return -seen\n")
    assert fingerprint(f"{file}:act") != before
    assert fingerprint("pr2_cup_swirl") != fingerprint(f"{file}:act")
