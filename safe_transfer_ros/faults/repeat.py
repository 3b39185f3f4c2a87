# SPDX-License-Identifier: Apache-2.0
"""One repeat of one fault: injected while torque flows, observed, judged, undone."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import numpy as np

from safe_transfer_ros.faults import promises
from safe_transfer_ros.faults.fault import ALWAYS, GRACE, LAST_STATE_SEEN, Fault, Safe, names
from safe_transfer_ros.faults.ledger import Kind
from safe_transfer_ros.faults.observer import NotSo, until
from safe_transfer_ros.faults.recorded import Published
from safe_transfer_ros.faults.stage import LEASE, T_MIN, Stage
from safe_transfer_ros.safety.reasons import Mode, Reason

PATIENCE = 4.0  # s for what is expected to happen; how fast is judged by what happened
LINGER = 0.1  # s watched after it has: torque that comes back would show
STALL_EXCUSES = 0.010  # s: a machine that stood still for longer, and for longer than the miss, excuses it
_MS = 1e-6


@dataclass(kw_only=True)
class RepeatResult:
    """Result of a repeat.

    Attributes:
      observed: Modes and reasons, in words.
      time_to_safe_ms: From the last good message, or the injection, to safe torque; NaN where torque goes on.
      allowed_ms: The most allowed.
      broken: Promises broken, in words.
      late: Promises about time that were not kept, in words.
      stall_ms: How long threads that were ready to run were not run meanwhile, together: from the last good message to
        safe torque where that was timed, else from beginning to end.
      published: What was published before the fault; it must be in the bag.
      lost: How much of it is not, known when the bag has been read.
    """

    observed: str = ""
    time_to_safe_ms: float = float("nan")
    allowed_ms: float = float("nan")
    broken: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    stall_ms: float = 0.0
    published: Published = field(default_factory=Published)
    lost: int = 0

    @property
    def kept(self) -> str:
        """yes; no; or stalled: only a bound on time was missed, and the machine stood still meanwhile."""
        if self.broken or self.lost:
            return "no"
        if self.late:
            excess = max(0.0, self.time_to_safe_ms - self.allowed_ms)  # NaN, where only something else was late: 0
            return "stalled" if self.stall_ms > max(STALL_EXCUSES * 1e3, excess) else "no"
        return "yes"


def run(fault: Fault, stage: Stage, rng: random.Random) -> RepeatResult:
    """Run one repeat.

    Raises:
      NotSo: torque did not flow before the fault: nothing was tried.
    """
    stage.ready()
    outcome = RepeatResult()
    begin_ns = time.monotonic_ns()
    time.sleep(rng.uniform(0.1, 0.2))  # proposals come every 50 ms: the fault meets any phase
    injected_ns = time.monotonic_ns()
    fault.inject(stage)
    _watch(fault, stage, injected_ns, outcome)
    end_ns = time.monotonic_ns()
    if fault.reset_refused:
        _try_to_go_on(stage, outcome)
    fault.undo(stage)
    _judge(fault, stage, begin_ns, injected_ns, end_ns, outcome)
    return outcome


def _watch(fault: Fault, stage: Stage, injected_ns: int, outcome: RepeatResult) -> None:
    """Wait for the expected effect, or for the time in which nothing must happen."""
    try:
        if fault.ends_filter is not None:
            status = stage.wait("filter", PATIENCE)
            if status != fault.ends_filter:
                outcome.broken.append(f"the filter ended with exit status {status}")
        elif fault.ends_recorder is not None:
            status = stage.wait("recorder", PATIENCE)
            if status != fault.ends_recorder:
                outcome.broken.append(f"the recorder ended with exit status {status}")
            time.sleep(fault.hold_s)
        elif fault.modes:
            until(
                lambda: fault.modes[-1] in _modes(stage, injected_ns, time.monotonic_ns()),
                PATIENCE,
                f"{fault.modes[-1].name}",
            )
        elif fault.safe is Safe.LOWEST_LIMIT:
            until(lambda: stage.observer.status.lease_lost, PATIENCE, "the lease being lost")
            time.sleep(fault.hold_s)
        else:
            time.sleep(fault.hold_s)
        if fault.safe is Safe.ROBOT_ZERO:
            until(lambda: not stage.robot_efforts()[1][-1:].any(), PATIENCE, "the robot at zero torque")
    except NotSo as error:
        outcome.broken.append(str(error))
    time.sleep(LINGER)


def _try_to_go_on(stage: Stage, outcome: RepeatResult) -> None:
    """Check that neither a reset nor arming succeeds while the cause stands."""
    for ask, what in ((stage.observer.reset, "reset"), (stage.observer.arm, "arming")):
        done, _ = ask()
        if done:
            outcome.broken.append(f"{what} was not refused while the cause stood")


def _modes(stage: Stage, begin_ns: int, end_ns: int) -> list[Mode]:
    """Modes published in a span of time, each change once."""
    told = [Mode(status.mode) for time_ns, status in list(stage.observer.statuses) if begin_ns < time_ns <= end_ns]
    return [mode for index, mode in enumerate(told) if index == 0 or mode is not told[index - 1]]


def _judge(fault: Fault, stage: Stage, begin_ns: int, injected_ns: int, end_ns: int, outcome: RepeatResult) -> None:
    observer = stage.observer
    outcome.stall_ms = _stall_ms(stage, begin_ns, end_ns)
    commands = [(t, torque) for t, torque in list(observer.commands) if begin_ns <= t <= end_ns]
    times = np.array([t for t, _ in commands], dtype=np.int64)
    torques = [torque for _, torque in commands]
    stood_in = stage.setting.robot == "robot"
    broken, late = promises.broken(
        times, torques, stage.bounds, stage.grants(), stage.times("policy") if stood_in else None
    )
    outcome.broken += broken
    outcome.late += late
    _judge_told(fault, stage, injected_ns, end_ns, outcome)
    if not broken:
        _judge_time(fault, stage, injected_ns, end_ns, times, torques, outcome)
    outcome.published = stage.published(begin_ns, injected_ns)


def _judge_told(fault: Fault, stage: Stage, injected_ns: int, end_ns: int, outcome: RepeatResult) -> None:
    """Modes and reasons against those expected."""
    observer = stage.observer
    modes = _modes(stage, injected_ns, end_ns)
    reasons = Reason.NONE
    for t, decision in list(observer.decisions):
        if injected_ns < t <= end_ns:
            reasons |= Reason(decision.reasons)
    for t, status in list(observer.statuses):
        if injected_ns < t <= end_ns:
            reasons |= Reason(status.cause)
    reasons &= ~ALWAYS
    if fault.ends_filter is not None:
        outcome.observed = "ended, as expected" if not outcome.broken else "; ".join(outcome.broken)
        return
    stopping = tuple(mode for mode in modes if mode in (Mode.HOLDING, Mode.TRIPPED, Mode.DISARMED))
    outcome.observed = ", ".join(mode.name for mode in stopping) or "ARMED"
    if reasons:
        outcome.observed += f": {names(reasons)}"
    if fault.jitters:
        if Mode.TRIPPED in stopping or Mode.DISARMED in stopping:
            outcome.broken.append(f"{stopping[-1].name} was not expected")
        outcome.observed = "HOLDING" if stopping else "no gap long enough"
        outcome.observed += f": {names(reasons)}" if reasons else ""
        reasons |= fault.reasons
    elif stopping != fault.modes:
        # A filter that was more careful than expected while the machine stood still broke nothing.
        careful = set(fault.modes) < set(stopping) and not set(stopping) - {Mode.HOLDING, *fault.modes}
        where = outcome.late if careful else outcome.broken
        where.append(f"modes {', '.join(m.name for m in stopping) or 'ARMED'}")
        if careful:
            reasons &= ~(Reason.PROPOSAL_TIMEOUT & ~fault.reasons)
    missing, surplus = fault.reasons & ~reasons, reasons & ~(fault.reasons | fault.may)
    if missing:
        outcome.broken.append(f"not told: {names(missing)}")
    if surplus:
        outcome.broken.append(f"told besides: {names(surplus)}")


def _judge_time(
    fault: Fault,
    stage: Stage,
    injected_ns: int,
    end_ns: int,
    times: np.ndarray,
    torques: list,
    outcome: RepeatResult,
) -> None:
    """From the last good message to safe torque."""
    values = np.array(torques)
    if fault.safe is Safe.UNCHANGED:
        after = values[times > injected_ns]
        if not fault.jitters and (not after.size or not after.any(axis=1).any()):
            outcome.broken.append("torque did not go on")
        return
    if fault.safe is Safe.ROBOT_ZERO:
        times, efforts = stage.robot_efforts()
        meanwhile = (times > injected_ns - 100_000_000) & (times < end_ns)
        times, safe = times[meanwhile], efforts[meanwhile] == 0.0
    elif fault.safe is Safe.LOWEST_LIMIT:
        safe = (np.abs(values) <= T_MIN + 1e-9).all(axis=1)
    else:
        safe = ~values.any(axis=1)
    start_ns = _start(fault, stage, injected_ns, end_ns)
    reached = promises.safe_from(times, safe)
    timeout = fault.within if isinstance(fault.within, float) else _parameter(stage, fault.within)
    outcome.allowed_ms = (timeout + GRACE) * 1e3
    if reached is None:
        outcome.broken.append("torque was not safe at the end")
        return
    outcome.time_to_safe_ms = max(0.0, (reached - start_ns) * _MS)
    outcome.stall_ms = _stall_ms(stage, start_ns, reached)
    if outcome.time_to_safe_ms > outcome.allowed_ms:
        outcome.late.append(f"{outcome.time_to_safe_ms:.1f} ms to safe torque, allowed {outcome.allowed_ms:.0f}")


def _parameter(stage: Stage, name: str) -> float:
    return LEASE if name == "lease" else stage.parameter(name)


def _start(fault: Fault, stage: Stage, injected_ns: int, end_ns: int) -> int:
    if not fault.since:
        return injected_ns
    if fault.since == LAST_STATE_SEEN:
        return max(t for t, _ in list(stage.observer.efforts) if t < end_ns)
    times = stage.times(fault.since, fault.begin)
    if fault.begin is Kind.BAD:
        times = times[times > injected_ns]
        return int(times[0]) if times.size else injected_ns
    times = times[times < end_ns]
    return int(times[-1]) if times.size else injected_ns


def _stall_ms(stage: Stage, begin_ns: int, end_ns: int) -> float:
    records = stage.ledger("canary")
    meanwhile = records[(records["time_ns"] > begin_ns) & (records["time_ns"] < end_ns + 50_000_000)]
    return float(meanwhile["value"].sum()) * 1e3
