# SPDX-License-Identifier: Apache-2.0
"""Depth images from a body's camera: by rays on processors, or as OpenGL draws them."""

from __future__ import annotations

import abc
import math
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.hallway.scene import BODY_GROUP, CAMERA

Array = npt.NDArray[np.float64]

Bring = Callable[[int, mujoco.MjData], None]
"""Brings one of many simulations into a MjData, as far as places of bodies follow from its state."""


class DepthCamera(abc.ABC):
    """Camera that gives depths along its axis; it sees everything but the body that it is fixed to."""

    @abc.abstractmethod
    def depths(self, rows: Sequence[int]) -> Array:
        """Depths, shape (rows, side, side), top row first, m; beyond the range, or -1, where nothing is in it."""

    @abc.abstractmethod
    def close(self) -> None:
        """End threads or renderer."""


def pixel_rays(fovy_deg: float, side: int) -> Array:
    """Rays through the centres of a square image's pixels, in the camera's frame, shape (side * side, 3).

    Each goes 1 along the camera's axis, which is -z: a multiple of it tells a depth.
    """
    edge = math.tan(math.radians(0.5 * fovy_deg))
    at = edge * ((np.arange(side) + 0.5) * 2.0 / side - 1.0)
    down, right = np.meshgrid(at, at, indexing="ij")
    return np.stack([right, -down, -np.ones_like(right)], axis=-1).reshape(-1, 3)


class RayCamera(DepthCamera):
    """Camera by rays: the same bits on every machine, whatever the number of threads."""

    def __init__(self, model: mujoco.MjModel, bring: Bring, side: int, range_m: float, *, threads: int = 1) -> None:
        """Set up.

        Args:
          model: With a camera CAMERA.
          bring: See `Bring`.
          side: Pixels of a row and of a column.
          range_m: Depth beyond which nothing has to be seen, m.
          threads: That cast rays.
        """
        self._model, self._bring, self._side = model, bring, side
        self._rays = pixel_rays(float(model.cam_fovy[model.camera(CAMERA).id]), side)
        # A ray's own length at that depth is longer than it; none is longer than the one through a corner.
        self._cutoff = range_m * float(np.linalg.norm(self._rays, axis=1).max())
        self._groups = np.ones(mujoco.mjNGROUP, dtype=np.uint8)
        self._groups[BODY_GROUP] = 0
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def depths(self, rows: Sequence[int]) -> Array:
        """See `DepthCamera.depths`."""
        found = np.empty((len(rows), self._side * self._side))
        if self._pool is None:
            self._cast(0, rows, found)
        else:
            shares = [slice(first, None, len(self._data)) for first in range(len(self._data))]
            waiting = [
                self._pool.submit(self._cast, number, rows[share], found[share]) for number, share in enumerate(shares)
            ]
            for share in waiting:
                share.result()
        return found.reshape(len(rows), self._side, self._side)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _cast(self, number: int, rows: Sequence[int], found: Array) -> None:
        model, data, n = self._model, self._data[number], len(self._rays)
        hit = np.empty(n, dtype=np.int32)
        for row, depths in zip(rows, found, strict=True):
            self._bring(row, data)
            camera = data.camera(CAMERA)
            depth = np.empty(n)
            mujoco.mj_multiRay(
                model,
                data,
                pnt=camera.xpos,
                vec=(self._rays @ camera.xmat.reshape(3, 3).T).ravel(),
                geomgroup=self._groups,
                flg_static=True,
                bodyexclude=-1,
                geomid=hit,
                dist=depth,
                normal=None,
                nray=n,
                cutoff=self._cutoff,
            )
            depths[:] = depth


class RenderedCamera(DepthCamera):
    """Camera by OpenGL: the same image but for pixels at edges, where either may see what is before or behind."""

    def __init__(self, model: mujoco.MjModel, bring: Bring, side: int) -> None:
        """Open the renderer.

        Args:
          model: With a camera CAMERA.
          bring: See `Bring`.
          side: Pixels of a row and of a column.
        """
        self._bring, self._data = bring, mujoco.MjData(model)
        self._renderer = mujoco.Renderer(model, side, side)
        self._renderer.enable_depth_rendering()
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 1
        self._option.geomgroup[BODY_GROUP] = 0
        self._closing = weakref.finalize(self, self._renderer.close)

    def depths(self, rows: Sequence[int]) -> Array:
        """See `DepthCamera.depths`."""
        found = []
        for row in rows:
            self._bring(row, self._data)
            self._renderer.update_scene(self._data, CAMERA, self._option)
            found.append(self._renderer.render().astype(np.float64))
        return np.stack(found)

    def close(self) -> None:
        """Close the renderer."""
        self._closing()
