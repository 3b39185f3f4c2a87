# SPDX-License-Identifier: Apache-2.0
"""A domain to share with a graph, for every test of this folder that asks for one."""

from graph_runs import number

__all__ = ["number"]
