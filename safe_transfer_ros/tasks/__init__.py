# SPDX-License-Identifier: Apache-2.0
"""Tasks: goals and safety constraints. Importing this package makes all known to `task.make`."""

from safe_transfer_ros.tasks.ant_avenue import task as ant_avenue
from safe_transfer_ros.tasks.cube_in_hand import task as cube_in_hand
from safe_transfer_ros.tasks.cup_swirl import task as cup_swirl
from safe_transfer_ros.tasks.drunk_spider import task as drunk_spider
from safe_transfer_ros.tasks.hallway import task as hallway
from safe_transfer_ros.tasks.push import tasks as panda_push
from safe_transfer_ros.tasks.quadruped import task as quadruped
from safe_transfer_ros.tasks.traps import task as traps

__all__ = ["ant_avenue", "cube_in_hand", "cup_swirl", "drunk_spider", "hallway", "panda_push", "quadruped", "traps"]
