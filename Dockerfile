# SPDX-License-Identifier: Apache-2.0
# ROS 2 Jazzy with both packages built by colcon. Not built by our tests: no container runtime there.
#
#   docker build -t safe_transfer_ros .
#   docker run --rm -v "$PWD/runs:/ws/runs" safe_transfer_ros safe_transfer run pr2_cup_swirl iterations:=10
FROM ros:jazzy-ros-base

ENV PIP_BREAK_SYSTEM_PACKAGES=1 MUJOCO_GL=egl
SHELL ["/bin/bash", "-c"]
WORKDIR /ws
COPY package.xml src/safe_transfer_ros/package.xml
COPY safe_transfer_msgs/package.xml src/safe_transfer_ros/safe_transfer_msgs/package.xml
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip ros-jazzy-controller-manager-msgs \
    && rosdep update --rosdistro jazzy \
    && rosdep install --from-paths src/safe_transfer_ros src/safe_transfer_ros/safe_transfer_msgs --ignore-src -y --rosdistro jazzy \
    && pip install --no-cache-dir mcap safetensors zstandard \
    && rm -rf /var/lib/apt/lists/*
COPY . src/safe_transfer_ros
RUN source /opt/ros/jazzy/setup.bash && colcon build --paths src/safe_transfer_ros src/safe_transfer_ros/safe_transfer_msgs

ENTRYPOINT ["/bin/bash", "-c", "source /ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["safe_transfer", "doctor"]
