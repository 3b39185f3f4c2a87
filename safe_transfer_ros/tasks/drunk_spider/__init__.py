# SPDX-License-Identifier: Apache-2.0
"""Drunk spider: a point crosses a bridge between two pits of lava, or walks around them (SQRL)."""
