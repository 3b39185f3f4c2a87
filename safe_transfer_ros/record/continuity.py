# SPDX-License-Identifier: Apache-2.0
"""Whether a bag of this package's graph is unbroken: steps, joint states and their stamps."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.graph import messages
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.record.episode import EpisodeAssembler, EpisodeError, stamp_ns
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.topic_names import DECISIONS, JOINT_STATES

# A pause of this many usual periods is a hole in the stream of joint states.
_HOLE = 2.5
# Where stamps are of a machine's clock, not of a simulation's, they are as uneven as the machine: those of
# controller_manager at 1 kHz were measured up to 11 ms late, and nothing was missing. At 200 Hz this changes nothing.
_UNEVEN_NS = 12e6
_PUBLISHERS = 64  # sets of joints on one topic


def gaps(bag: Bag) -> list[str]:
    """Find messages missing from a bag.

    Args:
      bag: The bag; topics of other graphs are left alone.

    Returns:
      One line per finding, empty if nothing is missing.

    Raises:
      BagError: if the bag cannot be read.
    """
    assembler = EpisodeAssembler()
    found: list[str] = []
    states: dict[frozenset[str], array[int]] = {}  # stamps by joints: a gripper publishes its own on the same topic
    arm: frozenset[str] = frozenset()
    spans: list[tuple[str, NDArray[np.int64]]] = []
    for topic, message, _ in messages(bag, (JOINT_STATES, DECISIONS)):
        try:
            if topic == JOINT_STATES:
                if len(message.name) > JointOrder.MAX_NAMES:  # nobody takes it
                    continue
                joints = frozenset(map(str, message.name))
                if joints in states or len(states) < _PUBLISHERS:
                    states.setdefault(joints, array("q")).append(stamp_ns(message))
                continue
            arm = arm or frozenset(map(str, message.joint_names))
            episode = assembler.add(message)
        except EpisodeError as error:
            found.append(str(error))
            continue
        except (AttributeError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise BagError(f"{topic} in {bag.path} is not what this package's graph publishes: {error}") from error
        if episode is not None:
            spans.append((f"iteration {episode.iteration}, episode {episode.index}", episode.stamp_ns))
    if assembler.unfinished:
        found.append(f"the last episode breaks off after {assembler.unfinished} steps")
    stamps = [np.array(times, dtype=np.int64) for joints, times in states.items() if joints and arm <= joints]
    return found + _state_gaps(stamps, spans)


def _state_gaps(streams: list[NDArray[np.int64]], spans: list[tuple[str, NDArray[np.int64]]]) -> list[str]:
    found = []
    states = np.concatenate([np.empty(0, dtype=np.int64), *streams])
    backwards = sum(int(np.count_nonzero(np.diff(stream) < 0)) for stream in streams)
    if backwards:
        found.append(f"/{JOINT_STATES}: stamps go back {backwards} times (clock jump, or out of order)")
    repeated = len(states) - len(np.unique(states))
    if repeated:
        found.append(f"/{JOINT_STATES}: {repeated} stamps are repeated")
    ordered = np.unique(states)
    periods = [np.diff(ordered[(ordered >= stamps[0]) & (ordered <= stamps[-1])]) for _, stamps in spans]
    every = np.concatenate(periods) if periods else np.empty(0, dtype=np.int64)
    usual = float(np.median(every)) if len(every) else 0.0
    even = len(every) > 0 and bool(np.percentile(np.abs(every - usual), 90.0) <= 0.01 * usual)
    hole = _HOLE * usual if even else max(_HOLE * usual, _UNEVEN_NS)
    for (name, stamps), between in zip(spans, periods, strict=True):
        # The first decision answers the state of the reset, which may have been announced elsewhere.
        missing = int(np.count_nonzero(~np.isin(stamps[1:], ordered)))
        if missing:
            found.append(f"{name}: {missing} decisions have no joint state")
        holes = int(np.count_nonzero(between > hole))
        if holes:
            found.append(f"{name}: {holes} holes in the joint states, the longest {between.max() / 1e9:.3f} s")
    return found
