# SPDX-License-Identifier: Apache-2.0
"""The whole graph pushes a block by franka-sim's FR3: policy_server's policy, the filter's torques, the arm's limits.

franka-sim has the arm alone: rod, table and block are put into its model here, and the test is the camera that sees the
block, and the operator. What it proposes is a controller that is written by hand (examples/straight_push.py).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import franka_bench
import graph_runs
import numpy as np
import pytest
import rclpy
from franka_bench import FILTER, ROBOT, ROOT, STOOD_STILL, SUPERVISOR, Bench, Server, largest_step
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from safe_transfer_msgs.msg import SafetyDecision

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.object_pose import pose_message
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.tasks.deployment import in_graph

pytestmark = [pytest.mark.timeout(400), pytest.mark.skipif(bool(franka_bench.missing()), reason=franka_bench.missing())]

ADDRESS = "127.0.0.31"
GRAPH = in_graph("fr3_push_boundary")
TASK = GRAPH.task
SEED, TORQUE_LIMIT = 0, 2.0
START = TASK.start(generator(Purpose.INITIAL_STATE, SEED, 0))
SLIDES = 0.01  # m, after the episode was seen to be over
LATE_NS = 3 * round(TASK.control_period_s * 1e9)  # between two decisions; then the policy acts on an old scene
FLANGE = '<body name="fr3_link8" pos="0 0 0.107"/>'
# Hand and rod of urdf/fr3_pusher.urdf: the ball is all that touches anything.
ROD = f"""<body name="fr3_link8" pos="0 0 0.107">
  <geom type="box" pos="0 0 0.033" size="0.025 0.1 0.033" mass="0.76" contype="0" conaffinity="0"/>
  <geom name="rod" type="sphere" pos="0 0 0.2034" size="{TASK.ball_radius}" mass="0.03" contype="2" conaffinity="2"
    friction="{TASK.friction}"/>
</body>"""
WORDS = {
    "robot": "franka",
    "robot_ip": ADDRESS,
    "allow_uncommissioned": "true",
    "learner": "none",
    "policy": f"{ROOT / 'examples' / 'straight_push.py'}:push_flat",
    "iterations": "1",
    "trainer.episodes_per_iteration": "1",
    "seed": str(SEED),
    "limit_rule": "fixed",
    "t_max": str(TORQUE_LIMIT),
    "safety_filter.object_timeout": "5.0",
    "safety_filter.object_frozen_timeout": "5.0",
    "unsafety_monitor.lease": "60.0",
    "controller_supervisor.rest_effort": "zero",
    "franka_robot.realtime_kernel": "not_required",
    "franka_robot.realtime_priority": "20",
    "safety_filter.realtime_priority": "10",
    "episode_reset.speed": "0.5",
} | {
    f"{node}.{name}": str(value)
    for node, values in (("safety_filter", FILTER), ("controller_supervisor", SUPERVISOR), ("franka_robot", ROBOT))
    for name, value in values.items()
    if name not in ("realtime_priority", "realtime_kernel", "hardware", "torque_rate_limit", "rest_effort")
}


def scene(folder: Path) -> Path:
    """franka-sim's model: the arm with a rod, the table level with its base, the block where the episode begins."""
    x, y, _ = np.add(TASK.table_centre, [*START.block, 0.0])
    half = [0.5 * edge for edge in TASK.block_size]
    table = f"""<geom type="box" pos="0.55 0 -0.03" size="0.3 0.3 0.03" friction="{TASK.friction}" contype="1"/>
    <body name="block" pos="{x} {y} {half[2] + 0.0005}"><freejoint/>
      <geom type="box" size="{half[0]} {half[1]} {half[2]}" mass="{TASK.block_mass}" friction="{TASK.friction}"
        contype="3" conaffinity="3"/>
    </body></worldbody>"""
    arm_alone = (ROOT / "urdf" / "fr3.xml").read_text()
    assert arm_alone.count(FLANGE) == 1
    made = folder / "push.xml"
    made.write_text(arm_alone.replace(FLANGE, ROD).replace("</worldbody>", table))
    return made


class Camera:
    """Sees the block where franka-sim has it, with the last digits' noise of a measurement."""

    def __init__(self, arm: Bench) -> None:
        self._arm, self._rng = arm, np.random.default_rng(0)
        self._poses = arm.create_publisher(PoseStamped, "object_pose", qos.RECORD)
        arm.create_timer(TASK.control_period_s, self._tell)

    def _tell(self) -> None:
        pose, stamp_ns = np.array(self._arm.server.block), self._arm.get_clock().now().nanoseconds
        pose[:3] += 1e-6 * self._rng.standard_normal(3)
        self._poses.publish(pose_message(TASK.robot.base_link, stamp_ns, pose))


@pytest.fixture(autouse=True)
def usual_priority() -> Iterator[None]:
    """Whatever the tests were started with: of a graph only what asks for real time itself may have it."""
    own = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    yield
    os.sched_setscheduler(0, *own)


@contextmanager
def beside(server: Server, number: int) -> Iterator[Bench]:
    """The arm, and the test as its operator, in the graph's domain."""
    context = Context()
    rclpy.init(context=context, domain_id=number)
    arm = Bench(context, server, {}, ADDRESS, acts=False)  # the graph has a policy of its own
    try:
        server.start()
        yield arm
    finally:
        arm.close()
        server.kill()
        rclpy.shutdown(context=context)


def driven(arm: Bench, process: subprocess.Popen[str]) -> set[str]:
    """Causes for which motions ended until the run was over; an operator activates whenever he may."""
    Camera(arm)
    ended: set[str] = set()

    def over() -> bool:
        ended.add(arm.told(arm.arm, "ended"))
        if arm.supervisor.message.startswith("ready") and process.poll() is None:
            arm.activate()
        return process.poll() is not None

    arm.until(over, "the end of the run", 110.0)
    return ended - {"", "NONE", "ORDERED", "SHUTDOWN"}


def test_the_graphs_policy_pushes_the_block_to_its_goal_with_all_limits_of_the_arm_enforced(tmp_path: Path) -> None:
    """What a machine that stood still has ended, or led astray, is tried again."""
    start = GRAPH.start_position(np.random.default_rng(0)) + np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    words = [f"{name}:={value}" for name, value in WORDS.items()]
    for attempt in range(3):
        run_dir = tmp_path / f"run_{attempt}"
        server = Server(ADDRESS, strict=True, model=scene(tmp_path), start=start)
        with graph_runs.to_share() as number, beside(server, number) as arm:
            with graph_runs.started(run_dir, *words, graph="fr3_push", ROS_DOMAIN_ID=str(number)) as process:
                ended = driven(arm, process)
                out, err = process.communicate()
            trace, after = arm.server.trace(), arm.server.block
        if process.returncode:
            assert ended and ended <= set(STOOD_STILL), f"{ended}\n{out}\n{err}"
            continue
        # The supervisor, which ends before the arm's node, may be gone before its order to stop is carried out.
        assert ended <= {"NO_PERMISSION"} and not any(trace[-1][1]), "it ended by itself, or torque was held"
        assert 0.0 < largest_step(trace) <= 1.0 + 1e-6
        assert max(max(map(abs, torque)) for _, torque in trace) <= TORQUE_LIMIT
        steps, last = judged(run_dir)
        assert len(steps) > 20 and last.terminated
        late = np.diff([to_ns(decision.header.stamp) for decision in steps]).max() > LATE_NS
        if np.hypot(*(after[:2] - np.array(TASK.table_centre[:2]) - START.goal)) < TASK.goal_distance + SLIDES:
            break
        assert late, "the push went astray on a machine that was never late"
    else:
        pytest.fail("the machine stood still three times")
    assert after[0] - (TASK.table_centre[0] + START.block[0]) > 0.2, "pushed"
    assert after[2] == pytest.approx(0.5 * TASK.block_size[2], abs=0.01), "not toppled"
    ball = SerialChain(TASK.robot).tool_position(np.array([decision.position for decision in steps]))
    assert np.abs(ball[:, 2] - TASK.table_centre[2] - TASK.tool_start[2]).max() < 0.02, "the ball keeps its height"


def judged(run_dir: Path) -> tuple[list[SafetyDecision], SafetyDecision]:
    """The decisions by which the policy acted, and the one that ended the episode."""
    recorded = [message for _, message, _ in messages(run_dir / "bag", ["/safety_filter/decision"])]
    taken = (SafetyDecision.VERDICT_ACCEPTED, SafetyDecision.VERDICT_BOUNDED)
    last = next(one for one in recorded if one.verdict == SafetyDecision.VERDICT_EPISODE_END)
    return [one for one in recorded if one.verdict in taken], last
