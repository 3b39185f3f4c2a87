# SPDX-License-Identifier: Apache-2.0
"""Offscreen images of simulations. MuJoCo draws with the library that MUJOCO_GL names (egl, osmesa or glfw).

Where there is no screen and MUJOCO_GL says nothing, this package chooses egl (robots/__init__.py).
"""

from __future__ import annotations

import abc
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv, SingleRowEnv

Image = npt.NDArray[np.uint8]
Colour = tuple[float, float, float, float]


class Shown(Protocol):
    """Simulation of many that can be looked at."""

    def show(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Bring one of them into a MjData of this or another model of it, for rendering."""


class OffscreenCamera(abc.ABC):
    """Looks at a simulation's rows; subclasses place it, and mark what the model does not have.

    Attributes:
      view: Where it stands and looks.
    """

    def __init__(
        self,
        simulation: Shown,
        model: mujoco.MjModel,
        width: int,
        height: int,
        *,
        follow: Callable[[mujoco.MjData], tuple[float, float, float]] | None = None,
        ambient: float = 0.6,
        diffuse: float = 0.5,
    ) -> None:
        """Open the renderer.

        Args:
          simulation: What is looked at.
          model: It is drawn with; with the positions and velocities of the simulation's own.
          width: Of images, pixels.
          height: Likewise.
          follow: Place to look at in a state, m; None: always the same.
          ambient: Brightness of the light from everywhere.
          diffuse: Of that from the camera.
        """
        self._shown, self._follow = simulation, follow
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = ambient, diffuse
        self._data = mujoco.MjData(model)
        self._renderer = mujoco.Renderer(model, height, width)
        # At the end of a process, before the library that draws is gone, also if nobody closes this.
        self._closing = weakref.finalize(self, self._renderer.close)
        self.view = mujoco.MjvCamera()

    def image(self, row: int) -> Image:
        """One of the simulations, shape (height, width, 3)."""
        self._shown.show(row, self._renderer.model, self._data)
        if self._follow is not None:
            self.view.lookat[:] = self._follow(self._data)
        self._renderer.update_scene(self._data, self.view)
        self._mark(row, self._data)
        image: Image = self._renderer.render().copy()
        return image

    def close(self) -> None:
        """Close the renderer."""
        self._closing()

    @abc.abstractmethod
    def _mark(self, row: int, data: mujoco.MjData) -> None:
        """Add shapes by `_add`."""

    def _add(
        self,
        shape: mujoco.mjtGeom,
        at: tuple[float, ...],
        size: tuple[float, ...],
        colour: Colour,
        axes: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Add a shape at a place of three numbers, m, of a size as MuJoCo has it, to the image only.

        Its axes are the columns of a rotation, shape (3, 3), by default the world's.
        """
        scene = self._renderer.scene
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            shape,
            np.array(size),
            np.array(at),
            (np.eye(3) if axes is None else axes).ravel(),
            np.array(colour, dtype=np.float32),
        )
        scene.ngeom += 1


class RenderedEnv(SingleRowEnv):
    """Single environment that can be drawn: subclasses give the camera."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}

    def __init__(self, rows: NumberedVectorEnv, control_period_s: float, render_mode: str | None) -> None:
        """Wrap a vector environment of one row.

        Args:
          rows: See `SingleRowEnv`.
          control_period_s: Time of an action, s.
          render_mode: One of the metadata's, or None: nothing is drawn.

        Raises:
          ValueError: if the render mode is unknown.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            rows.close()
            raise ValueError(f"render_mode must be one of {self.metadata['render_modes']}, got {render_mode!r}")
        super().__init__(rows)
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": round(1.0 / control_period_s)}
        self._drawn: OffscreenCamera | None = None

    @abc.abstractmethod
    def _camera(self) -> OffscreenCamera:
        """Open a camera that looks at the only row."""

    def render(self) -> Image | None:
        """Image of what there is, shape (height, width, 3); None unless the render mode is "rgb_array"."""
        if self.render_mode is None:
            return None
        if self._drawn is None:
            self._drawn = self._camera()
        return self._drawn.image(0)

    def close(self) -> None:
        """End the renderer and the physics."""
        super().close()
        if self._drawn is not None:
            self._drawn.close()
            self._drawn = None
