# SPDX-License-Identifier: Apache-2.0
"""Policies: parameters by name, safetensors in and out, and the numpy forward pass of the robot side."""
