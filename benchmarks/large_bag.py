# SPDX-License-Identifier: Apache-2.0
"""Memory of reading a large bag and training a critic from it, against smaller ones.

    python benchmarks/large_bag.py RUN/bag [--gigabytes 0.05 1 10] [--updates 500] [--folder FOLDER]

The decisions of a recorded run are written over and over, with later stamps, until a bag has its size; then a process
of its own makes transitions of it and trains a critic. Peak of its memory (RssAnon: pages of the mapped files are not
counted, the system takes them back as it likes), time and rate of each part. FOLDER needs twice the largest size; it
is left empty.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.critics.training import CriticSettings, TrainingSettings, train_critic
from safe_transfer_ros.tasks.deployment import in_graph

TOPIC, TYPE, TASK = "/safety_filter/decision", "safe_transfer_msgs/msg/SafetyDecision", "pr2_cup_swirl"
STAMP = struct.Struct("<iI")  # right behind the four bytes that every serialised message begins with
SECOND = 10**9


def write_bag(run: Path, folder: Path, size: float) -> int:
    """A bag of at least so many bytes; returns its decisions."""
    decisions = [bytearray(raw.data) for _, batch, _ in Bag(run).batches((TOPIC,)) for raw in batch]
    stamps = [seconds * SECOND + nanoseconds for seconds, nanoseconds in (STAMP.unpack_from(d, 4) for d in decisions)]
    span = max(stamps) - min(stamps) + SECOND
    written = count = 0
    with BagWriter(folder) as writer:
        topic = writer.register(TOPIC, TYPE)
        while written < size:
            for data, stamp in zip(decisions, stamps, strict=True):
                now = stamp + (count // len(decisions)) * span
                STAMP.pack_into(data, 4, *divmod(now, SECOND))
                writer.write(topic, bytes(data), now, now, count)
                written += len(data)
                count += 1
    return count


def learn(bag: Path, folder: Path, updates: int) -> None:
    """Transitions, then a critic; prints peak of own memory after each, MB, and the times, s."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], own_memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    transitions, _ = write_transitions([Bag(bag)], in_graph(TASK), folder / "transitions")
    read, at_reading, peak[0] = time.monotonic() - began, peak[0], 0.0
    began = time.monotonic()
    settings = TrainingSettings(critic=CriticSettings(), updates=updates)
    train_critic(transitions, settings, {}, folder / "critic")
    over.set()
    watcher.join()
    print(len(transitions), at_reading, read, peak[0], time.monotonic() - began)


def own_memory_mb() -> float:
    """RssAnon of this process, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024.0
    raise ValueError("/proc/self/status has no RssAnon")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a recorded bag of the cup swirl")
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.05, 1.0, 10.0], help="of the bags")
    parser.add_argument("--updates", type=int, default=500, help="of the critic")
    parser.add_argument("--folder", type=Path, help="where to write (a temporary folder)")
    parser.add_argument("--learn", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.learn:
        learn(*options.learn, options.updates)
        return
    print("       size  decisions  transitions   reading: MB    s  decisions/s   training: MB    s")
    for gigabytes in options.gigabytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            count = write_bag(options.run, folder / "bag", gigabytes * 1e9)
            command = [sys.executable, __file__, str(options.run), "--updates", str(options.updates)]
            command += ["--learn", str(folder / "bag"), str(folder)]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
            transitions, reading_mb, reading_s, training_mb, training_s = map(float, out[-5:])
            print(
                f"  {gigabytes:6.2f} GB {count:10d} {transitions:12.0f} {reading_mb:13.0f} "
                f"{reading_s:5.0f} {count / reading_s:11,.0f} {training_mb:14.0f} {training_s:5.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
