# SPDX-License-Identifier: Apache-2.0
"""The first-run procedure of a real arm, one step a file where it moves, and the report that the launch asks for."""
