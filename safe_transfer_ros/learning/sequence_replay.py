# SPDX-License-Identifier: Apache-2.0
"""Replay of sequences for learners with a memory: images in bytes, every observation once, and the memory before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.learning.replay_buffer import ReplayBuffer

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVELS = 255
"""An image's values are multiples of 1 / 255."""


class SequenceReplay:
    """A ring of what was seen and done, in the order of episodes.

    A row is an observation with what was done there and its result; an episode is closed by a row with its last
    observation and nothing done. So no observation is kept twice, and the transition that ends an episode is drawn as
    often as any other.

    Attributes:
      pixels: Length of the image that an observation begins with.
    """

    def __init__(self, capacity: int, *, pixels: int, rest: int, actions: int, units: int) -> None:
        """Allocate.

        Args:
          capacity: Rows it holds at most; then the oldest go.
          pixels: Length of the image that an observation begins with.
          rest: Length of what follows it.
          actions: Length of an action.
          units: Length of the memory.

        Raises:
          ValueError: if the capacity is not positive.
        """
        self.pixels = pixels
        self._buffer = ReplayBuffer(
            capacity,
            np.dtype(
                [
                    ("chain", "<i8"),
                    ("image", "u1", (pixels,)),
                    ("rest", "<f4", (rest,)),
                    ("memory", "<f4", (units,)),
                    ("chosen", "<f4", (actions,)),
                    ("reward", "<f4"),
                    ("cost", "<f4"),
                    ("absorbing", "?"),  # whether what was done there terminated the episode
                    ("truncated", "?"),  # of the row itself: it closes its episode
                ]
            ),
        )

    def __len__(self) -> int:
        return len(self._buffer)

    def add(
        self,
        episode: NDArray[np.int64],
        observation: Array,
        memory: Array,
        chosen: Array,
        outcome: tuple[Array, Array, Flags],
    ) -> None:
        """Add a step of some episodes, each the one that follows what was added of it last.

        Args:
          episode: Number of each, shape (n,).
          observation: What was seen, shape (n, pixels + rest).
          memory: What was remembered before it was seen, shape (n, units); zero at an episode's start.
          chosen: What was done, shape (n, actions).
          outcome: Reward, cost, and whether the episode terminated, shape (n,) each.
        """
        reward, cost, terminated = outcome
        self._add(
            episode,
            observation,
            {
                "memory": memory,
                "chosen": chosen,
                "reward": reward,
                "cost": cost,
                "absorbing": terminated,
                "truncated": np.zeros(len(episode), dtype=np.bool_),
            },
        )

    def close(self, episode: NDArray[np.int64], observation: Array) -> None:
        """Close episodes that ended, terminated or truncated.

        Args:
          episode: Number of each, shape (n,).
          observation: Their last, shape (n, pixels + rest).
        """
        n, schema = len(episode), self._buffer.schema
        nothing = {name: np.zeros((n, *schema[name].shape)) for name in ("memory", "chosen", "reward", "cost")}
        ended = np.ones(n, dtype=np.bool_)
        self._add(episode, observation, nothing | {"absorbing": ~ended, "truncated": ended})

    def sample(self, count: int, length: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Draw sequences of one episode each, every start that has enough behind it equally likely.

        Args:
          count: Sequences, b.
          length: Transitions in each, t.
          rng: Draws them.

        Returns:
          observation (b, t + 1, k), of every transition and of where the last one led to; chosen (b, t, n); reward,
          cost and terminated, (b, t) each; memory (b, units) before the first observation.

        Raises:
          ValueError: if no episode is so long.
        """
        drawn = self._buffer.sample_sequences(count, length + 1, rng)
        image = drawn["image"].astype(np.float32) / np.float32(LEVELS)
        found = {name: drawn[name][:, :-1] for name in ("chosen", "reward", "cost")}
        return found | {
            "observation": np.concatenate([image, drawn["rest"]], axis=-1),
            "terminated": drawn["absorbing"][:, :-1],
            "memory": drawn["memory"][:, 0],
        }

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return self._buffer.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`.

        Raises:
          ValueError: if it is of a buffer of another capacity or other sizes.
        """
        self._buffer.restore(state)

    def _add(self, episode: NDArray[np.int64], observation: Array, columns: Mapping[str, NDArray[Any]]) -> None:
        image = np.asarray(observation)[:, : self.pixels] * LEVELS
        levels = np.rint(image)
        if not (np.abs(image - levels).max(initial=0.0) < 1e-3 and ((levels >= 0) & (levels <= LEVELS)).all()):
            raise ValueError(
                "expected images of multiples of 1 / 255 in [0, 1], got others: they would not come out as they went in"
            )
        whole: dict[str, NDArray[Any]] = {"chain": episode, "image": levels.astype(np.uint8)}
        whole["rest"] = np.asarray(observation)[:, self.pixels :]
        self._buffer.add(whole | dict(columns))
