# SPDX-License-Identifier: Apache-2.0
"""Functions by what a person types, and as policies that name them by a fingerprint."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from safe_transfer_ros.learning import controllers
from safe_transfer_ros.learning.policy_file import load_policy
from safe_transfer_ros.policies.loading import any_policy_from_bytes
from safe_transfer_ros.tasks.push.tasks import PushObstacle

EXAMPLE = Path(__file__).parents[2] / "examples" / "straight_push.py"


def test_a_function_is_told_from_a_file(tmp_path: Path) -> None:
    assert controllers.is_function("module:act") and controllers.is_function("some/where.py:act")
    assert not controllers.is_function("policy.safetensors")
    odd = tmp_path / "a:b"
    odd.touch()
    assert not controllers.is_function(str(odd))


def test_the_path_of_a_file_is_made_absolute_and_a_module_is_left(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert controllers.absolute("mine.py:act") == f"{tmp_path}/mine.py:act"
    assert controllers.absolute("mine.controllers:act") == "mine.controllers:act"


def test_two_functions_of_a_file_are_two_and_a_changed_file_is_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def one(seen):\n    return seen\n\n\ndef other(seen):\n    return seen\n")
    found = {controllers.fingerprint(f"{file}:{name}") for name in ("one", "other", "one")}
    assert len(found) == 2
    file.write_text(file.read_text() + "# changed\n")
    assert controllers.fingerprint(f"{file}:one") not in found


def test_a_function_is_loaded_as_the_policy_of_a_task_and_read_back_from_its_bytes() -> None:
    task = PushObstacle()
    policy, data = load_policy(task, f"{EXAMPLE}:push")
    again, about = any_policy_from_bytes(data)
    assert (policy.kind, about["controller"]) == ("controller", f"{EXAMPLE}:push")
    observation = 0.3 * np.random.default_rng(0).standard_normal((4, task.observation_size))
    wanted = controllers.function(f"{EXAMPLE}:push")(observation)
    np.testing.assert_array_equal(again.act(observation, np.empty((4, 0))).action, wanted)
