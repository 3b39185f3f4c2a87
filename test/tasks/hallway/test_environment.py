# SPDX-License-Identifier: Apache-2.0
"""The hallway as Gymnasium has it: one and many, the same to the bit; rewards and costs of drives by rule."""

from __future__ import annotations

import dataclasses
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import safe_transfer_ros.environments  # noqa: F401 - registers the ids
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.hallway.course import Obstacles
from safe_transfer_ros.tasks.hallway.environment import HallwayEnv, HallwayVectorEnv
from safe_transfer_ros.tasks.hallway.scripted import LOOKING, STRAIGHT, Trot
from safe_transfer_ros.tasks.hallway.task import (
    Hallway,
    HallwayDoggoPoles,
    HallwayPointHumanoids,
    HallwayPointPoles,
    HallwayPointWalls,
    Start,
    parts,
)
from safe_transfer_ros.tasks.task import TASKS

BOTH = pytest.mark.parametrize("kind", [HallwayPointWalls, HallwayPointPoles])
EVERY = pytest.mark.parametrize("kind", [HallwayPointWalls, HallwayPointHumanoids, HallwayDoggoPoles])


def placed(env: HallwayVectorEnv, places: list[tuple[float, float]], **start: object) -> None:
    """Put every row at the start of an episode among obstacles at these places, and at others far away."""
    far = [(200.0 + 3.0 * number, 0.0) for number in range(env.task.course.count - len(places))]
    given = {"position": np.zeros(2), "heading": 0.0, "obstacles": Obstacles.still(np.array([*places, *far]))} | start
    for row in range(env.num_envs):
        env.simulation.place(row, Start(**given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "size", "actions"), [("PointWalls", 2514, 2), ("PointHumanoids", 2514, 2), ("DoggoPoles", 2540, 12)]
)
def test_gymnasium_accepts_it(name: str, size: int, actions: int) -> None:
    env = gymnasium.make(f"safe_transfer_ros/Hallway{name}-v0", disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*infinity.*")
        check_env(env, skip_render_check=True)
    assert env.observation_space.shape == (size,) and env.action_space.shape == (actions,)
    env.close()
    many = gymnasium.make_vec(f"safe_transfer_ros/Hallway{name}-v0", num_envs=3, threads=1)
    observation, _ = many.reset(seed=0)
    assert observation in many.observation_space
    observation, *_, info = many.step(many.action_space.sample())
    assert observation.shape == (3, size) and info["cost"].shape == info["touched"].shape == (3,)
    many.close()


@EVERY
def test_rows_are_bit_for_bit_the_single_environments_episodes(kind: type[Hallway]) -> None:
    """Across an episode's end, whatever the other row does, whatever the number of threads."""
    task = kind()
    n, (steps, horizon) = task.action_size, (150, 120) if kind is HallwayPointWalls else (40, 25)
    task.horizon = horizon  # type: ignore[misc]
    many = HallwayVectorEnv(task, 2, threads=2)
    observation, info = many.reset(seed=3)
    seen, taken = [(observation, info["episode_number"])], []
    rng = np.random.default_rng(0)
    for _ in range(steps):
        action = np.where([[True], [False]], np.resize((1.0, 0.15), n), 0.7 * rng.standard_normal((2, n)))
        observation, reward, _, truncated, info = many.step(action)
        final = np.where(truncated[:, None], info.get("final_obs", observation), observation)
        seen.append((observation, info["episode_number"]))
        taken.append((action, final, reward, truncated, info["cost"], info["touched"]))
    many.close()
    assert sum(step[3].sum() for step in taken) == 2
    assert kind is not HallwayPointWalls or sum(step[4].sum() for step in taken) > 0
    one = HallwayEnv(task)
    for row in range(2):
        observation, _ = one.reset(seed=3, options={"episode": row})
        np.testing.assert_array_equal(observation, seen[0][0][row])
        for step, (action, *rest) in enumerate(taken):
            observation, reward, _, truncated, info = one.step(action[row])
            final, *numbers = (part[row] for part in rest)
            np.testing.assert_array_equal(observation, final)
            assert [reward, truncated, info["cost"], info["touched"]] == numbers
            if truncated:
                observation, _ = one.reset(options={"episode": int(seen[step + 2][1][row])})
                np.testing.assert_array_equal(observation, seen[step + 1][0][row])
    one.close()


def test_straight_ahead_the_reward_is_the_speed() -> None:
    env = HallwayVectorEnv(HallwayPointWalls(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    placed(env, [])
    x, speed = 0.0, 0.0
    for _ in range(250):
        observation, reward, _, _, info = env.step(STRAIGHT[None])
        speed += 0.02 * 9.81 * parts(observation).proprioception[0, 0]  # accelerations add up to it
        assert reward[0] == pytest.approx((info["x"][0] - x) / 0.02, abs=1e-9)
        x = info["x"][0]
        assert info["cost"][0] == 0.0
    seen = parts(observation)
    # 0.015 N against a damping of .01 N s/m; after 5 s of a time constant of half a second
    assert reward[0] == pytest.approx(1.5, rel=1e-3) and seen.proprioception[0, 3] == pytest.approx(1.5, rel=1e-3)
    assert speed == pytest.approx(1.5, rel=1e-3) and seen.proprioception[0, 2] == 1.0
    assert seen.last_reward[0] == reward[0] and info["y"][0] == pytest.approx(0.0, abs=1e-9)
    env.close()


@pytest.mark.parametrize(
    ("kind", "place"), [(HallwayPointWalls, (0.58, 0.9)), (HallwayPointPoles, (0.65, 0.0))], ids=["wall", "pole"]
)
def test_every_step_in_touch_costs_one_and_is_told_in_the_observation(kind: type[Hallway], place: tuple) -> None:
    """Its front reaches .15 m ahead: it touches what begins at .5 m when it has gone .35 m."""
    env = HallwayVectorEnv(kind(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    placed(env, [place])
    costs = []
    for _ in range(150):
        observation, _, _, _, info = env.step(0.3 * STRAIGHT[None])
        costs.append(info["cost"][0])
        assert parts(observation).last_cost[0] == costs[-1]
        # Contacts are those of the physics' last step but one place: 2 ms of way.
        assert costs[-1] == (info["x"][0] > 0.35 - 1e-9) or abs(info["x"][0] - 0.35) < 0.012
    assert costs[0] == 0.0 and sum(costs[-50:]) == 50 and info["x"][0] < 0.37 and info["touched"][0] == 1
    for _ in range(30):
        *_, info = env.step(-STRAIGHT[None])
    assert info["cost"][0] == 0.0 and info["touched"][0] == 1
    env.close()


@BOTH
def test_a_side_costs_too(kind: type[Hallway]) -> None:
    env = HallwayVectorEnv(kind(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    placed(env, [], heading=np.pi / 2.0)
    costs = [env.step(STRAIGHT[None])[4]["cost"][0] for _ in range(150)]
    assert costs[0] == 0.0 and costs[-1] == 1.0 and env.simulation.motions().position[0, 1] < 0.87
    env.close()


def test_the_horizon_truncates_and_an_ended_row_stands_still() -> None:
    task = HallwayPointWalls()
    task.horizon = 4  # type: ignore[misc]
    env = HallwayVectorEnv(task, 2, threads=1, autoreset=False)
    env.reset(seed=0)
    for step in range(6):
        observation, reward, terminated, truncated, info = env.step(np.ones((2, 2)))
        assert not terminated.any() and truncated.tolist() == [step >= 3] * 2
        if step == 3:
            ended = observation
        elif step > 3:
            np.testing.assert_array_equal(observation, ended)
            assert (reward == 0.0).all()
    env.close()


@EVERY
def test_episode_is_a_function_of_seed_and_number(kind: type[Hallway]) -> None:
    env = HallwayEnv(kind())
    first, _ = env.reset(seed=7)
    second, info = env.reset()
    assert info["episode_number"] == 1
    start = env.task.start(generator(Purpose.INITIAL_STATE, 7, 1))
    np.testing.assert_array_equal(env._bodies.simulation.obstacles.place[0], start.obstacles.place)
    np.testing.assert_array_equal(env._bodies.simulation.motions().position[0, :2], start.position)
    np.testing.assert_array_equal(env._bodies.simulation.obstacles.phase[0], start.obstacles.phase)
    np.testing.assert_array_equal(env.reset(options={"episode": 0})[0], first)
    assert not np.array_equal(second, first) and not np.array_equal(env.reset(seed=8)[0], first)
    assert (first[-2:] == 0.0).all()
    env.close()


@EVERY
def test_what_is_near_is_in_the_model_wherever_the_body_is(kind: type[Hallway]) -> None:
    """Those within sight have a slot each, at their place, and keep it while the body goes on."""
    env = HallwayVectorEnv(kind(), 1, threads=1, autoreset=False)
    env.reset(seed=1)
    made, before = env.simulation, {}
    reach = env.task.body.sight_m(5.0) + env.task.course.clearance
    for x in np.arange(0.0, 33.0, 0.7):
        made.state[0, 1] = x
        env.step(np.zeros((1, env.task.action_size)))
        near = made._near(np.arange(1))[0]
        place = made.obstacles.place[0]
        within = np.flatnonzero(np.abs(place[:, 0] - x) < reach)
        assert set(within) <= set(near.tolist()) and len(set(near)) == made.slots
        slot = {int(number): at for at, number in enumerate(near)}
        assert all(before.get(number, at) == at for number, at in slot.items() if number in within)
        before = slot
        put = made.control[0, -1, made.model.nu : made.model.nu + 3 * made.model.nmocap].reshape(made.slots, -1, 3)
        if not env.task.course.once:  # figures move about their places
            np.testing.assert_array_equal(put[:, 0, :2], place[near])
        assert np.abs(put[:, 0, :2] - place[near]).max() < env.task.course.clearance
    env.close()


def test_an_action_beyond_its_bounds_is_taken_as_the_bound() -> None:
    beyond, at = HallwayEnv(HallwayPointPoles()), HallwayEnv(HallwayPointPoles())
    beyond.reset(seed=0), at.reset(seed=0)
    found, expected = beyond.step(np.array([3.0, -3.0])), at.step(np.array([1.0, -1.0]))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[4]["applied"], [1.0, -1.0])
    beyond.close(), at.close()


def test_what_was_seen_does_not_change_with_the_next_step() -> None:
    env = HallwayVectorEnv(HallwayPointWalls(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    observation, reward, *_, info = env.step(np.ones((1, 2)))
    motion = env.simulation.motions()
    held = {**info, "observation": observation, "reward": reward}
    held |= {field.name: getattr(motion, field.name) for field in dataclasses.fields(motion)}
    kept = {name: np.copy(values) for name, values in held.items()}
    env.step(-np.ones((1, 2)))
    env.reset(seed=1)
    for name, values in held.items():
        np.testing.assert_array_equal(values, kept[name])
    env.close()


@BOTH
def test_who_looks_gets_on_and_touches_little(kind: type[Hallway]) -> None:
    """By the image alone: who sees nothing drives into the first obstacle and stays there."""
    gone, cost = {}, {}
    for name in ("looking", "blind"):
        env = HallwayVectorEnv(kind(), 2, threads=1, autoreset=False)
        observation, _ = env.reset(seed=0)
        total = np.zeros(2)
        for _ in range(190):
            action = LOOKING.action(env.task, observation) if name == "looking" else np.tile(STRAIGHT, (2, 1))
            observation, *_, info = env.step(action)
            total += info["cost"]
        gone[name], cost[name] = info["x"].mean(), total.mean()
        env.close()
    assert gone["looking"] > 1.8 and cost["looking"] == 0.0 and cost["blind"] > 20.0


def test_doggo_trots_along_and_is_paid_its_speed() -> None:
    env = HallwayVectorEnv(HallwayDoggoPoles(), 1, threads=1, autoreset=False)
    env.reset(seed=0)
    placed(env, [])
    total = 0.0
    for step in range(80):
        _, reward, _, _, info = env.step(Trot().action(env.simulation.motions(), 0.1 * step))
        total += reward[0] * 0.1
    assert info["x"][0] == pytest.approx(total, abs=1e-6) and info["x"][0] > 1.2 and info["cost"][0] == 0.0
    assert env.simulation.motions().rotation[0, 2, 2] > 0.8
    env.close()


def test_every_name_makes_its_own_hallway() -> None:
    for body in ("point", "doggo"):
        for course in ("walls", "poles", "humanoids"):
            task = TASKS[f"hallway_{body}_{course}"]()
            assert isinstance(task, Hallway) and task.body.name == body
            assert type(task.course).__name__.lower() == course
    with pytest.raises(ValueError, match="render_mode must be one of"):
        HallwayEnv(HallwayPointWalls(), render_mode="human")
    with pytest.raises(ValueError, match="camera must be one of"):
        HallwayEnv(HallwayPointWalls(), camera="egl")
