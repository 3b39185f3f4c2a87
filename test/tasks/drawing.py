# SPDX-License-Identifier: Apache-2.0
"""Programs that draw, in a process of their own: which library draws is settled when MuJoCo is first imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NO_OPENGL = 77
PRELUDE = f"""
import sys
import mujoco
import numpy as np
try:
    mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8).close()
except Exception as error:
    print(error)
    sys.exit({NO_OPENGL})
"""


def runs(program: str) -> None:
    """Run a program that may use `mujoco` and `np`; skip the test where the machine cannot draw at all."""
    environment = {"MUJOCO_GL": "egl", **os.environ}
    finished = subprocess.run(
        [sys.executable, "-c", PRELUDE + program], env=environment, capture_output=True, text=True
    )
    if finished.returncode == NO_OPENGL:
        pytest.skip(f"no OpenGL here: {finished.stdout.strip()}")
    assert finished.returncode == 0, finished.stderr
