# SPDX-License-Identifier: Apache-2.0
"""The process that owns the arm; started by nodes/franka_robot, with its settings and the shared memory.

It prints before the first cycle and after the last, never between: a log that nobody reads must not hold it up.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time

from safe_transfer_ros import realtime
from safe_transfer_ros.franka.arm import LibfrankaArm
from safe_transfer_ros.franka.exchange import Exchange
from safe_transfer_ros.franka.session import Session
from safe_transfer_ros.franka.settings import ArmSettings
from safe_transfer_ros.safety.motion.torque_cycle import CycleSettings

EXIT_BAD_INPUT = 2


def steady_ns() -> int:
    """Steady time, ns, on the clock of the ROS side (`middleware/clock.py`)."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def main(arguments: list[str]) -> int:
    """Run until told to end, or until the ROS side is gone.

    Args:
      arguments: Process id of the ROS side, file descriptor of the shared memory, settings.
    """
    parent, descriptor, text = int(arguments[0]), int(arguments[1]), arguments[2]
    settings = ArmSettings.from_text(text)
    try:
        arm = LibfrankaArm(settings)
    except ImportError as error:
        print(f"franka_robot: {error}", file=sys.stderr, flush=True)
        return EXIT_BAD_INPUT
    session = Session(
        arm,
        Exchange(descriptor),
        settings.effort_limit,
        CycleSettings(
            torque_step=settings.torque_step,
            command_timeout_s=settings.command_timeout_s,
            state_timeout_s=settings.state_timeout_s,
        ),
        clock=steady_ns,
        pause=time.sleep,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: session.end())
    for refusal in realtime.request(settings.realtime_priority, lock_memory=settings.realtime_priority > 0):
        print(f"franka_robot: {refusal}", file=sys.stderr, flush=True)
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing that lives longer than a cycle is built below
    while session.turn():
        if os.getppid() != parent:
            session.end()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
