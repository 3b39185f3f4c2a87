# SPDX-License-Identifier: Apache-2.0
"""Point and Doggo that go along a hallway past walls, poles or figures, with a depth camera (CST)."""
