# SPDX-License-Identifier: Apache-2.0
"""Gymnasium ids: every task has one, by the imports that a reader is shown, and nobody else pays for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from safe_transfer_ros import environments
from safe_transfer_ros.tasks.task import TASKS, available

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "environments.md"


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    without = {
        name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL")
    }
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**without, **environment}, cwd="/"
    )


@pytest.mark.parametrize(
    "imports",
    [
        "import gymnasium, safe_transfer_ros",
        "import gymnasium, safe_transfer_ros.environments",
        "import safe_transfer_ros, gymnasium, safe_transfer_ros.environments",
        "import gymnasium; import safe_transfer_ros.tasks.environment",
    ],
)
def test_plain_ids_are_known_by_one_import(imports: str) -> None:
    program = f"{imports}; print(gymnasium.make('safe_transfer_ros/Pr2CupSwirl-v0').spec.max_episode_steps)"
    finished = run(program)
    assert (finished.stdout, finished.stderr) == ("200\n", "")


def test_one_string_is_enough() -> None:
    program = "import gymnasium; gymnasium.make('safe_transfer_ros.environments:safe_transfer_ros/PandaPushTopple-v0')"
    assert run(program).returncode == 0


def test_the_pages_block_runs_as_a_reader_would_run_it() -> None:
    blocks = [textwrap.dedent(block) for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)]
    start = (ROOT / "docs" / "quick_start.md").read_text()
    shortest = re.search(r"^```python\n(import gymnasium.*?)^```", start, re.S | re.M)
    assert len(blocks) >= 2 and shortest
    for block in (*blocks, shortest.group(1)):
        finished = run(block)
        assert finished.returncode == 0 and not finished.stderr, finished.stderr


@pytest.mark.parametrize("task", available())
def test_every_task_has_an_id_with_cost_success_and_horizon(task: str) -> None:
    name = environments.environment_id(task)
    spec = gymnasium.spec(name)
    assert spec.max_episode_steps == TASKS[task].horizon
    single = gymnasium.make(name)
    single.reset(seed=0)
    *_, info = single.step(single.action_space.sample())
    single.close()
    many = gymnasium.make_vec(name, num_envs=2)
    _, first = many.reset(seed=0)
    *_, infos = many.step(many.action_space.sample())
    many.close()
    assert many.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    for found in (info, infos, first):
        assert {"cost", "success"} <= set(found)
    assert info["cost"] in (0.0, 1.0) and first["cost"].shape == infos["success"].shape == (2,)


def test_a_horizon_is_the_tasks() -> None:
    with pytest.raises(ValueError, match="lasts 500 steps, got max_episode_steps=7"):
        gymnasium.make_vec("safe_transfer_ros/PandaPushTopple-v0", num_envs=2, max_episode_steps=7)


def test_registering_again_adds_only_what_is_new() -> None:
    before = dict(gymnasium.registry)
    environments.register_environments("elsewhere")
    assert gymnasium.registry == before
    spec = gymnasium.registry.pop(environments.environment_id("pr2_cup_swirl"))
    try:
        environments.register_environments("elsewhere")
        assert "elsewhere/Pr2CupSwirl-v0" in gymnasium.registry
    finally:
        gymnasium.registry.pop("elsewhere/Pr2CupSwirl-v0", None)
        gymnasium.registry[spec.id] = spec


def test_without_a_screen_egl_draws_and_an_open_environment_ends_quietly() -> None:
    program = """
import gymnasium, safe_transfer_ros, sys
environment = gymnasium.make("safe_transfer_ros/PandaPushTopple-v0", render_mode="rgb_array")
environment.reset(seed=0)
try:
    print(environment.render().shape)
except Exception as error:
    print("no OpenGL:", error)
    sys.exit(77)
"""
    finished = run(program)
    if finished.returncode == 77:
        pytest.skip(finished.stdout.strip())
    assert (finished.stdout, finished.stderr, finished.returncode) == ("(480, 640, 3)\n", "", 0)


def test_what_a_user_says_draws_is_left_alone() -> None:
    program = "import os, safe_transfer_ros.robots; print(os.environ.get('MUJOCO_GL'))"
    assert [run(program, **given).stdout.strip() for given in ({}, {"MUJOCO_GL": "osmesa"}, {"DISPLAY": ":0"})] == [
        "egl",
        "osmesa",
        "None",
    ]


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting.*")
def test_a_wrapped_environment_gives_float32() -> None:
    environment = gymnasium.wrappers.DtypeObservation(gymnasium.make("safe_transfer_ros/Pr2CupSwirl-v0"), np.float32)
    assert environment.reset(seed=0)[0].dtype == np.float32
