# SPDX-License-Identifier: Apache-2.0
"""Bounds on untrusted input: depth, count and size, in one place; of joint names it is `JointOrder.MAX_NAMES`.

Each is far above what an honest file holds, and low enough that refusing takes a moment and no memory to speak of.
"""

from __future__ import annotations

YAML_BYTES = 8 * 2**20
"""Length of a YAML text: metadata.yaml of a recording in 10,000 files has 3 MB."""

YAML_DEPTH = 40
"""Sequences and mappings inside each other."""

YAML_VALUES = 200_000
"""Scalars, sequences and mappings, with what an alias repeats counted again."""

YAML_PLAIN_SCALAR = 4096
"""Characters of an unquoted scalar: reading a number takes time that grows with the square of its digits."""

WEIGHTS_BYTES = 64 * 2**20
"""A policy's or critic's file; those of today have less than one."""

ARCHIVE_BYTES = 256 * 2**20
"""A zip archive that a policy is imported from; stable-baselines3's hold the optimiser beside the policy, a few MB."""

ARCHIVE_MEMBERS = 4096
"""Files in such an archive: a tensor each."""

PICKLE_BYTES = 4 * 2**20
"""The part of torch's file that says where each tensor lies; of a hundred tensors it has 20 kB."""

TABLE_BYTES = 64 * 2**20
"""A CSV table: the rows of 100,000 iterations have 30 MB."""

RECORD_BYTES = 256 * 2**20
"""A chunk of a recording as it is worked on, uncompressed; also any other record that is read at all."""

CHUNK_EXPANSION = 1000
"""How many times as long as stored a chunk may be; recorded numbers shrink to a tenth at most."""

CHUNK_ALWAYS = 16 * 2**20
"""Uncompressed bytes up to which a chunk may be as small as it likes: one black picture."""

DEFINITION_BYTES = 256 * 2**10
"""A message definition with all it uses; the largest of the common ones has 50 kB."""

DEFINITION_DEPTH = 32
"""Types inside each other."""

DEFINITION_FIELDS = 20_000
"""Fields of a message with those of the types inside it, elements of fixed arrays counted one by one."""

TOPICS = 10_000
"""Topics, and message types, of one file."""

LATEST_NS = 2**63 - 1
"""Latest receipt time, ns since the epoch: what a signed number of 64 bits holds, as all arrays here do."""
