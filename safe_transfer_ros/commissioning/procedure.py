# SPDX-License-Identifier: Apache-2.0
"""The steps in their order. What follows a failed step is not run: it would rest on what was just found wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from safe_transfer_ros.commissioning.at_rest import joint_names, limits
from safe_transfer_ros.commissioning.directions import directions
from safe_transfer_ros.commissioning.gravity import gravity
from safe_transfer_ros.commissioning.latency import latency
from safe_transfer_ros.commissioning.step import Bench, Failed, Step, StepResult
from safe_transfer_ros.commissioning.stops import e_stop, watchdog
from safe_transfer_ros.commissioning.torque_end import torque_end

# Before anything is pushed it is known that the arm can be stopped.
STEPS: Mapping[str, Step] = {
    "joint_names": joint_names,
    "limits": limits,
    "gravity": gravity,
    "e_stop": e_stop,
    "watchdog": watchdog,
    "latency": latency,
    "directions": directions,
    "torque_end": torque_end,  # last: it may leave a torque, and pushes a joint that is known to be the right one
}


def commission(
    bench: Bench, steps: Iterable[str] = STEPS, begun: Callable[[str], None] = lambda name: None
) -> Iterator[StepResult]:
    """Walk through the procedure.

    Args:
      bench: Arm, operator and settings.
      steps: Those to be run, by name.
      begun: Told the name of each step as it begins.

    Yields:
      The outcome of each step; a failed one is the last.
    """
    for name in steps:
        begun(name)
        try:
            says, measured = STEPS[name](bench)
            if bench.arm.held:  # whatever the step was about: its end was not a stop
                raise Failed(bench.arm.held)
        except Failed as failure:
            bench.arm.rest()
            yield StepResult(name=name, passed=False, says=str(failure))
            return
        yield StepResult(name=name, passed=True, says=says, measured=measured)
