# SPDX-License-Identifier: Apache-2.0
"""The controller_manager_msgs that is imported here, ours or a real ROS's, is the one ros2_control publishes.

A type hash (RIHS01) is made of names, types and order of all fields, nested ones included: two ends with the same
hash understand each other.
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

controller_manager_msgs = pytest.importorskip("controller_manager_msgs")

SOURCES = Path(__file__).parent / "controller_manager_msgs"

# Of the definitions in ros2_control 4.46.0 (Jazzy).
PUBLISHED = {
    "msg/ChainConnection": "2daecd1da4b171f48b291c79747657a651eb1ab8821b68e38b1c88c736bba91c",
    "msg/ControllerManagerActivity": "35b7de5d611b6780e89732de325f2f765eacdb8a7adfe5821a27af4a03a7c244",
    "msg/ControllerState": "9a8780ab9814b6032978a07c6c7033cf1a7894ac8d948a6fb72afea07b04cc83",
    "msg/HardwareComponentState": "8723f76b60e3ea54920065e3e777d93c68b76fc12839ad6a6ca4e0a6439b384c",
    "msg/HardwareInterface": "b4c556991db81ca56a49338b5e8f0675a6707faee54fba161d2bbd4d963d418a",
    "msg/NamedLifecycleState": "b7947b6f8df8f7e93d1cb8d115842fb0eeddfa6fb5c7b86cc0f3cafd55be4c1f",
    "srv/ConfigureController": "b5de498113f4eabc7b932e019ca0498d67304b1ca465fe8a426ea89644865ff9",
    "srv/ListControllers": "4f8e36bb1fa5afdeba45c2d56ae6a2097b1493a253f961dd6290c085033bd189",
    "srv/ListHardwareComponents": "2ff105e609928671af16413362c0fdd089e1dd50c5a49d830db603ba8e4439c8",
    "srv/LoadController": "e37f7596c50c88cf8cb7a10cd376ff7579850cc63b5e787e9c8f11981f9ab4d2",
    "srv/SetHardwareComponentState": "940b15846ed3e1fb561ab45edf77a992b811fd59c574f45d5205a84a0deb2f65",
    "srv/SwitchController": "d4ad10aa5da7808bc522d55d4123d8ef79de73d049d165639d7663ac37cc9895",
}


def share() -> Path:
    """`share/controller_manager_msgs` of the installation the module was imported from."""
    for folder in Path(controller_manager_msgs.__file__).parents:
        found = folder / "share/controller_manager_msgs"
        if found.is_dir():
            return found
    raise AssertionError(f"no share folder above {controller_manager_msgs.__file__}")


@pytest.mark.parametrize("name", PUBLISHED)
def test_type_hash_is_the_published_one(name: str) -> None:
    described = json.loads((share() / f"{name}.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in described["type_hashes"]}
    assert hashes[f"controller_manager_msgs/{name}"] == f"RIHS01_{PUBLISHED[name]}"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_module_has_it(name: str) -> None:
    kind, _, message = name.partition("/")
    assert hasattr(importlib.import_module(f"controller_manager_msgs.{kind}"), message)


def test_ours_declare_the_published_part_and_are_kept_from_colcon() -> None:
    """Beside a real ROS, colcon would put this partial copy before the whole one."""
    listed = re.findall(r"^  ((?:msg|srv)/\w+)\.", (SOURCES / "CMakeLists.txt").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(PUBLISHED)
    assert (SOURCES / "COLCON_IGNORE").exists()


def test_strictness_is_the_published_one() -> None:
    from controller_manager_msgs.srv import SwitchController

    request = SwitchController.Request
    assert (request.BEST_EFFORT, request.STRICT, request.AUTO, request.FORCE_AUTO) == (1, 2, 3, 4)
