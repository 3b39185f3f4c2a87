# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo arm behind a socket: the hardware of the ros2_control stand-in, a process of its own.

It applies the last effort it was sent, for ever unless it has a watchdog, as hardware does. Every step is written down
with this machine's monotonic time, so that a test can tell when the torque at the arm became zero.

  python plant.py FOLDER --rate 500 [--watchdog 0.1]
"""

from __future__ import annotations

import argparse
import signal
import socket
import struct
import time
from pathlib import Path

import numpy as np

from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.simulation import ArmSimulation, build_model, perturbation

TRACE = struct.Struct("qd")  # monotonic time, ns; largest absolute torque, N·m
EFFORT, PLACE, FAULT = b"e", b"p", b"f"


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--robot", default="pr2_left_arm")
    parser.add_argument("--perturbation", default="nominal")
    parser.add_argument("--rate", type=float, default=500.0, help="physics steps and states a second")
    parser.add_argument("--watchdog", type=float, default=0.0, help="no effort for this long, s: zero; 0: none")
    options = parser.parse_args()

    robot = load(options.robot)
    arm = ArmSimulation(build_model(robot, perturbation(options.perturbation), 1.0 / options.rate), robot.joint_names)
    arm.reset(np.asarray(robot.home))
    torque = np.zeros(robot.joint_count)
    motor, sign, carried = np.arange(robot.joint_count), np.ones(robot.joint_count), arm.model.body_gravcomp.copy()
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    link.bind(str(options.folder / "plant"))
    link.setblocking(False)
    manager = str(options.folder / "manager")
    trace = open(options.folder / "trace", "ab", buffering=0)
    period = 1.0 / options.rate
    heard = due = time.monotonic()
    stuck = False
    while True:
        try:
            while True:
                message = link.recv(4096)
                if message[:1] == FAULT:
                    motor, sign, arm.model.body_gravcomp[:] = np.arange(robot.joint_count), np.ones_like(sign), carried
                    fault, *joints = message[1:].decode().split()
                    stuck = fault == "stuck"
                    if fault == "flip":
                        sign[int(joints[0])] = -1.0
                    elif fault == "swap":
                        one, other = map(int, joints)
                        motor[[one, other]] = other, one
                    elif fault == "sag":
                        arm.model.body_gravcomp[:] = 0.0
                    continue
                values = np.frombuffer(message[1:])
                if message[:1] == PLACE:
                    arm.reset(values)
                elif np.isfinite(values).all() and not stuck:  # hardware is sent NaN before the first command
                    torque, heard = values, time.monotonic()
        except BlockingIOError:
            pass
        if options.watchdog and time.monotonic() - heard > options.watchdog:
            torque = np.zeros(robot.joint_count)
        arm.step((sign * torque)[motor])
        trace.write(TRACE.pack(time.monotonic_ns(), float(np.abs(torque).max())))
        try:
            link.sendto(np.concatenate([arm.position, arm.velocity, torque]).tobytes(), manager)
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            pass  # no controller_manager listens: the arm does not care
        due = max(due + period, time.monotonic() - 4 * period)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
