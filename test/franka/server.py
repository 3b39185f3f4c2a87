# SPDX-License-Identifier: Apache-2.0
"""A franka-sim server on one loopback address; runs in .venv-franka, not in ours (it needs an older numpy and MuJoCo).

    server.py ADDRESS [strict] [at=Q1,...,Q7]

The command line of franka-sim binds every address of the machine; this binds one. The arm's limits are enforced; that
it stops when 20 of its cycles in a row get no answer is enforced where `strict` says so; `at` is where it stands at
first. Lines on standard input: `trace` is answered by one line of JSON with [steady time, ns; torques, N·m] of every
torque command since the last question, `newest` by the newest torques, `block` by the pose of the model's block, if
any; `stop` is its user stop, `guide` a hand that guides it, until `release`; `reflex N` ends a motion by the error of
that number; `strict` and `lenient` change what is enforced; `version N` has it answer the next client as one of that
version of the protocol.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time

from franka_sim import ConnectStatus, FrankaSimServer, mujoco_franka_sim
from franka_sim.franka_protocol import RobotMode
from franka_sim.robot_state import RobotState

OWN_VERSION = 10


def main() -> None:
    for word in sys.argv[2:]:
        if word.startswith("at="):
            mujoco_franka_sim.ARM_INITIAL_Q[:] = [float(value) for value in word[3:].split(",")]
    server = FrankaSimServer(
        host=sys.argv[1],
        physics="mujoco",
        enable_gripper=False,
        enforce_comm_constraints="strict" in sys.argv[2:],  # 20 cycles without an answer end a motion
        enforce_motion_limits=True,
    )
    trace: list[tuple[int, list[float]]] = []
    apply = server.physics_sim.update_torques

    def noted(torques: list[float]) -> None:
        trace.append((time.clock_gettime_ns(time.CLOCK_BOOTTIME), [float(value) for value in torques]))
        apply(torques)

    server.physics_sim.update_torques = noted

    initialize = server.physics_sim.initialize_simulation

    def initialized() -> None:
        initialize()
        for number in blocks():  # franka-sim carries all there is
            server.physics_sim.model.body_gravcomp[number] = 0.0

    def blocks() -> list[int]:
        model = server.physics_sim.model
        return [number for number in range(model.nbody) if model.body(number).name == "block"]

    server.physics_sim.initialize_simulation = initialized

    held: list[RobotMode] = []  # mode in which somebody holds it
    pack = RobotState.pack_state

    def packed(state: RobotState) -> bytes:
        if held:
            state.state["robot_mode"] = held[-1].value
        return bytes(pack(state))

    RobotState.pack_state = packed

    respond = server.send_response

    def answered(*arguments: object, **values: object) -> object:
        """As an arm of another version, where one is asked for: it says which it has, and takes nothing."""
        if "version" in values and server.library_version != OWN_VERSION:
            values["status"] = ConnectStatus.kIncompatibleLibraryVersion
        return respond(*arguments, **values)

    server.send_response = answered

    def obey() -> None:
        for line in sys.stdin:
            words = line.split()
            if words[0] == "trace":  # entry by entry: a list of some seconds at once would hold the simulation up
                taken = trace[:]
                del trace[: len(taken) - 1]
                print(f"[{','.join(json.dumps(entry) for entry in taken)}]", flush=True)
            elif words[0] == "newest":
                print(json.dumps(trace[-1][1] if trace else []), flush=True)
            elif words[0] == "block":
                data = server.physics_sim.data
                poses = [[*data.xpos[number], *data.xquat[number][[1, 2, 3, 0]]] for number in blocks()]
                print(json.dumps(poses[0] if poses else []), flush=True)
            elif words[0] in ("stop", "guide"):
                held.append(RobotMode.kUserStopped if words[0] == "stop" else RobotMode.kGuiding)
                server._abort_with_error((), f"asked for by a test: {words[0]}")
            elif words[0] == "release":
                server.robot_state.state["robot_mode"] = RobotMode.kIdle.value
                held.clear()
            elif words[0] in ("strict", "lenient"):
                server.comm.enforce = words[0] == "strict"
            elif words[0] == "version":
                server.library_version = int(words[1])
            elif words[0] == "reflex":
                server._abort_with_error(int(words[1]), "asked for by a test")
        os._exit(0)  # the test is gone

    # An arm's own computer neither collects garbage nor answers questions while a cycle is due.
    gc.disable()
    sys.setswitchinterval(2e-4)
    threading.Thread(target=obey, daemon=True).start()
    server.start()


if __name__ == "__main__":
    main()
