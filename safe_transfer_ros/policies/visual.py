# SPDX-License-Identifier: Apache-2.0
"""A policy that sees and remembers: convolutions, a GRU, ReLU layers, a tanh-squashed Gaussian head (CST)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.convolution import Convolution, convolution_shapes, selu
from safe_transfer_ros.policies.gru import Gru, gru_shapes, gru_units
from safe_transfer_ros.policies.mlp import (
    Linear,
    Mlp,
    head_shapes,
    hidden_shapes,
    hidden_widths,
    outputs_of,
    relu,
    rounded,
)
from safe_transfer_ros.policies.policy import TANH_GAUSSIAN, Act
from safe_transfer_ros.policies.squashed import LOG_STD_MAX, LOG_STD_MIN
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, check_shapes, positive

Array = NDArray[np.float64]


class VisualPolicy:
    """a = bound * tanh(x), x ~ N(mean(f), exp(log_std(f))^2), f = hidden(h'), h' = GRU([e, rest], h).

    e = SELU(embedding(conv(image))). An observation is a square image, row by row, and the rest behind it.

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: As action_size.
      image_side: Pixels of a row and of a column of the image.
      memory: h, shape (units,), or (n, units) for n episodes side by side; None at the start of an episode, where it
        counts as zero.
    """

    kind: ClassVar[str] = "visual"

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
        """Copy conv.N.*, embedding.*, gru.*, hidden.N.*, mean.*, log_std.{weight,bias} and bound.

        Args:
          tensors: Arrays by name, as torch has them.
          metadata: With `image_side`.

        Raises:
          WeightsError: if they are not those of this kind.
        """
        self.image_side = _side(metadata or {})
        inputs, widths = hidden_widths(tensors)
        n, units, embedded = outputs_of(tensors, "mean"), gru_units(tensors), outputs_of(tensors, "embedding")
        received = tensors.get("gru.weight_ih", np.zeros((0, 0))).shape[-1]
        rest = received - embedded
        if inputs != units or rest < 0:
            raise WeightsError(
                f"expected hidden.0 to take the {units} values of the GRU, and the GRU to take at least the "
                f"{embedded} of the embedding, got {inputs} and {received}"
            )
        self._conv = Convolution(_checked_convolution(tensors), self.image_side)
        shapes = convolution_shapes() | head_shapes("embedding", self._conv.outputs, embedded)
        shapes |= gru_shapes(received, units) | hidden_shapes(units, widths) | {"bound": (n,)}
        shapes |= head_shapes("mean", widths[-1], n) | head_shapes("log_std", widths[-1], n)
        check_shapes(tensors, shapes, "a visual policy")
        positive(tensors, "bound")
        self._embedding, self._gru, self._hidden = Linear(tensors, "embedding"), Gru(tensors), Mlp(tensors, relu)
        self._mean, self._log_std = Linear(tensors, "mean"), Linear(tensors, "log_std")
        self._bound = tensors["bound"].astype(np.float64)
        self._pixels = self.image_side**2
        self.observation_size, self.action_size, self.noise_size = self._pixels + rest, n, n

    @property
    def memory(self) -> Array | None:
        """See the class."""
        return self._gru.memory

    def begin(self) -> None:
        """Forget the episode before."""
        self._gru.memory = None

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; remembers the observation.

        Raises:
          ValueError: if an observation has another length, or the number of episodes side by side is another than at
            the step before.
        """
        seen = np.asarray(observation, dtype=np.float32).astype(np.float64)
        if seen.ndim == 0 or seen.shape[-1] != self.observation_size:
            raise ValueError(f"expected observations of {self.observation_size} values, got shape {seen.shape}")
        image, rest = seen[..., : self._pixels], seen[..., self._pixels :]
        embedded = rounded(selu(self._embedding(self._conv(image))))
        features = self._hidden(self._gru.step(np.concatenate([embedded, rest], axis=-1)))
        mean = rounded(self._mean(features))
        stddev = np.exp(np.clip(rounded(self._log_std(features)), LOG_STD_MIN, LOG_STD_MAX))
        action = self._bound * np.tanh(mean + stddev * np.asarray(noise, dtype=np.float64))
        return Act(action=action, distribution=TANH_GAUSSIAN, mean=mean, stddev=stddev, bound=self._bound)


def _side(metadata: Mapping[str, str]) -> int:
    text = metadata.get("image_side", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise WeightsError(f"expected image_side, pixels of a row of the image, in the metadata, got {text[:20]!r}")
    return int(text)


def _checked_convolution(tensors: Tensors) -> Tensors:
    found = {name: array for name, array in tensors.items() if name.startswith("conv.")}
    check_shapes(found, convolution_shapes(), "the convolutions of a visual policy")
    return found
