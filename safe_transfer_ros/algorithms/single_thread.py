# SPDX-License-Identifier: Apache-2.0
"""Linear algebra on one thread, so that its last bits depend on its inputs alone.

A product or a factorisation shared among threads adds in an order that depends on their number, which the
environment of a process decides (OMP_NUM_THREADS, a container's cores). An update must not depend on that:
the trainer node, a run in one process and a resumed run have to arrive at the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread of torch within the block; afterwards as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def single_thread() -> Iterator[None]:
    """Use one thread of torch and no gradients within the block; afterwards both are as they were."""
    with one_thread(), torch.no_grad():
        yield
