# SPDX-License-Identifier: Apache-2.0
"""A franka-sim server on one loopback address; runs in .venv-franka, not in ours (it needs an older numpy and MuJoCo).

The command line of franka-sim binds every address of the machine; this binds one.
"""

from __future__ import annotations

import sys

from franka_sim import FrankaSimServer


def main() -> None:
    server = FrankaSimServer(
        host=sys.argv[1],
        physics="mujoco",
        enable_gripper=False,
        enforce_comm_constraints=True,
        enforce_motion_limits=True,
    )
    try:
        server.start()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
