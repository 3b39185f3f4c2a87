# SPDX-License-Identifier: Apache-2.0
"""How high the torque limit may be."""
