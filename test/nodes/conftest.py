# SPDX-License-Identifier: Apache-2.0
"""The filter's bench, and a domain to share with a graph, for every test of this folder that asks for them."""

from filter_bench import bench, filter_process, parameters
from graph_runs import number

__all__ = ["bench", "filter_process", "number", "parameters"]
