# SPDX-License-Identifier: Apache-2.0
"""Draws what a viewer is given of a run: the description, the transforms and the markers of its recording, alone.

safe_transfer up pr2_cup_swirl visualize:=true run_dir:=cup && safe_transfer up panda_push visualize:=true run_dir:=push
MUJOCO_GL=egl python benchmarks/visualizer_picture.py cup/bag push/bag docs/figures/visualization.png

No viewer: RViz and Foxglove draw the same messages in their own way. It shows that the messages fit together.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import mujoco
import numpy as np

from safe_transfer_ros import topic_names as names
from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.robots.kinematics import joint_origin

WIDTH, HEIGHT = 720, 620
GEOMS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    1: mujoco.mjtGeom.mjGEOM_BOX,
    2: mujoco.mjtGeom.mjGEOM_SPHERE,
    3: mujoco.mjtGeom.mjGEOM_CYLINDER,
}
LINES, TEXT, TRIANGLES = 5, 9, 11  # visualization_msgs/msg/Marker


def rotation(q: Any) -> np.ndarray:
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.array([q.w, q.x, q.y, q.z]))
    return matrix.reshape(3, 3)


class Recording:
    """The newest of everything that a viewer hears, at the time of a picture."""

    def __init__(self, bag: Path) -> None:
        wanted = [f"/{name}" for name in (names.ROBOT_DESCRIPTION, names.TF, names.TF_STATIC, names.MARKERS)]
        heard = [(topic, message) for topic, message, _ in messages(bag, wanted)]
        pictures = [number for number, (topic, message) in enumerate(heard) if topic == wanted[3] and _armed(message)]
        until = pictures[len(pictures) // 2]
        self.transforms: dict[str, Any] = {}
        for topic, message in heard[: until + 1]:
            if topic in wanted[1:3]:
                self.transforms |= {transform.child_frame_id: transform for transform in message.transforms}
        self.urdf = next(message.data for topic, message in heard if topic == wanted[0])
        self.markers = [marker for marker in heard[until][1].markers if marker.action == 0]
        self.frame = self.markers[0].header.frame_id

    def pose(self, link: str) -> tuple[np.ndarray, np.ndarray]:
        """Position and rotation of a link in the markers' frame."""
        position, turned = np.zeros(3), np.eye(3)
        while link != self.frame:
            transform = self.transforms[link]
            t, turn = transform.transform.translation, rotation(transform.transform.rotation)
            position, turned = np.array([t.x, t.y, t.z]) + turn @ position, turn @ turned
            link = transform.header.frame_id
        return position, turned


def _armed(message: Any) -> bool:
    return any(marker.ns == "safety filter" and marker.text.startswith("ARMED") for marker in message.markers)


class Picture:
    """An empty scene to which shapes are added."""

    def __init__(self, lookat: tuple[float, float, float], distance: float, azimuth: float, elevation: float) -> None:
        model = mujoco.MjModel.from_xml_string(
            "<mujoco><visual><headlight ambient='.45 .45 .45' diffuse='.5 .5 .5'/>"
            "<global offwidth='2000' offheight='2000'/></visual><asset><texture type='skybox' builtin='flat' "
            "rgb1='.96 .96 .95' rgb2='.96 .96 .95' width='16' height='96'/></asset><worldbody/></mujoco>"
        )
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        self._renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
        camera = mujoco.MjvCamera()
        camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = lookat, distance, azimuth, elevation
        self._renderer.update_scene(data, camera)
        self.words: list[tuple[np.ndarray, str, Any]] = []

    def add(self, kind: Any, size: Any, position: np.ndarray, turned: np.ndarray, colour: Any) -> None:
        scene = self._renderer.scene
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom], kind, np.array(size), position, turned.ravel(), np.array(colour, dtype=np.float32)
        )
        scene.ngeom += 1

    def add_line(self, start: np.ndarray, end: np.ndarray, width: float, colour: Any) -> None:
        self.add(mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), np.zeros(3), np.eye(3), colour)
        scene = self._renderer.scene
        mujoco.mjv_connector(scene.geoms[scene.ngeom - 1], mujoco.mjtGeom.mjGEOM_CAPSULE, width / 2, start, end)

    def add_robot(self, recording: Recording) -> None:
        root = ElementTree.fromstring(recording.urdf)
        colours = {m.get("name"): m.find("color").get("rgba").split() for m in root.findall("material")}
        for link in root.findall("link"):
            for visual in link.findall("visual"):
                position, turned = recording.pose(link.get("name"))
                turn, shift = joint_origin(visual)
                [shape] = visual.findall("geometry/*")
                if shape.tag == "box":
                    size = [float(edge) / 2 for edge in shape.get("size").split()]
                else:
                    size = [float(shape.get("radius")), float(shape.get("length", 0)) / 2, 0.0]
                    size = [size[0]] * 3 if shape.tag == "sphere" else size
                colour = [float(part) for part in colours[visual.find("material").get("name")]]
                self.add(GEOMS[shape.tag], size, position + turned @ shift, turned @ turn, colour)

    def add_marker(self, marker: Any) -> None:
        at, scale = marker.pose.position, marker.scale
        colour = (marker.color.r, marker.color.g, marker.color.b, marker.color.a)
        points = [np.array([point.x, point.y, point.z]) for point in marker.points]
        if marker.type == TEXT:
            self.words.append((np.array([at.x, at.y, at.z]), marker.text, colour[:3]))
        elif marker.type == LINES:
            for start, end in zip(points[::2], points[1::2], strict=True):
                self.add_line(start, end, scale.x, colour)
        elif marker.type == TRIANGLES:  # by their edges
            for corner in range(0, len(points), 3):
                for one, other in ((0, 1), (1, 2)):
                    self.add_line(points[corner + one], points[corner + other], 0.002, (*colour[:3], 0.7))
        else:
            size = [scale.x / 2, scale.y / 2, scale.z / 2]
            size = [size[0], size[2], 0.0] if marker.type == 3 else size
            place = np.array([at.x, at.y, at.z])
            self.add(GEOMS[marker.type], size, place, rotation(marker.pose.orientation), colour)

    def show(self, axes: Any) -> None:
        camera = self._renderer.scene.camera[0]
        axes.imshow(self._renderer.render())
        forward, up = np.array(camera.forward), np.array(camera.up)
        side = np.cross(forward, up)
        scale = camera.frustum_near / camera.frustum_top * HEIGHT / 2
        eyes = np.mean([np.array(each.pos) for each in self._renderer.scene.camera], axis=0)
        for place, words, colour in self.words:
            away = place - eyes
            x, y = (away @ axis / (away @ forward) * scale for axis in (side, up))
            axes.text(WIDTH / 2 + x, HEIGHT / 2 - y, words, color=colour, ha="center", va="center", fontsize=8)
        axes.set_axis_off()
        self._renderer.close()


def main() -> None:
    """Draw both."""
    cup, push, out = (Path(word) for word in sys.argv[1:4])
    figure, axes = plt.subplots(1, 2, figsize=(2 * WIDTH / 100, HEIGHT / 100), layout="constrained", dpi=100)
    views = (((0.3, -0.05, 0.05), 1.75, 160.0, -12.0), ((0.3, -0.15, 0.3), 1.7, 135.0, -18.0))
    for panel, bag, view in zip(axes, (cup, push), views, strict=True):
        recording, picture = Recording(bag), Picture(*view)
        picture.add_robot(recording)
        for marker in recording.markers:
            picture.add_marker(marker)
        picture.show(panel)
    figure.savefig(out)
    print(out)


if __name__ == "__main__":
    main()
