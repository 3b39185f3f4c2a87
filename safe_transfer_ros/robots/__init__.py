# SPDX-License-Identifier: Apache-2.0
"""Robots: what they are (description), where their tool is (kinematics), how they move (simulation)."""
