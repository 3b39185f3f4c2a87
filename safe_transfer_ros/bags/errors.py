# SPDX-License-Identifier: Apache-2.0
"""The one error that bags raise: what went wrong with a recording, and how to fix it."""

from __future__ import annotations


class BagError(ValueError):
    """A bag cannot be written or read. The message is one line for a person: what, where, what to do."""
