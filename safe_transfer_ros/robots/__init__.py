# SPDX-License-Identifier: Apache-2.0
"""Robots: what they are (description), where their tool is (kinematics), how they move (simulation)."""

import os
import sys

if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    # MuJoCo reads it when it is imported; without a screen its own choice, glfw, cannot draw.
    os.environ.setdefault("MUJOCO_GL", "egl")
