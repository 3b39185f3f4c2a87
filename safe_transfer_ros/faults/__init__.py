# SPDX-License-Identifier: Apache-2.0
"""Faults put into real processes over real DDS, and whether the filter kept its promises meanwhile."""
