# SPDX-License-Identifier: Apache-2.0
"""A node whose executor can be kept busy: at SIGUSR1 none of its callbacks runs for .6 s.

    busy_node.py NODE --ros-args ...

The process lives and the middleware's own threads run, so its sockets fill: as behind a callback that takes too long.
The signal is taken by a thread that then sleeps with the interpreter's lock in hand; a handler of Python's would end
the node (`middleware/process.py`).
"""

from __future__ import annotations

import ctypes
import runpy
import signal
import sys
import threading

BUSY_US = 600_000


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # in the threads to come, too

    def wait() -> None:
        while True:
            signal.sigwait({signal.SIGUSR1})
            ctypes.PyDLL(None).usleep(BUSY_US)

    threading.Thread(target=wait, daemon=True).start()
    name = sys.argv.pop(1)
    runpy.run_module(f"safe_transfer_ros.nodes.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
