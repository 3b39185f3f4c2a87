# SPDX-License-Identifier: Apache-2.0
"""Transitions as a Minari dataset, Farama's format for offline reinforcement learning.

Minari and not LeRobot: its episodes are (s, a, r, terminated, truncated) as ours are, and it needs h5py and no more; a
LeRobot dataset is made for imitation from camera frames at a fixed rate, and drags in video codecs and a hub client.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.transition_store import Transitions

# What a transition has beyond Minari's own columns.
_INFOS = ("stamp_ns", "iteration", "episode", "step", "proposed", "chosen", "mean", "stddev", "torque_limit", "cost")
_INFOS += ("distribution", "bound", "log_density", "unsafety", "risk", "policy_version")  # type: ignore[assignment]


def export_minari(transitions: Transitions, folder: Path | str, dataset_id: str = "") -> int:
    """Write a Minari dataset; read it by `minari.MinariDataset(folder / "data")`. Memory does not grow with it.

    An episode of the dataset is an unbroken stretch of the recording; one that broke off counts as truncated. Its
    actions are the torques applied, as they led to the next observation; the rest of a transition stands in `infos`.

    Args:
      transitions: What to export.
      folder: Folder to create.
      dataset_id: Minari's name for it; made from the task by default.

    Returns:
      Episodes written.

    Raises:
      BagError: if Minari is not installed, the folder holds something, or there is nothing to export.
    """
    try:
        import h5py  # noqa: F401
        import minari
        from gymnasium.spaces import Box
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage
    except ImportError as error:
        raise BagError(f"the export needs {error.name}: pip install 'safe_transfer_ros[minari]'") from error
    folder = Path(folder).absolute()  # Minari takes a relative one twice
    if len(transitions) == 0:
        raise BagError(f"{transitions.folder} holds no transitions: there is nothing to export")
    if folder.exists() and any(folder.iterdir()):
        raise BagError(f"{folder} already holds something: choose another folder for the dataset")

    def episodes() -> Iterator[EpisodeBuffer]:
        for number, (start, stop) in enumerate(stretches(transitions)):
            rows = slice(start, stop)
            observations = transitions["observation"][rows]
            ended = np.zeros(stop - start, dtype=np.bool_)
            terminated = np.array(transitions["terminated"][rows])
            ended[-1] = not terminated[-1]
            yield EpisodeBuffer(
                id=number,
                observations=np.concatenate([observations, transitions["next_observation"][stop - 1 : stop]]),
                actions=np.array(transitions["applied"][rows]),
                rewards=np.array(transitions["reward"][rows]),
                terminations=terminated,
                truncations=ended,
                infos={name: np.array(transitions[name][rows]) for name in _INFOS},
            )

    data = folder / "data"
    data.mkdir(parents=True)
    spaces = {
        space: Box(-np.inf, np.inf, transitions[column].shape[1:], np.float32)
        for space, column in (("observation_space", "observation"), ("action_space", "applied"))
    }
    storage = MinariStorage.new(data, data_format="hdf5", **spaces)
    storage.update_episodes(episodes())
    task = str(transitions.about.get("task", "") or "recorded").replace("_", "-")
    storage.update_metadata({"dataset_id": dataset_id or f"{task}/recorded-v0", "minari_version": minari.__version__})
    return int(storage.total_episodes)


def stretches(transitions: Transitions) -> Iterator[tuple[int, int]]:
    """First row of every unbroken stretch, and the one after its last."""
    chain = np.asarray(transitions["chain"])
    borders = np.flatnonzero(np.diff(chain)) + 1
    edges = [0, *borders.tolist(), len(chain)]
    yield from zip(edges, edges[1:], strict=False)
