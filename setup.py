# SPDX-License-Identifier: Apache-2.0
"""Installs safe_transfer_ros with colcon (ament_python) or with pip."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

NAME = "safe_transfer_ros"
SHARE = f"share/{NAME}"
NODES = (
    "policy_server",
    "safety_filter",
    "unsafety_monitor",
    "trainer",
    "bag_recorder",
    "mujoco_sim",
    "controller_supervisor",
    "episode_reset",
    "franka_robot",
    "critic_trainer",
    "critic_shadow",
    "visualizer",
)

FOLDERS = ("launch", "config", "urdf", "weights", "rviz", "foxglove", "plotjuggler")  # of data

# colcon installs scripts in lib/ (setup.cfg) and puts bin/ on the PATH where there is one; pip's are in bin/ already.
COMMAND = [("bin", ["scripts/safe_transfer"])] if {"install", "develop"} & set(sys.argv) else []

# colcon runs this file in its own folder, pip in a copy: either way the data files lie beside it.
HERE = Path(__file__).resolve().parent


def data_files(folder: str) -> tuple[str, list[str]]:
    """Every file of one data folder, for share/safe_transfer_ros/<folder>."""
    files = sorted(str(path.relative_to(HERE)) for path in (HERE / folder).glob("*") if path.is_file())
    return f"{SHARE}/{folder}", files


setup(
    name=NAME,
    version="0.1.0",
    description="Safe transfer learning of robot policies on ROS 2",
    license="Apache-2.0",
    maintainer="safe_transfer_ros authors",
    maintainer_email="safe-transfer-ros@users.noreply.github.com",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "reporting/*.html", "reporting/*.css"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml", "LICENSE", "NOTICE"]),
        *COMMAND,
        *(data_files(folder) for folder in FOLDERS),
    ],
    python_requires=">=3.10",
    # Without ROS: training, figures and every test but those of the nodes. The tested versions are in requirements/.
    install_requires=[
        "gymnasium>=1.0",
        "jinja2>=3.0",
        "markupsafe>=2.0",
        "matplotlib>=3.6",
        "mcap>=1.2",
        "mujoco>=3.11,<5,!=4.0.0",
        "numpy>=1.26",
        "pyyaml>=5.4",
        "rich>=13",
        "rosbags>=0.10",
        "safetensors>=0.4",
        "scipy>=1.11",
        "setuptools",
        "torch>=2.2",
        "zstandard",
    ],
    # With ROS from wheels; then `pip install ./safe_transfer_msgs ./interfaces/tf2_msgs`. An apt ROS brings its own.
    extras_require={
        "ros": [
            "ros-jazzy-rclpy[fastrtps]>=7.1,<8",
            "ros-jazzy-rmw-fastrtps-cpp>=8.4,<9",
            "ros-jazzy-diagnostic-msgs",
            "ros-jazzy-geometry-msgs",
            "ros-jazzy-lifecycle-msgs",
            "ros-jazzy-rosgraph-msgs",
            "ros-jazzy-sensor-msgs",
            "ros-jazzy-std-msgs",
            "ros-jazzy-std-srvs",
            "ros-jazzy-visualization-msgs",
        ],
        # `make docs`.
        "docs": ["myst-parser>=4.0", "sphinx>=8.1,<10", "sphinx-rtd-theme>=3.0"],
        # `robot:=franka`. CPython 3.9 to 3.12 on x86-64 only.
        "franka": ["pylibfranka>=0.21.3,<0.22"],
        # `safe_transfer reproduce --ray ADDRESS`.
        "ray": ["ray>=2.9"],
        # `safe_transfer bag export-minari`.
        "minari": ["h5py>=3.8", "minari>=0.5.3"],
        # ONNX models that are no plain MLP (`safe_transfer import-policy`).
        "onnx": ["onnxruntime>=1.17"],
        # `safe_transfer watch --foxglove`.
        "foxglove": ["foxglove-sdk>=0.30,<1"],
        "test": [
            "foxglove-sdk",
            "h5py",
            "hypothesis",
            "mcap-ros2-support",
            "minari",
            "onnxruntime",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "websockets",
        ],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"safe_transfer = {NAME}.cli.main:main",
            *(f"{node} = {NAME}.nodes.{node}:main" for node in NODES),
        ],
    },
)
