# SPDX-License-Identifier: Apache-2.0
"""Whether a run through ros2_control behaves as one through mujoco_sim: same seed, same policy, same arm, real time.

  python benchmarks/stand_in_against_sim.py [--seeds 0 1 2]

For each seed one episode of the shipped policy is run through ros2_control's stand-in, through mujoco_sim, and through
mujoco_sim once more: no two runs in real time are alike, and the second pair shows by how much. Compared are the bags:
action noise, joint positions step by step, returns. Needs controller_manager_msgs (`make test` builds it where there is
none).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test" / folder) for folder in ("ros2_control", "graphs", "nodes")]

import graph_runs  # noqa: E402
from client import started  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from safe_transfer_ros.bags.read import messages  # noqa: E402
from safe_transfer_ros.randomness import Purpose, generator  # noqa: E402
from safe_transfer_ros.record.episode import Episode, episodes_from_decisions  # noqa: E402
from safe_transfer_ros.record.iteration import episode_returns  # noqa: E402
from safe_transfer_ros.tasks.task import make  # noqa: E402
from safe_transfer_ros.tasks.torque_task import TorqueTask  # noqa: E402

TASK = make("pr2_cup_swirl", TorqueTask)
WORDS = ("iterations:=1", "trainer.episodes_per_iteration:=1", "timing:=realtime")
# Not about time: a machine that others use must not end the run.
PATIENT = (
    "safety_filter.joint_state_timeout:=3.0",
    "safety_filter.frozen_timeout:=3.0",
    "safety_filter.action_timeout:=3.0",
    "safety_filter.trip_timeout:=4.0",
    "unsafety_monitor.lease:=60.0",
)
HARDWARE = (
    "robot:=hardware",
    "allow_uncommissioned:=true",
    "safety_filter.permission_lease:=3.0",
    "safety_filter.e_stop_lease:=off",
    "controller_supervisor.command_timeout:=1.0",
    "controller_supervisor.service_timeout:=5.0",
    "episode_reset.position_tolerance:=0.005",
)


def simulated(seed: int, folder: Path) -> Episode:
    """Through mujoco_sim."""
    done = graph_runs.up(folder, *WORDS, *PATIENT, f"seed:={seed}", "perturbation:=nominal")
    if done.returncode:
        raise SystemExit(done.stderr)
    return recorded(folder)


def through_ros2_control(seed: int, folder: Path) -> Episode:
    """Through the stand-in, at mujoco_sim's rate."""
    start = {"start": ["joint_state_broadcaster"]}
    with started(shared=True, stand_in=start, controller_manager={"update_rate": 200}) as arm:
        # As hands would: the move to the start is not what is compared.
        arm.arm.place(TASK.initial_state(generator(Purpose.INITIAL_STATE, seed, 0))[0])
        arm.requests["activate"] = arm.create_client(SetBool, "controller_supervisor/activate")
        words = (*WORDS, *PATIENT, *HARDWARE, f"seed:={seed}")
        with graph_runs.started(folder, *words, ROS_DOMAIN_ID=str(arm.domain)) as process:
            arm.until(lambda: arm.call("activate", SetBool.Request(data=True)).success, "activation")
            arm.until(lambda: process.poll() is not None, "the run", seconds=300.0)
            if process.returncode:
                raise SystemExit(process.communicate()[1])
    return recorded(folder)


def recorded(folder: Path) -> Episode:
    """The episode in a run's bag."""
    [episode] = episodes_from_decisions(
        message for _, message, _ in messages(folder / "bag", ["/safety_filter/decision"])
    )
    return episode


def noise(episode: Episode) -> np.ndarray:
    """What the policy drew, shape (steps, n_joints)."""
    return (episode.proposed - episode.mean) / episode.stddev


def compare(name: str, one: Episode, other: Episode) -> None:
    """Print how far two episodes are from each other."""
    steps = min(one.steps, other.steps)
    apart = one.position[:steps] - other.position[:steps]
    begin = float(np.abs(apart[0]).max())
    beyond = np.abs(apart - apart[0])
    drawn = float(np.abs(noise(one)[:steps] - noise(other)[:steps]).max())
    returns = [episode_returns(episode, TASK)[0] for episode in (one, other)]
    moved = float(np.abs(one.position - one.position[0]).max())
    slowest = max(float(np.diff(episode.stamp_ns).max()) * 1e-6 for episode in (one, other))
    print(
        f"{name:34} steps {one.steps}/{other.steps}  noise {drawn:.1e}  start {begin:.4f} rad  apart beyond it: rms "
        f"{np.sqrt(np.mean(beyond**2)):.4f}, max {beyond.max():.4f} rad (moved {moved:.2f} rad)  "
        f"return {returns[0]:.1f}/{returns[1]:.1f}  longest control period {slowest:.0f} ms",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as holder:
            folder = Path(holder)
            sim = simulated(seed, folder / "sim")
            compare(f"seed {seed}: mujoco_sim twice", sim, simulated(seed, folder / "again"))
            compare(f"seed {seed}: ros2_control, mujoco_sim", through_ros2_control(seed, folder / "arm"), sim)


if __name__ == "__main__":
    main()
