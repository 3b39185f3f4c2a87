# SPDX-License-Identifier: Apache-2.0
"""Joint states from serialised messages, in our joint order.

Joint states are the hottest messages of the graph: three of our nodes hear each one, a thousand times a second on an
arm. Turning one into a Python message costs more than everything that is then done with it, and from one to the next
only the stamp and the numbers change. So the first of each kind is deserialised as any other message, and where its
numbers lie is remembered; those that follow are read there, as long as every byte but the stamp and the numbers is the
same.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware import bounded
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError, OtherJointsError

Array = npt.NDArray[np.float64]

_LITTLE_ENDIAN_CDR = b"\x00\x01"  # of the four bytes before the content; the other two are options
_STAMP = struct.Struct("<iI")
_COUNT = struct.Struct("<I")
_START, _AFTER_STAMP = 4, 12
_SECOND = 1_000_000_000


class ReadState(NamedTuple):
    """One joint state: its stamp, ns, and position and velocity of our joints, shape (n_joints,), rad and rad/s."""

    stamp_ns: int
    position: Array
    velocity: Array


class JointStateError(ValueError):
    """A joint state that cannot be used; the text says why."""


class OtherJointStateError(JointStateError):
    """A joint state that names no joint of ours: a gripper's, or another arm's, which may share the topic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """Positions of the numbers in one publisher's messages, and the bytes before and between them."""

    indices: npt.NDArray[np.intp]
    joints: int  # in the message, which may be more than ours
    position: int
    velocity: int
    before: bytes
    between: bytes


class JointStateReader:
    """Reads serialised sensor_msgs/JointState messages, for subscriptions with raw=True."""

    def __init__(self, names: Sequence[str]) -> None:
        """Our joints, in our order; a message may hold further ones."""
        self._order = JointOrder(names)
        self._forms: dict[int, _Form] = {}  # by the length of the message

    def read(self, data: bytes) -> ReadState:
        """Read one message.

        Raises:
          OtherJointStateError: it is of other joints.
          JointStateError: it is not a joint state, is larger or has more joints than any robot's, lacks a joint of ours
            or one's number, or names one twice.
        """
        form = self._forms.get(len(data))
        if (
            form is None
            or data[_AFTER_STAMP : form.position] != form.before
            or data[form.position + 8 * form.joints : form.velocity] != form.between
            or data[:2] != _LITTLE_ENDIAN_CDR
        ):
            return self._read_anew(data)
        seconds, nanoseconds = _STAMP.unpack_from(data, _START)
        position = np.frombuffer(data, np.float64, form.joints, form.position)[form.indices]
        velocity = np.frombuffer(data, np.float64, form.joints, form.velocity)[form.indices]
        return ReadState(seconds * _SECOND + nanoseconds, position, velocity)

    def _read_anew(self, data: bytes) -> ReadState:
        count = _count_of_names(data)
        if count > JointOrder.MAX_NAMES:  # before any of them is made a string
            raise JointStateError(f"{count} joint names, expected at most {JointOrder.MAX_NAMES}")
        try:
            message = bounded.read(data, JointState)
        except bounded.MessageError as error:
            raise JointStateError(str(error)) from None
        try:
            indices = self._order.indices(message.name)
            position, velocity = np.frombuffer(message.position)[indices], np.frombuffer(message.velocity)[indices]
        except OtherJointsError as error:
            raise OtherJointStateError(str(error)) from None
        except (JointOrderError, IndexError, ValueError) as error:
            raise JointStateError(str(error)) from None
        form = _form(data, message, indices)
        if form is not None:
            self._forms = {len(data): form} if len(self._forms) >= 8 else self._forms | {len(data): form}
        return ReadState(to_ns(message.header.stamp), position, velocity)


def _count_of_names(data: bytes) -> int:
    """Number of joints that a message declares; 0 where its first bytes do not tell."""
    if data[:2] != _LITTLE_ENDIAN_CDR or len(data) < _AFTER_STAMP + 4:
        return 0
    frame_bytes = _COUNT.unpack_from(data, _AFTER_STAMP)[0]
    at = _up(_AFTER_STAMP - _START + 4 + frame_bytes, 4) + _START
    return int(_COUNT.unpack_from(data, at)[0]) if at + 4 <= len(data) else 0


def _form(data: bytes, message: JointState, indices: npt.NDArray[np.intp]) -> _Form | None:
    """Positions of the numbers; None where they are not found, and such a message is deserialised every time.

    Common data representation: after the stamp frame_id and the names, each a count and its bytes with a zero, then
    counted doubles; counts start at multiples of 4 and doubles at multiples of 8 from the end of the first 4 bytes.
    """
    joints = len(message.name)
    if data[:2] != _LITTLE_ENDIAN_CDR or not len(message.position) == len(message.velocity) == joints:
        return None
    at = _AFTER_STAMP - _START
    at = _up(at + 4 + len(message.header.frame_id.encode()) + 1, 4) + 4
    for name in message.name:
        at = _up(at, 4) + 4 + len(name.encode()) + 1
    position = _up(_up(at, 4) + 4, 8) + _START
    end = position + 8 * joints
    velocity = _up(end - _START + 4, 8) + _START
    form = _Form(
        indices=indices,
        joints=joints,
        position=position,
        velocity=velocity,
        before=data[_AFTER_STAMP:position],
        between=data[end:velocity],
    )
    found = (
        len(data) >= velocity + 8 * joints
        and data[position:end] == message.position.tobytes()
        and data[velocity : velocity + 8 * joints] == message.velocity.tobytes()
        and _COUNT.unpack_from(data, end)[0] == joints
    )
    return form if found else None


def _up(offset: int, multiple: int) -> int:
    return -(-offset // multiple) * multiple
