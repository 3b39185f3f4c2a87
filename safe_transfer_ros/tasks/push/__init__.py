# SPDX-License-Identifier: Apache-2.0
"""Pushing a block with the Panda (CSC, DARL)."""
