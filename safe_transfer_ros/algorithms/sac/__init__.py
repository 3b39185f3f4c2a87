# SPDX-License-Identifier: Apache-2.0
"""Soft actor-critic (Haarnoja et al. 2018): a loss per file, and the agent that takes the steps."""
