# SPDX-License-Identifier: Apache-2.0
"""A strip of frames of the spill test: the shipped policy on the sticky, hardly damped arm, limited and not.

MUJOCO_GL=egl python benchmarks/spill_frames.py docs/figures/spill_frames.png
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import mujoco
import numpy as np

from safe_transfer_ros.learning.policy_file import load_for, with_stddev_scaled, with_torque_scaled
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.reporting.plots import STYLE
from safe_transfer_ros.robots import almond_cup
from safe_transfer_ros.robots.almond_cup import LOST_BEYOND, AlmondCup, cup_poses
from safe_transfer_ros.robots.simulation import ArmSimulation, build_model
from safe_transfer_ros.studies.experiments import experiment
from safe_transfer_ros.studies.spill import tool_path
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

TIMES_S = (0.0, 0.3, 0.6, 1.0, 7.0)
LIMITS = (("limited to 1.8 N·m", 1.8), ("limited to 3 N·m", 3.0), ("not limited", 1000.0))
SEED, SIZE = 0, 400  # pixels


def coloured(cup: AlmondCup) -> None:
    for geom in range(cup.model.ngeom):
        name = cup.model.geom(geom).name
        if name.startswith("funnel"):
            cup.model.geom_rgba[geom, 3] = 0.0
        elif cup.model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            cup.model.geom_rgba[geom] = (0.62, 0.38, 0.18, 1.0)
        else:
            cup.model.geom_rgba[geom] = (0.0, 0.45, 0.7, 0.12)


def frame(renderer: mujoco.Renderer, cup: AlmondCup, arm: ArmSimulation, tool: np.ndarray) -> np.ndarray:
    camera = mujoco.MjvCamera()
    camera.lookat[:] = tool
    camera.lookat[2] -= 0.03  # what falls is below
    camera.distance, camera.azimuth, camera.elevation = 0.45, 130.0, -20.0
    renderer.update_scene(cup.data, camera)
    scene = renderer.scene
    joints = [arm.data.xanchor[joint].copy() for joint in range(arm.model.njnt)] + [tool]
    for start, end, width in zip(joints[:-1], joints[1:], (0.06, 0.05, 0.045, 0.04, 0.035, 0.03, 0.006), strict=True):
        if np.linalg.norm(end - start) < 1e-3:
            continue
        geom = scene.geoms[scene.ngeom]
        colour = np.array([0.75, 0.75, 0.74, 1.0], dtype=np.float32)
        mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), np.zeros(3), np.eye(3).ravel(), colour)
        mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, width, start, end)
        scene.ngeom += 1
    image = renderer.render().copy()
    image[(image == 0).all(axis=2)] = (242, 242, 240)  # nothing there
    return image


def out_of(cup: AlmondCup, centre: np.ndarray) -> int:
    almonds = cup.data.qpos[7:].reshape(cup.count, 7)[:, :3]
    return int(np.count_nonzero(np.linalg.norm(almonds - centre, axis=1) > LOST_BEYOND))


class Scene:
    """One limit's episode, looked at later and later.

    Attributes:
      label: The limit in words.
      count: Almonds in the cup at the start.
    """

    def __init__(self, label: str, batch: SimulatedRollouts, row: int, size: int) -> None:
        """Fill the cup and put it where the episode begins; images are squares of `size` pixels."""
        run = experiment("spill").methods[0].run
        self._task, robot = make(run.task, TorqueTask), run.perturbation
        self._positions, self._rotations = cup_poses(*tool_path(self._task, robot, batch, row))
        self._joints, self.label, self.count = batch.position[row], label, run.almonds
        self._arm = ArmSimulation(
            build_model(self._task.robot, robot, self._task.timestep_s), self._task.robot.joint_names
        )
        self._cup = AlmondCup(run.almonds, seed=SEED)
        coloured(self._cup)
        self._cup.model.vis.headlight.ambient[:] = 0.45
        self._cup.model.vis.global_.offwidth = self._cup.model.vis.global_.offheight = size
        self._cup.place(self._positions[0], self._rotations[0])
        self._renderer, self._done = mujoco.Renderer(self._cup.model, size, size), 0

    def at(self, seconds: float) -> tuple[np.ndarray, int]:
        """The image of a time not before the last one's, and how many almonds are out of the cup then."""
        task, at = self._task, round(seconds / self._task.timestep_s)
        if at > self._done:
            path = slice(self._done, at + 1)
            self._cup.follow(self._positions[path], self._rotations[path], task.timestep_s)
            self._done = at
        self._arm.reset(self._joints[round(seconds / task.control_period_s)])
        mujoco.mj_forward(self._arm.model, self._arm.data)
        where = self._positions[at]
        return frame(self._renderer, self._cup, self._arm, where), out_of(self._cup, where)

    def close(self) -> None:
        self._renderer.close()


def scenes(size: int) -> Iterator[Scene]:
    """One scene per limit, each closed when the next is asked for."""
    almond_cup.LOST_BEYOND = 3.0  # they are to be seen falling; `out_of` counts as the test does
    run = experiment("spill").methods[0].run
    task = make(run.task, TorqueTask)
    parameters = with_stddev_scaled(load_for(task, run.policy)[0], run.stddev_factor)
    policy = GaussianPolicy(with_torque_scaled(parameters, run.torque_factor))
    with VectorTorqueEnv(task, run.perturbation, threads=1) as environment:
        batch = environment.rollout(policy, torque_limits=[limit for _, limit in LIMITS], seed=SEED)
    for row, (label, _) in enumerate(LIMITS):
        scene = Scene(label, batch, row, size)
        yield scene
        scene.close()


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("spill_frames.png")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(len(LIMITS), len(TIMES_S), figsize=(12, 7.8), layout="constrained")
        for panels, scene in zip(axes, scenes(SIZE), strict=True):
            panels[0].set_ylabel(scene.label)
            for panel, seconds in zip(panels, TIMES_S, strict=True):
                image, lost = scene.at(seconds)
                panel.imshow(image)
                panel.set_xticks([])
                panel.set_yticks([])
                panel.grid(False)
                panel.set_title(f"{seconds:g} s: {lost} of {scene.count} lost")
        figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
