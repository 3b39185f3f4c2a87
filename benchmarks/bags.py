# SPDX-License-Identifier: Apache-2.0
"""Messages per second into and out of a bag, beside the libraries that do the same.

    python benchmarks/bags.py [--messages 100000]

Joint states of seven joints, already serialised: what bag_recorder gets. CPU time of one process, best of
three.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import BagWriter

TYPE = "sensor_msgs/msg/JointState"


def serialised(count: int) -> list[bytes]:
    """Different joint states."""
    store, rng = get_typestore(Stores.ROS2_JAZZY), np.random.default_rng(0)
    types, names = store.types, [f"joint_{i}" for i in range(7)]
    result = []
    for i in range(count):
        header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](1, i), "base_link")
        message = types[TYPE](header, names, rng.normal(size=7), rng.normal(size=7), np.zeros(7))
        result.append(bytes(store.serialize_cdr(message, TYPE)))
    return result


def write_ours(folder: Path, data: list[bytes], compression: str = "none") -> None:
    """Record with this package."""
    with BagWriter(folder, compression=compression) as writer:
        topic, write = writer.register("/joint_states", TYPE), writer.write
        for i, message in enumerate(data):
            write(topic, message, i, i, i)


def write_mcap(folder: Path, data: list[bytes]) -> None:
    """Record with the mcap library's own writer, same chunk size."""
    folder.mkdir(parents=True)
    with open(folder / "bag_0.mcap", "wb", buffering=0) as file:
        writer = Writer(file, chunk_size=64 * 1024, compression=CompressionType.NONE)
        writer.start("ros2")
        text = MessageDefinitions().find(TYPE).text.encode()
        channel = writer.register_channel("/joint_states", "cdr", writer.register_schema(TYPE, "ros2msg", text))
        for i, message in enumerate(data):
            writer.add_message(channel, i, message, i, i)
        writer.finish()


def read_mcap(folder: Path) -> None:
    """Every message, still serialised, with the mcap library."""
    with open(folder / "bag_0.mcap", "rb") as file:
        for _ in make_reader(file).iter_messages():
            pass


def read_rosbags(folder: Path, *, decode: bool) -> None:
    """Every message with rosbags."""
    with AnyReader([folder]) as reader:
        for connection, _, data in reader.messages():
            if decode:
                reader.deserialize(data, connection.msgtype)


def exhaust(messages: object) -> None:
    """Read to the end."""
    for _ in messages:  # type: ignore[attr-defined]
        pass


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    count = parser.parse_args().messages
    data = serialised(count)
    with tempfile.TemporaryDirectory() as temporary:
        home, number = Path(temporary), iter(range(1000))

        def fresh() -> Path:
            return home / str(next(number))

        bag = fresh()
        write_ours(bag, data)
        rows: list[tuple[str, Callable[[], None]]] = [
            ("write, this package", lambda: write_ours(fresh(), data)),
            ("write, this package, zstd", lambda: write_ours(fresh(), data, "zstd")),
            ("write, mcap", lambda: write_mcap(fresh(), data)),
            ("read raw, this package", lambda: exhaust(Bag(bag).recorded())),
            ("read raw, rosbags", lambda: read_rosbags(bag, decode=False)),
            ("read raw, mcap", lambda: read_mcap(bag)),
            ("read and decode, this package", lambda: exhaust(Bag(bag).messages())),
            ("read and decode, rosbags", lambda: read_rosbags(bag, decode=True)),
        ]
        print(f"{'':32}{'us/message':>12}{'messages/s':>14}")
        for name, action in rows:
            seconds = min(_cpu_seconds(action) for _ in range(3))
            print(f"{name:32}{seconds / count * 1e6:12.2f}{count / seconds:14,.0f}")


def _cpu_seconds(action: Callable[[], None]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


if __name__ == "__main__":
    main()
