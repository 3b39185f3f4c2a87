# SPDX-License-Identifier: Apache-2.0
"""Cube in a hand: five fingers turn it and must not drop it (SQRL)."""
