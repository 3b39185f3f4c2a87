# SPDX-License-Identifier: Apache-2.0
"""The nodes' parameters as checked dataclasses."""
