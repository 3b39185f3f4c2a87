# SPDX-License-Identifier: Apache-2.0
"""Whether a torque for a joint moves that joint, and in its direction: order and signs.

One joint at a time is pushed forth and back by one period of a sine, which leaves an arm at rest where it was pushed
to. The others are free, so they move as well: torque on joint i alone accelerates the arm by column i of M^-1, M its
inertia. As |M^-1_ij| <= sqrt(M^-1_ii M^-1_jj), the driven joint is the one with the largest displacement divided by the
root of its mobility M^-1_ii, whatever the coupling.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.commissioning.step import Arm, Bench, Failed, Result
from safe_transfer_ros.robots.dynamics import ArmDynamics
from safe_transfer_ros.safety.reasons import describe

Array = npt.NDArray[np.float64]

LOOKS, LOOK_SECONDS = 100, 0.2  # an arm with little friction swings for long
HOLES = 20  # pushes of one joint that a machine may spoil by not running us
STALLS = 3  # of these, such as tripped the filter: the operator is asked again before each


def pushing_torque(target: float, duration: float, mobility: float) -> float:
    """Amplitude, N·m, of a sine of one period that moves a free joint by `target`, rad, in `duration`, s.

    Acceleration A m sin(2 pi t / T) twice integrated is A m T² / 2 pi; mobility m in 1/(kg·m²).
    """
    return 2.0 * math.pi * target / (duration**2 * mobility)


def driven_joint(displacement: Array, mobility: Array) -> int:
    """The joint that a torque drove, see above.

    Args:
      displacement: Of every joint, shape (n_joints,), rad.
      mobility: diag M^-1, same shape, 1/(kg·m²), > 0.
    """
    return int(np.argmax(np.abs(displacement) / np.sqrt(mobility)))


def directions(bench: Bench) -> Result:
    """Every joint answers its own torque, in its own direction."""
    arm, settings = bench.arm, bench.settings
    mobility = ArmDynamics(arm.robot).mobility(bench.position())
    measured: dict[str, object] = {}
    for joint, name in enumerate(arm.robot.joint_names):
        direction = roomier_direction(bench, joint)
        # The torque may reach any joint: begin with what moves the most mobile one by a little.
        amplitude = pushing_torque(settings.push_motion, settings.push_time, float(mobility.max()))
        bench.confirmed(
            f"Joint {joint + 1} of {len(mobility)}, {name}, is pushed towards {'+' if direction > 0 else '-'}: with "
            f"{amplitude:.2g} N·m first, then with more until it moves, up to {bench.timeouts.torque_limit:g} N·m."
        )
        way, torque = _push(bench, joint, direction, amplitude)
        moved = driven_joint(way, mobility)
        measured[name] = {"torque_nm": round(torque, 4), "moved_rad": [round(float(value), 5) for value in way]}
        if moved != joint:
            raise Failed(
                f"torque for {name} moved {arm.robot.joint_names[moved]}: cables swapped, or the joints' order in the "
                "hardware interface"
            )
        if way[joint] * direction < 0.0:
            raise Failed(f"{name} moved against its torque ({way[joint]:+.3f} rad): the sign of torque or of position")
    return f"each of {len(mobility)} joints answers its own torque, in its own direction", measured


def roomier_direction(bench: Bench, joint: int) -> float:
    """The direction in which the joint has more room, +1 or -1.

    Raises:
      Failed: a joint is too near the end of its travel for a push, or not published.
    """
    arm, limits, margin = bench.arm, bench.arm.robot.limits, bench.settings.push_stop
    position = bench.position()
    lower = np.maximum(limits.lower, limits.soft_lower) + margin
    upper = np.minimum(limits.upper, limits.soft_upper) - margin
    inside = (position >= lower) & (position <= upper)
    if not inside.all():
        which = int(np.argmin(inside))
        raise Failed(f"{arm.robot.joint_names[which]} is too near the end of its travel: move it inwards by hand")
    return 1.0 if upper[joint] - position[joint] >= position[joint] - lower[joint] else -1.0


def _push(bench: Bench, joint: int, direction: float, amplitude: float) -> tuple[Array, float]:
    """Push with more and more torque until something moves; how far everything was just then, rad, and the torque, N·m.

    Just then, not at last: a joint with more damping than inertia is back where it was when the push is over, and one
    that missed a part of the push forth, because a machine did not run us, may be driven beyond that by the push back.
    """
    arm, settings, limit = bench.arm, bench.settings, bench.timeouts.torque_limit
    enough = settings.push_motion / 4.0
    bench.free()
    holes = stalls = 0
    try:
        while True:
            amplitude = min(amplitude, limit)
            _settle(bench)
            start = bench.position()
            way = np.zeros_like(start)
            arm.forget()
            bench.push(_sine(joint, direction * amplitude, settings.push_time, len(start)))

            def far(start: Array = start, way: Array = way) -> bool:
                now = arm.position - start
                if np.abs(way).max() < enough and np.isfinite(now).all():
                    way[:] = now
                return arm.tripped or not float(np.abs(now).max()) <= settings.push_stop

            arm.until(far, settings.push_time + settings.push_settling)
            tripped, cause, says = arm.tripped, arm.cause, arm.says
            arm.ease()  # armed, and without proposals, it would trip while what was pushed still swings
            pause = _longest_pause(arm)
            spoiled = pause > settings.push_time / 8.0  # of a sine with a hole in it nothing can be told
            holes, stalls = holes + spoiled, stalls + tripped
            if tripped and not (spoiled and math.isfinite(pause)):
                raise Failed(f"the filter tripped ({describe(cause)}): {says}")
            if holes > HOLES or stalls > STALLS:
                raise Failed("joint states or commands pause again and again: see `safe_transfer doctor`")
            if tripped:  # by the machine, which did not run us, and not by the arm
                bench.confirmed(f"The machine stood still for {pause:.2g} s, and the filter tripped: the push again.")
                bench.free()
            if spoiled:
                continue
            if np.abs(way).max() >= enough:
                return way, amplitude
            if amplitude >= limit:
                name = arm.robot.joint_names[joint]
                raise Failed(
                    f"{name} did not move with {limit:g} N·m: brake, friction above safety_filter.reset_torque_limit, "
                    "or no torque reaches it"
                )
            amplitude *= 2.0
    finally:
        arm.rest()


def _settle(bench: Bench) -> None:
    """Wait until nothing moves: a joint that swings from the push before would be taken for an answer to this one."""
    for _ in range(LOOKS):
        before = bench.position()
        bench.arm.wait(LOOK_SECONDS)
        if np.abs(bench.position() - before).max() < bench.settings.push_motion / 20.0:
            return
    raise Failed("the arm does not come to rest at zero torque")


def _longest_pause(arm: Arm) -> float:
    """Longest time without a joint state, or from one to the command that followed, since `forget`, s."""
    return max([*np.diff(arm.stamps), *arm.delays], default=math.inf)


def _sine(joint: int, amplitude: float, duration: float, n_joints: int) -> Callable[[float], Array]:
    def torque(time_s: float) -> Array:
        values = np.zeros(n_joints)
        if time_s < duration:
            values[joint] = amplitude * math.sin(2.0 * math.pi * time_s / duration)
        return values

    return torque
