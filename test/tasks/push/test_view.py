# SPDX-License-Identifier: Apache-2.0
"""A pushing task seen through topics: the same scene, reward and failure as the environment has, from poses alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.push.contact import box_gap
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.scripted import ScriptedPush, past_obstacle
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.push.tasks import PushBoundary, PushObstacle, PushTopple
from safe_transfer_ros.tasks.push.view import PushUnsafetyReader, PushView

TASKS = (PushTopple(), PushBoundary(), PushObstacle(reward="dense"))
PERIOD = 40_000_000


@dataclasses.dataclass
class _Recorded:
    """What a robot would have told of one scripted push, and what the environment said."""

    position: np.ndarray
    velocity: np.ndarray
    object_pose: np.ndarray
    observation: np.ndarray
    reward: np.ndarray
    failure: np.ndarray
    proposed: np.ndarray


def _recorded(task: PushTask, *, aside: bool) -> _Recorded:
    env = PushVectorEnv(task, 1, threads=1, autoreset=False)
    observation, info = env.reset(seed=3)
    aim = np.array([-0.08, 0.3]) if aside and task.obstacle_size is None else None
    script = ScriptedPush(task, 1, height=0.02 if task.obstacle_size else 0.03, speed=0.12, aim=aim)
    rows: dict[str, list[np.ndarray]] = {field.name: [] for field in dataclasses.fields(_Recorded)}

    def note(failure: bool) -> None:
        scene, simulation = env.simulation.scenes(), env.simulation
        rows["position"].append(simulation.position[0])
        rows["velocity"].append(simulation.velocity[0])
        rows["object_pose"].append(np.r_[scene.block[0] + task.table_centre, np.roll(scene.orientation[0], -1)])
        rows["observation"].append(observation[0])
        rows["failure"].append(np.array(failure))

    note(False)
    for _ in range(task.horizon):
        around, scenes = not aside and task.obstacle_size is not None, env.simulation.scenes()
        action = past_obstacle(task, scenes) if around else script.action(scenes)
        observation, reward, terminated, truncated, info = env.step(action)
        note(bool(info["failure"][0]))
        rows["reward"].append(reward[0])
        rows["proposed"].append(action[0])
        if terminated[0] or truncated[0]:
            break
    env.close()
    return _Recorded(**{name: np.array(values) for name, values in rows.items()})


@pytest.fixture(scope="module", params=[(task, aside) for task in TASKS for aside in (False, True)])
def pushed(request: pytest.FixtureRequest) -> tuple[PushTask, _Recorded]:
    task, aside = request.param
    return task, _recorded(task, aside=aside)


def test_a_view_sees_what_the_environment_shows(pushed: tuple[PushTask, _Recorded]) -> None:
    task, recorded = pushed
    view = PushView(task, 3, exact=True)
    view.see(PERIOD // 2, np.array([9.0, 9.0, 9.0, 0.0, 0.0, 0.0, 1.0]))  # where an earlier episode left the block
    view.begin(0, PERIOD)
    for step, pose in enumerate(recorded.object_pose):
        assert not view.ready((step + 1) * PERIOD)
        view.see((step + 1) * PERIOD, pose)
        assert view.ready((step + 1) * PERIOD)
        seen = view.observe(recorded.position[step], recorded.velocity[step], 1.0)
        np.testing.assert_allclose(seen, recorded.observation[step], rtol=0, atol=1e-9)
        over = step == len(recorded.proposed) < task.horizon
        assert view.over(recorded.position[step], recorded.velocity[step]) == over


def test_a_recorded_episode_has_the_environments_reward_and_failure(pushed: tuple[PushTask, _Recorded]) -> None:
    task, recorded = pushed
    outcome = task.outcome_of(recorded)
    np.testing.assert_allclose(outcome.reward, recorded.reward, rtol=0, atol=1e-12)
    failed = ~(outcome.unsafety <= task.unsafety_limit)
    if task.obstacle_size is None:
        np.testing.assert_array_equal(failed, recorded.failure[1:])
    else:
        # A touch between two poses, and one of less than a millimetre, may be told otherwise: not where it lasts.
        assert failed.any() == recorded.failure.any()
        assert np.mean(failed == recorded.failure[1:]) > 0.9


def test_rewards_go_by_the_measured_poses_and_not_by_what_was_observed_of_them(
    pushed: tuple[PushTask, _Recorded],
) -> None:
    """An observation may be an image: of it only goal and obstacle are asked."""
    task, recorded = pushed
    (goal, obstacle), junk = task.told(recorded.observation), np.full_like(recorded.observation, np.nan)
    for column in range(recorded.observation.shape[1]):  # keep what tells goal and obstacle
        changed = recorded.observation.copy()
        changed[:, column] += 1.0
        if any((now != then).any() for now, then in zip(task.told(changed), (goal, obstacle), strict=True)):
            junk[:, column] = recorded.observation[:, column]
    assert np.isnan(junk).sum() >= 15 * len(junk)
    expected, outcome = task.outcome_of(recorded), task.outcome_of(dataclasses.replace(recorded, observation=junk))
    np.testing.assert_array_equal(outcome.reward, expected.reward)
    np.testing.assert_array_equal(outcome.unsafety, expected.unsafety)


def test_a_recording_without_poses_has_the_same_rewards_from_its_observations(
    pushed: tuple[PushTask, _Recorded],
) -> None:
    task, recorded = pushed
    for pose in (None, np.full_like(recorded.object_pose, np.nan)):
        outcome = task.outcome_of(dataclasses.replace(recorded, object_pose=pose))
        np.testing.assert_allclose(outcome.reward, recorded.reward, atol=1e-9)
        expected = task.outcome_of(recorded).unsafety
        np.testing.assert_allclose(outcome.unsafety, expected, atol=1e-6)


def test_a_pose_that_is_missing_among_others_is_a_failure(pushed: tuple[PushTask, _Recorded]) -> None:
    task, recorded = pushed
    poses = recorded.object_pose.copy()
    poses[3] = np.nan
    unsafety = task.outcome_of(dataclasses.replace(recorded, object_pose=poses)).unsafety
    assert not unsafety[2] <= task.unsafety_limit


@pytest.mark.parametrize("order", range(4))
def test_unsafety_does_not_depend_on_who_overtakes_whom(order: int) -> None:
    task = PushBoundary()
    stamps = np.arange(1, 101) * 2
    position = np.repeat(task.robot.home[None], 100, axis=0)
    poses = {stamp: np.array([0.55 + 0.001 * stamp, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0]) for stamp in range(20, 220, 20)}
    events = [
        *[("states", (int(stamp),), row[None]) for stamp, row in zip(stamps, position, strict=True)],
        *[("pose", stamp, pose) for stamp, pose in poses.items()],
        *[("decision", stamp, 0) for stamp in range(20, 220, 20)],
    ]
    # Each topic in its own order, the topics anyhow.
    rng = np.random.default_rng(order)
    labels = rng.permutation([kind for kind, *_ in events])
    queues = {kind: iter([event for event in events if event[0] == kind]) for kind in set(labels)}
    reader, told = PushUnsafetyReader(task, 0), {}
    for label in labels:
        kind, *arguments = next(queues[label])
        told |= dict(getattr(reader, kind)(*arguments))
    # Beyond the nearer of the two borders, by the first pose at or after it.
    expected = {int(s): max(0.001 * (-(-int(s) // 20) * 20) - 0.175, -0.075) for s in stamps}
    assert told.keys() == expected.keys()
    np.testing.assert_allclose([told[key] for key in expected], list(expected.values()), atol=1e-12)


def test_boxes_touch_where_their_corners_say_so() -> None:
    half = np.array([0.02, 0.02, 0.02])
    upright, turned = np.array([1.0, 0, 0, 0]), np.array([np.cos(np.pi / 8), 0, 0, np.sin(np.pi / 8)])
    origin = np.zeros(3)
    for quaternion, reach in ((upright, 0.04), (turned, 0.02 + 0.02 * np.sqrt(2.0))):
        gap = box_gap(np.array([reach + 0.003, 0, 0]), quaternion, half, origin, half)
        assert gap == pytest.approx(0.003, abs=1e-12)
        assert box_gap(np.array([reach - 0.003, 0, 0]), quaternion, half, origin, half) < 0.0
    assert np.isnan(box_gap(np.array([np.nan, 0, 0]), upright, half, origin, half))


def test_every_task_of_a_graph_is_known_by_name() -> None:
    assert in_graph("panda_push_topple").action_names == ("tool_x", "tool_y", "tool_z")
    assert in_graph("pr2_cup_swirl").drive() is None
    with pytest.raises(ValueError, match="did you mean 'panda_push_topple'"):
        in_graph("panda_push_toppel")
