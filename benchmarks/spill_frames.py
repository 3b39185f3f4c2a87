# SPDX-License-Identifier: Apache-2.0
"""A strip of frames of the spill test: the shipped policy on the sticky, hardly damped arm, limited and not.

MUJOCO_GL=egl python benchmarks/spill_frames.py docs/figures/spill_frames.png
"""

from __future__ import annotations

import sys
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
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

TIMES_S = (0.0, 0.3, 0.6, 1.0, 7.0)
LIMITS = (("limited to 1.8 N·m", 1.8), ("limited to 3 N·m", 3.0), ("not limited", 1000.0))
SEED, WIDTH, HEIGHT = 0, 400, 400


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


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("spill_frames.png")
    almond_cup.LOST_BEYOND = 3.0  # they are to be seen falling; `out_of` counts as the test does
    run = experiment("spill").methods[0].run
    task, robot = make(run.task, TorqueTask), run.perturbation
    parameters = with_stddev_scaled(load_for(task, run.policy)[0], run.stddev_factor)
    policy = GaussianPolicy(with_torque_scaled(parameters, run.torque_factor))
    with VectorTorqueEnv(task, robot, threads=1) as environment:
        batch = environment.rollout(policy, torque_limits=[limit for _, limit in LIMITS], seed=SEED)
    arm = ArmSimulation(build_model(task.robot, robot, task.timestep_s), task.robot.joint_names)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(len(LIMITS), len(TIMES_S), figsize=(12, 7.8), layout="constrained")
        for row, (label, _) in enumerate(LIMITS):
            position, rotation = cup_poses(*tool_path(task, robot, batch, row))
            cup = AlmondCup(run.almonds, seed=SEED)
            coloured(cup)
            cup.model.vis.headlight.ambient[:] = 0.45
            cup.model.vis.global_.offwidth, cup.model.vis.global_.offheight = WIDTH, HEIGHT
            cup.place(position[0], rotation[0])
            renderer = mujoco.Renderer(cup.model, HEIGHT, WIDTH)
            done = 0
            for column, seconds in enumerate(TIMES_S):
                at = round(seconds / task.timestep_s)
                if at > done:
                    cup.follow(position[done : at + 1], rotation[done : at + 1], task.timestep_s)
                    done = at
                arm.reset(batch.position[row, round(seconds / task.control_period_s)])
                mujoco.mj_forward(arm.model, arm.data)
                panel = axes[row, column]
                panel.imshow(frame(renderer, cup, arm, position[at]))
                panel.set_xticks([])
                panel.set_yticks([])
                panel.grid(False)
                panel.set_title(f"{seconds:g} s: {out_of(cup, position[at])} of {cup.count} lost")
                if column == 0:
                    panel.set_ylabel(label)
            renderer.close()
        figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
