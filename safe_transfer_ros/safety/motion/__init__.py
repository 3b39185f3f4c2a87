# SPDX-License-Identifier: Apache-2.0
"""The rules of an arm's own control cycle: the last that a torque passes, in the process that writes to the motors."""
