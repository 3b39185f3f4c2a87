# SPDX-License-Identifier: Apache-2.0
"""Studies without processes of their own, for tests of what stands around them: torch is loaded here already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from safe_transfer_ros.learning import workers


class Here:
    """Workers that are none: the runs are done in this process, which has imported everything already."""

    count, same_machine = 1, True

    def __init__(self, count: int | None = None) -> None:
        assert count == 1

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], on_result: Callable[[int, Any], None]) -> None:
        for position, item in enumerate(items):
            on_result(position, function(item))


@contextmanager
def instead() -> Iterator[None]:
    """In place of the processes, which test_reproduce and learning/test_workers try out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "LocalWorkers", Here)
        yield


@pytest.fixture
def here() -> Iterator[None]:
    with instead():
        yield
