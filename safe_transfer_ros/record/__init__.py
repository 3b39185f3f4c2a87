# SPDX-License-Identifier: Apache-2.0
"""The record of a run: episodes, iterations, recomputation from the bag, resume."""
