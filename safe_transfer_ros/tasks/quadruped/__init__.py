# SPDX-License-Identifier: Apache-2.0
"""Quadruped: stands, walks (CSC), keeps a speed (SQRL)."""
