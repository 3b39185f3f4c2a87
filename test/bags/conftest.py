# SPDX-License-Identifier: Apache-2.0
"""Real joint-state messages for the bag tests, serialised by a library that is not ours."""

from collections.abc import Callable

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore


@pytest.fixture(scope="session")
def joint_state() -> Callable[[int], bytes]:
    """Serialised sensor_msgs/JointState number i: its stamp's nanosec and position[0] are i."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types

    def serialised(index: int) -> bytes:
        header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](7, index), "base_link")
        position = np.full(7, float(index))
        message = types["sensor_msgs/msg/JointState"](
            header, [f"joint_{i}" for i in range(7)], position, position / 2, np.empty(0)
        )
        return bytes(store.serialize_cdr(message, "sensor_msgs/msg/JointState"))

    return serialised
