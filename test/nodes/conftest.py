# SPDX-License-Identifier: Apache-2.0
"""The filter's bench, and a domain to share with a graph, for every test of this folder that asks for them."""

from collections.abc import Iterator

import graph_runs
import pytest
from filter_bench import bench, filter_process, parameters

__all__ = ["bench", "filter_process", "number", "parameters"]


@pytest.fixture
def number() -> Iterator[int]:
    """A domain that a graph claims, for the test's own nodes beside it."""
    with graph_runs.to_share() as number:
        yield number
