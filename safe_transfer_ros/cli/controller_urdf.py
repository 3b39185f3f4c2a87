# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer controller-urdf`: a robot description that is fit for controller_manager."""

from __future__ import annotations

import argparse
import sys

from safe_transfer_ros.robots.manager_description import MAX_CHARACTERS, for_controller_manager
from safe_transfer_ros.untrusted import read_text


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    text = (
        "print a robot description without <safety_controller>: with it, a controller of ros2_control that is "
        "deactivated may hold a torque indefinitely (docs/hardware.md)"
    )
    parser = subparsers.add_parser(
        "controller-urdf", help="remove <safety_controller> from a robot description, for a real arm", description=text
    )
    parser.add_argument("urdf", metavar="FILE", help="URDF, xacro expanded; - reads standard input")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the description."""
    text = sys.stdin.read(MAX_CHARACTERS + 1) if options.urdf == "-" else read_text(options.urdf)
    sys.stdout.write(for_controller_manager(text))
    return 0
