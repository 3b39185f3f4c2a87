# SPDX-License-Identifier: Apache-2.0
"""Rules for the torque limit."""
