# SPDX-License-Identifier: Apache-2.0
"""The safety rules between a proposal and a motor.

Deterministic: no clock, no input or output, no logging, no ROS, no learning framework; numpy and scipy only.
Time comes in as an argument. The node and the Gymnasium environments call the same envelope, so what was
tested in simulation is what stands before the motors.
"""
