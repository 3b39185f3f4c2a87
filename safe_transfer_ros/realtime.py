# SPDX-License-Identifier: Apache-2.0
"""Real-time scheduling and locked memory for a control loop, where they are permitted."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress

# Pages are locked when first used: locking all that is mapped costs a gigabyte, mostly of thread stacks never touched.
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def request(priority: int, lock_memory: bool = False) -> Iterator[str]:
    """Ask for real-time scheduling and locked memory, for every thread of this process.

    Args:
      priority: SCHED_FIFO priority from 1 to 98; 0 leaves the scheduling alone. The middleware's threads receive the
        messages, so they need it as much as ours.
      lock_memory: Keep every page in memory once it has been used, so that no page fault stops the loop later.

    Yields:
      One sentence for each request that was refused, with how to permit it.
    """
    if priority:
        try:
            for thread in os.listdir("/proc/self/task"):
                with suppress(ProcessLookupError):  # it has ended since
                    os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
        except OSError as error:
            yield (
                f"real-time priority {priority} was refused ({error.strerror}); permit it with 'ulimit -r {priority}', "
                "an rtprio line in /etc/security/limits.conf, or CAP_SYS_NICE. Running with normal scheduling."
            )
    if lock_memory:
        library = ctypes.CDLL(None, use_errno=True)
        if library.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
            yield (
                f"memory could not be locked ({os.strerror(ctypes.get_errno())}); permit it with "
                "'ulimit -l unlimited', a memlock line in /etc/security/limits.conf, or CAP_IPC_LOCK. "
                "Running with memory that may be paged."
            )
