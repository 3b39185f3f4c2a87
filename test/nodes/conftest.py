# SPDX-License-Identifier: Apache-2.0
"""The filter's bench, for every test of this folder that asks for it."""

from filter_bench import bench, filter_process, parameters

__all__ = ["bench", "filter_process", "parameters"]
